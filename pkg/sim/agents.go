package sim

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/sim/measure"
	"pss-msbs/pkg/sim/world"
)

// agents are those in the guests.
type agents struct{ *calls }

// agent does do in the guest after d. A guest that boots or is off has no
// agent connected, one that is paused none that could answer: refused at once.
// Where the agent's channel is open and nobody answers, in a guest that is frozen
// or held without the hypervisor's saying so, the call hangs.
func (a *agents) agent(ctx context.Context, g cluster.Guest, d time.Duration, do func(*world.Instance) error) error {
	slow := time.Duration(0)
	first := func(i *world.Instance) error {
		slow = a.pace.AgentSlow(i)
		return nil
	}
	if err := a.agentStep(ctx, g, 0, first); err != nil {
		return err
	}
	return a.agentStep(ctx, g, d+slow, do)
}

// agentStep does do in the guest after d, if its agent answers then.
func (a *agents) agentStep(ctx context.Context, g cluster.Guest, d time.Duration, do func(*world.Instance) error) error {
	for {
		hangs, held := false, (*world.Stall)(nil)
		err := a.call(ctx, g.Real, d, func(h *world.Host) error {
			i := h.On[g.Host]
			switch {
			case i == nil || i.State != cluster.GuestRunning || i.AgentDead || i.IsPaused():
				return a.agentless(h, g.Host)
			case i.Frozen || i.AgentHung:
				hangs = true
				return nil
			case i.Stall != nil:
				held = i.Stall
				return nil
			}
			return do(i)
		})
		switch {
		case err != nil:
			return err
		case hangs:
			return a.Hang(ctx, cluster.ErrAgentSilent)
		case held == nil:
			return nil
		}
		if err := a.Outlast(ctx, held.Over, cluster.ErrAgentSilent); err != nil {
			return err
		}
		d = 0
	}
}

// agentless is the error of a call of an agent whose channel is closed; one that
// was paused has an agent, though none that answers.
func (a *agents) agentless(h *world.Host, name string) error {
	err := fmt.Errorf("%w: it is %s", cluster.ErrAgentSilent, a.StateOn(h, name))
	if i := h.On[name]; i != nil && i.IsPaused() {
		return err
	}
	return closedError{err}
}

// closedError is the refusal of an agent's channel that is closed.
type closedError struct{ error }

func (closedError) Unwrap() error { return cluster.ErrAgentGone }

// change is agent for what changes something; do gets the time at which the
// command was given.
func (a *agents) change(ctx context.Context, g cluster.Guest, d time.Duration, do func(i *world.Instance, given time.Time) error) error {
	given := a.Clock.Now()
	return a.command(ctx, g, cluster.ErrAgentSilent,
		func(begun *bool) error {
			return a.agent(ctx, g, d, func(i *world.Instance) error { *begun = true; return do(i, a.Now) })
		},
		func(certain bool) {
			a.comesLater(g, certain, func(i *world.Instance) error { return do(i, given) })
		})
}

// comesLater has g do what nobody waits for any more, once it goes on, and never
// after it has booted.
func (a *agents) comesLater(g cluster.Guest, certain bool, do func(*world.Instance) error) {
	a.Lock()
	defer a.Unlock()
	h := a.Hosts[g.Real]
	if h == nil || h.On[g.Host] == nil {
		return
	}
	i, heard := h.On[g.Host], !h.Silent
	life, hostLife, starts := i.Life, h.Life, h.Starts
	a.lates.ComesTrue(a.Luck("late inside ", g.Host), certain,
		func() bool {
			return i.Life != life || i.AgentDead || !heard && (h.Life != hostLife || h.Starts != starts || h.Hypervisor == world.Stopped)
		},
		func() bool { return !heard && h.Silent || !i.Works() },
		func() {
			a.Note("late", i.At.Name, i.Host, "a command in %s comes true late", i.Host)
			_ = do(i) // nobody is told
		})
}

// Addrs are the addresses on the guest's interface, its own first.
func (a *agents) Addrs(ctx context.Context, g cluster.Guest) ([]netip.Addr, error) {
	var out []netip.Addr
	err := a.agent(ctx, g, a.Spec.Times.Agent, func(i *world.Instance) error {
		out = append([]netip.Addr{i.IP}, i.SortedVIPs()...)
		return nil
	})
	return out, say(err, "list the addresses of", g)
}

// AddVIP gives the guest a VIP and tells the switch.
func (a *agents) AddVIP(ctx context.Context, g cluster.Guest, vip netip.Addr) error {
	return say(a.change(ctx, g, a.Spec.Times.Agent, func(i *world.Instance, given time.Time) error {
		hold, had := i.Holds[vip]
		if !had {
			hold.Since = given
			a.judge.BlameClock(i, vip)
			a.harms.Arrives(i, vip)
		}
		hold.Announced = a.Now
		i.Holds[vip], a.Dirty = hold, true
		return nil
	}), "add "+vip.String()+" to", g)
}

// DelVIP takes a VIP off the guest.
func (a *agents) DelVIP(ctx context.Context, g cluster.Guest, vip netip.Addr) error {
	return say(a.change(ctx, g, a.Spec.Times.Agent, func(i *world.Instance, _ time.Time) error {
		a.harms.Leaves(i, vip)
		delete(i.Holds, vip)
		a.Dirty = true
		return nil
	}), "remove "+vip.String()+" from", g)
}

// Announce sends a gratuitous ARP for a VIP that the guest holds.
func (a *agents) Announce(ctx context.Context, g cluster.Guest, vip netip.Addr) error {
	return say(a.agent(ctx, g, a.Spec.Times.Agent, func(i *world.Instance) error {
		hold, ok := i.Holds[vip]
		if !ok {
			return fmt.Errorf("it does not hold it")
		}
		hold.Announced = a.Now
		i.Holds[vip] = hold
		return nil
	}), "announce "+vip.String()+" from", g)
}

// SetClock sets the guest's clock to now.
func (a *agents) SetClock(ctx context.Context, g cluster.Guest) error {
	return say(a.change(ctx, g, a.Spec.Times.Agent, func(i *world.Instance, _ time.Time) error {
		i.StaleClock = false
		return nil
	}), "set the clock of", g)
}

// RestartDaemon restarts a service program. A frozen one stays frozen: only a
// restart of its server cures that (paper, Table 5).
func (a *agents) RestartDaemon(ctx context.Context, g cluster.Guest, daemon string) error {
	return say(a.change(ctx, g, a.Spec.Times.RestartDaemon, func(i *world.Instance, _ time.Time) error {
		switch i.Services[daemon] {
		case "":
			return fmt.Errorf("no such service")
		case world.Stopped:
			i.Services[daemon], a.Dirty = world.Running, true
			a.Note("daemon", i.At.Name, i.Host, "%s of %s restarted", daemon, i.Host)
		}
		return nil
	}), "restart "+daemon+" of", g)
}

// Run runs free or sar in the guest.
func (a *agents) Run(ctx context.Context, g cluster.Guest, argv []string) ([]byte, error) {
	cmd, err := measure.Parse(argv)
	if err != nil {
		return nil, say(err, "run a command in", g)
	}
	var out []byte
	err = a.agent(ctx, g, a.Spec.Times.Agent+cmd.Takes(), func(i *world.Instance) error {
		a.Asked.Note(world.AskedMeasure, i.Host, a.Now)
		out = cmd.Print(i.GuestSpec, a.pace.Reading(i), a.Now)
		return nil
	})
	return out, say(err, "run "+cmd.Name+" in", g)
}
