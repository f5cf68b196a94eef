package sim

import (
	"context"
	"fmt"
	"time"

	"pss-msbs/pkg/cluster"
)

// latest is how late, at most, a command comes true whose caller has gone: in a
// guest the guest's own timeout ends it. What its hypervisor or its guest has not
// heard yet, or cannot do at the moment, is done as soon as it can: backAgain.
const (
	latest        = time.Second
	soonest       = 20 * ms
	backAgainFrom = 20 * ms
	backAgainTo   = 80 * ms
)

// command is call for what changes something: where its caller goes while it is
// under way, later may be done in its place, later.
func (m *Model) command(ctx context.Context, g cluster.Guest, d time.Duration, do, later func(*host) error) error {
	if ctx.Err() != nil {
		return late(ctx, cluster.ErrHostSilent) // not begun
	}
	if m.isLate(g) {
		err := m.hang(ctx, cluster.ErrHostSilent)
		m.comesLater(g, true, later)
		return cluster.Unknown(err)
	}
	begun := false
	err := m.call(ctx, g.Real, d, func(h *host) error { begun = true; return do(h) })
	if begun || ctx.Err() == nil {
		return err
	}
	m.comesLater(g, false, later)
	return cluster.Unknown(err)
}

// comesLater has the hypervisor of g.Real do what nobody waits for any more, by
// chance or certainly: in a moment, or once it is back. A hypervisor that starts
// anew knows of nothing.
func (m *Model) comesLater(g cluster.Guest, certain bool, do func(*host) error) {
	m.lock()
	defer m.unlock()
	h, luck := m.hosts[g.Real], m.luck("late ", g.Host)
	if h == nil || !certain && luck.Float64() >= m.spec.Late {
		return
	}
	life, starts := h.life, h.starts
	var try func()
	try = func() {
		switch {
		case h.life != life || h.starts != starts || h.hypervisor == stopped:
		case h.silent:
			m.after(between(luck, backAgainFrom, backAgainTo), try)
		default:
			m.note("late", h, g.Host, "a command for %s on %s comes true late", g.Host, h.Name)
			_ = do(h) // nobody is told
			m.dirty = true
		}
	}
	m.after(between(luck, soonest, latest), try)
}

// agentCommand is agent for what changes something; later gets the time at which
// the command was given.
func (m *Model) agentCommand(ctx context.Context, g cluster.Guest, d time.Duration, do func(i *instance, given time.Time) error) error {
	if ctx.Err() != nil {
		return late(ctx, cluster.ErrAgentSilent) // not begun
	}
	given := m.clk.Now()
	later := func(i *instance) error { return do(i, given) }
	if m.isLate(g) {
		err := m.hang(ctx, cluster.ErrAgentSilent)
		m.comesLaterInside(g, true, later)
		return cluster.Unknown(err)
	}
	begun := false
	err := m.agent(ctx, g, d, func(i *instance) error { begun = true; return do(i, m.now) })
	if begun || ctx.Err() == nil {
		return err
	}
	m.comesLaterInside(g, false, later)
	return cluster.Unknown(err)
}

// comesLaterInside is comesLater for a command inside of g: it is done in a
// moment, or once its guest goes on, and never in one that has booted since.
func (m *Model) comesLaterInside(g cluster.Guest, certain bool, do func(*instance) error) {
	m.lock()
	defer m.unlock()
	h, luck := m.hosts[g.Real], m.luck("late inside ", g.Host)
	if h == nil || h.on[g.Host] == nil || !certain && luck.Float64() >= m.spec.Late {
		return
	}
	i, heard := h.on[g.Host], !h.silent
	life, hostLife, starts := i.life, h.life, h.starts
	var try func()
	try = func() {
		switch {
		case i.life != life || i.agentDead || !heard && (h.life != hostLife || h.starts != starts || h.hypervisor == stopped):
		case !heard && h.silent, !i.works():
			m.after(between(luck, backAgainFrom, backAgainTo), try)
		default:
			m.note("late", i.at, i.Host, "a command in %s comes true late", i.Host)
			_ = do(i) // nobody is told
			m.dirty = true
		}
	}
	m.after(between(luck, soonest, latest), try)
}

// works reports whether the programs of i run at this moment.
func (i *instance) works() bool {
	return i.state == cluster.GuestRunning && i.stall == nil && !i.frozen && !i.agentHung && i.at.up()
}

// isLate reports whether commands for g hang on purpose.
func (m *Model) isLate(g cluster.Guest) bool {
	m.lock()
	defer m.unlock()
	return !m.lateUntil(g.Host, m.hosts[g.Real]).IsZero()
}

// lateUntil is until when commands for a guest on h hang; zero: they do not.
// Held: m.mu.
func (m *Model) lateUntil(guest string, h *host) (until time.Time) {
	if until = m.lastLate(guest, h); !m.now.Before(until) {
		return time.Time{}
	}
	return until
}

// lastLate is until when commands for a guest on h hang, or hung at last.
func (m *Model) lastLate(guest string, h *host) (until time.Time) {
	until = m.lates[guest]
	if h != nil && m.lates[h.Name].After(until) {
		until = m.lates[h.Name]
	}
	return until
}

// noEnd is how long a fault lasts that only Heal ends.
const noEnd = 1000 * time.Hour

// delay has the commands for a guest, or for all guests on a real server, hang.
// Held: m.mu.
func (m *Model) delay(target string, d time.Duration) error {
	if h := m.hostNamed(target); h != nil {
		target = h.Name
	} else if m.guests[target] == nil {
		return fmt.Errorf("no such server")
	}
	if d <= 0 {
		d = noEnd
	}
	if m.lates == nil {
		m.lates = map[string]time.Time{}
	}
	m.lates[target] = m.now.Add(d)
	return nil
}
