package sim

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"pss-msbs/pkg/cluster"
)

// agent does do in the guest after d. A guest that boots or is off has no
// agent connected, one that is paused none that could answer: refused at once.
// Where the agent's channel is open and nobody answers, in a guest that is frozen
// or held without the hypervisor's saying so, the call hangs.
func (m *Model) agent(ctx context.Context, g cluster.Guest, d time.Duration, do func(*instance) error) error {
	slow := time.Duration(0)
	first := func(i *instance) error {
		slow = m.agentSlow(i)
		return nil
	}
	if err := m.agentStep(ctx, g, 0, first); err != nil {
		return err
	}
	return m.agentStep(ctx, g, d+slow, do)
}

// agentStep does do in the guest after d, if its agent answers then.
func (m *Model) agentStep(ctx context.Context, g cluster.Guest, d time.Duration, do func(*instance) error) error {
	for {
		hangs, held := false, (*stall)(nil)
		err := m.call(ctx, g.Real, d, func(h *host) error {
			i := h.on[g.Host]
			switch {
			case i == nil || i.state != cluster.GuestRunning || i.agentDead || i.isPaused():
				return m.agentless(h, g.Host)
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
			return m.hang(ctx, cluster.ErrAgentSilent)
		case held == nil:
			return nil
		}
		if err := m.outlast(ctx, held, cluster.ErrAgentSilent); err != nil {
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
func (m *Model) agentless(h *host, name string) error {
	err := fmt.Errorf("%w: it is %s", cluster.ErrAgentSilent, m.stateOn(h, name))
	if i := h.on[name]; i != nil && i.isPaused() {
		return err
	}
	return &wireError{text: err.Error(), is: cluster.ErrAgentGone}
}

// Addrs are the addresses on the guest's interface, its own first.
func (m *Model) Addrs(ctx context.Context, g cluster.Guest) ([]netip.Addr, error) {
	var out []netip.Addr
	err := m.agent(ctx, g, m.spec.Times.Agent, func(i *instance) error {
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
func (m *Model) AddVIP(ctx context.Context, g cluster.Guest, vip netip.Addr) error {
	err := m.agentCommand(ctx, g, m.spec.Times.Agent, func(i *instance, given time.Time) error {
		hold, had := i.vips[vip]
		if !had {
			hold.since = given
			m.blameClock(i, vip)
			m.arrives(i, vip)
		}
		hold.announced = m.now
		i.vips[vip], m.dirty = hold, true
		return nil
	})
	return say(err, "add "+vip.String()+" to", g)
}

// DelVIP takes a VIP off the guest.
func (m *Model) DelVIP(ctx context.Context, g cluster.Guest, vip netip.Addr) error {
	err := m.agentCommand(ctx, g, m.spec.Times.Agent, func(i *instance, _ time.Time) error {
		m.leaves(i, vip)
		delete(i.vips, vip)
		m.dirty = true
		return nil
	})
	return say(err, "remove "+vip.String()+" from", g)
}

// Announce sends a gratuitous ARP for a VIP that the guest holds.
func (m *Model) Announce(ctx context.Context, g cluster.Guest, vip netip.Addr) error {
	err := m.agent(ctx, g, m.spec.Times.Agent, func(i *instance) error {
		hold, ok := i.vips[vip]
		if !ok {
			return fmt.Errorf("it does not hold it")
		}
		hold.announced = m.now
		i.vips[vip] = hold
		return nil
	})
	return say(err, "announce "+vip.String()+" from", g)
}

// SetClock sets the guest's clock to now.
func (m *Model) SetClock(ctx context.Context, g cluster.Guest) error {
	err := m.agentCommand(ctx, g, m.spec.Times.Agent, func(i *instance, _ time.Time) error {
		i.staleClock = false
		return nil
	})
	return say(err, "set the clock of", g)
}

// RestartDaemon restarts a service program. A frozen one stays frozen: only a
// restart of its server cures that (paper, Table 5).
func (m *Model) RestartDaemon(ctx context.Context, g cluster.Guest, daemon string) error {
	err := m.agentCommand(ctx, g, m.spec.Times.RestartDaemon, func(i *instance, _ time.Time) error {
		switch i.daemons[daemon] {
		case "":
			return fmt.Errorf("no such service")
		case stopped:
			i.daemons[daemon], m.dirty = running, true
			m.note("daemon", i.at, i.Host, "%s of %s restarted", daemon, i.Host)
		}
		return nil
	})
	return say(err, "restart "+daemon+" of", g)
}

// Run runs free or sar in the guest.
func (m *Model) Run(ctx context.Context, g cluster.Guest, argv []string) ([]byte, error) {
	cmd, err := parseCommand(argv)
	if err != nil {
		return nil, say(err, "run a command in", g)
	}
	var out []byte
	err = m.agent(ctx, g, m.spec.Times.Agent+cmd.takes(), func(i *instance) error {
		m.record.asked.note(AskedMeasure, i.Host, m.now)
		out = cmd.print(i, m.reading(i), m.now)
		return nil
	})
	return out, say(err, "run "+cmd.name+" in", g)
}
