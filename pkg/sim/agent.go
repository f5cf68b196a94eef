package sim

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"pss-msbs/pkg/cluster"
)

// agents are those in the guests.
type agents struct {
	*calls
	pace  *pace
	harms *harms
	judge *judge
}

// agent does do in the guest after d. A guest that boots or is off has no
// agent connected, one that is paused none that could answer: refused at once.
// Where the agent's channel is open and nobody answers, in a guest that is frozen
// or held without the hypervisor's saying so, the call hangs.
func (a *agents) agent(ctx context.Context, g cluster.Guest, d time.Duration, do func(*instance) error) error {
	slow := time.Duration(0)
	first := func(i *instance) error {
		slow = a.pace.agentSlow(i)
		return nil
	}
	if err := a.agentStep(ctx, g, 0, first); err != nil {
		return err
	}
	return a.agentStep(ctx, g, d+slow, do)
}

// agentStep does do in the guest after d, if its agent answers then.
func (a *agents) agentStep(ctx context.Context, g cluster.Guest, d time.Duration, do func(*instance) error) error {
	for {
		hangs, held := false, (*stall)(nil)
		err := a.call(ctx, g.Real, d, func(h *host) error {
			i := h.on[g.Host]
			switch {
			case i == nil || i.state != cluster.GuestRunning || i.agentDead || i.isPaused():
				return a.agentless(h, g.Host)
			case i.frozen || i.agentHung:
				hangs = true
				return nil
			case i.stall != nil:
				held = i.stall
				return nil
			}
			return do(i)
		})
		switch {
		case err != nil:
			return err
		case hangs:
			return a.hang(ctx, cluster.ErrAgentSilent)
		case held == nil:
			return nil
		}
		if err := a.outlast(ctx, held.over, cluster.ErrAgentSilent); err != nil {
			return err
		}
		d = 0
	}
}

// isPaused reports whether the hypervisor says so; then it refuses calls of the agent.
func (i *instance) isPaused() bool {
	return i.state == cluster.GuestPaused || i.state == cluster.GuestRunning && i.stall != nil && i.stall.says == cluster.GuestPaused
}

// agentless is the error of a call of an agent whose channel is closed; one that
// was paused has an agent, though none that answers.
func (a *agents) agentless(h *host, name string) error {
	err := fmt.Errorf("%w: it is %s", cluster.ErrAgentSilent, a.stateOn(h, name))
	if i := h.on[name]; i != nil && i.isPaused() {
		return err
	}
	return closedError{err}
}

// closedError is the refusal of an agent's channel that is closed.
type closedError struct{ error }

func (closedError) Unwrap() error { return cluster.ErrAgentGone }

// Addrs are the addresses on the guest's interface, its own first.
func (a *agents) Addrs(ctx context.Context, g cluster.Guest) ([]netip.Addr, error) {
	var out []netip.Addr
	err := a.agent(ctx, g, a.spec.Times.Agent, func(i *instance) error {
		out = append([]netip.Addr{i.IP}, i.sortedVIPs()...)
		return nil
	})
	return out, say(err, "list the addresses of", g)
}

func (i *instance) sortedVIPs() []netip.Addr {
	out := make([]netip.Addr, 0, len(i.vips))
	for v := range i.vips {
		out = append(out, v)
	}
	slices.SortFunc(out, netip.Addr.Compare)
	return out
}

// AddVIP gives the guest a VIP and tells the switch.
func (a *agents) AddVIP(ctx context.Context, g cluster.Guest, vip netip.Addr) error {
	err := a.change(ctx, g, a.spec.Times.Agent, func(i *instance, given time.Time) error {
		hold, had := i.vips[vip]
		if !had {
			hold.since = given
			a.judge.blameClock(i, vip)
			a.harms.arrives(i, vip)
		}
		hold.announced = a.now
		i.vips[vip], a.dirty = hold, true
		return nil
	})
	return say(err, "add "+vip.String()+" to", g)
}

// DelVIP takes a VIP off the guest.
func (a *agents) DelVIP(ctx context.Context, g cluster.Guest, vip netip.Addr) error {
	err := a.change(ctx, g, a.spec.Times.Agent, func(i *instance, _ time.Time) error {
		a.harms.leaves(i, vip)
		delete(i.vips, vip)
		a.dirty = true
		return nil
	})
	return say(err, "remove "+vip.String()+" from", g)
}

// Announce sends a gratuitous ARP for a VIP that the guest holds.
func (a *agents) Announce(ctx context.Context, g cluster.Guest, vip netip.Addr) error {
	err := a.agent(ctx, g, a.spec.Times.Agent, func(i *instance) error {
		hold, ok := i.vips[vip]
		if !ok {
			return fmt.Errorf("it does not hold it")
		}
		hold.announced = a.now
		i.vips[vip] = hold
		return nil
	})
	return say(err, "announce "+vip.String()+" from", g)
}

// SetClock sets the guest's clock to now.
func (a *agents) SetClock(ctx context.Context, g cluster.Guest) error {
	err := a.change(ctx, g, a.spec.Times.Agent, func(i *instance, _ time.Time) error {
		i.staleClock = false
		return nil
	})
	return say(err, "set the clock of", g)
}

// RestartDaemon restarts a service program. A frozen one stays frozen: only a
// restart of its server cures that (paper, Table 5).
func (a *agents) RestartDaemon(ctx context.Context, g cluster.Guest, daemon string) error {
	err := a.change(ctx, g, a.spec.Times.RestartDaemon, func(i *instance, _ time.Time) error {
		switch i.daemons[daemon] {
		case "":
			return fmt.Errorf("no such service")
		case stopped:
			i.daemons[daemon], a.dirty = running, true
			a.note("daemon", i.at.Name, i.Host, "%s of %s restarted", daemon, i.Host)
		}
		return nil
	})
	return say(err, "restart "+daemon+" of", g)
}

// Run runs free or sar in the guest.
func (a *agents) Run(ctx context.Context, g cluster.Guest, argv []string) ([]byte, error) {
	cmd, err := parseCommand(argv)
	if err != nil {
		return nil, say(err, "run a command in", g)
	}
	var out []byte
	err = a.agent(ctx, g, a.spec.Times.Agent+cmd.takes(), func(i *instance) error {
		a.asked.note(AskedMeasure, i.Host, a.now)
		out = cmd.print(i.GuestSpec, a.pace.reading(i), a.now)
		return nil
	})
	return out, say(err, "run "+cmd.name+" in", g)
}
