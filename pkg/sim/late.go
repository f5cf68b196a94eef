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
	soonest       = 20 * time.Millisecond
	backAgainFrom = 20 * time.Millisecond
	backAgainTo   = 80 * time.Millisecond
)

// lates are the guests and real servers whose commands hang, and until when.
type lates struct {
	*world
	until map[string]time.Time
}

// command is call for what changes something: where its caller goes while it is
// under way, later may be done in its place, later.
func (c *calls) command(ctx context.Context, g cluster.Guest, d time.Duration, do, later func(*host) error) error {
	if ctx.Err() != nil {
		return late(ctx, cluster.ErrHostSilent) // not begun
	}
	if c.lates.isLate(g) {
		err := c.hang(ctx, cluster.ErrHostSilent)
		c.comesLater(g, true, later)
		return cluster.Unknown(err)
	}
	begun := false
	err := c.call(ctx, g.Real, d, func(h *host) error { begun = true; return do(h) })
	if begun || ctx.Err() == nil {
		return err
	}
	c.comesLater(g, false, later)
	return cluster.Unknown(err)
}

// comesLater has the hypervisor of g.Real do what nobody waits for any more, by
// chance or certainly: in a moment, or once it is back. A hypervisor that starts
// anew knows of nothing.
func (c *calls) comesLater(g cluster.Guest, certain bool, do func(*host) error) {
	c.lock()
	defer c.unlock()
	h, luck := c.hosts[g.Real], c.luck("late ", g.Host)
	if h == nil || !certain && luck.Float64() >= c.spec.Late {
		return
	}
	life, starts := h.life, h.starts
	var try func()
	try = func() {
		switch {
		case h.life != life || h.starts != starts || h.hypervisor == stopped:
		case h.silent:
			c.after(between(luck, backAgainFrom, backAgainTo), try)
		default:
			c.note("late", h.Name, g.Host, "a command for %s on %s comes true late", g.Host, h.Name)
			_ = do(h) // nobody is told
			c.dirty = true
		}
	}
	c.after(between(luck, soonest, latest), try)
}

// agentCommand is agent for what changes something; later gets the time at which
// the command was given.
func (a *agents) agentCommand(ctx context.Context, g cluster.Guest, d time.Duration, do func(i *instance, given time.Time) error) error {
	if ctx.Err() != nil {
		return late(ctx, cluster.ErrAgentSilent) // not begun
	}
	given := a.clk.Now()
	later := func(i *instance) error { return do(i, given) }
	if a.lates.isLate(g) {
		err := a.hang(ctx, cluster.ErrAgentSilent)
		a.comesLaterInside(g, true, later)
		return cluster.Unknown(err)
	}
	begun := false
	err := a.agent(ctx, g, d, func(i *instance) error { begun = true; return do(i, a.now) })
	if begun || ctx.Err() == nil {
		return err
	}
	a.comesLaterInside(g, false, later)
	return cluster.Unknown(err)
}

// comesLaterInside is comesLater for a command inside of g: it is done in a
// moment, or once its guest goes on, and never in one that has booted since.
func (a *agents) comesLaterInside(g cluster.Guest, certain bool, do func(*instance) error) {
	a.lock()
	defer a.unlock()
	h, luck := a.hosts[g.Real], a.luck("late inside ", g.Host)
	if h == nil || h.on[g.Host] == nil || !certain && luck.Float64() >= a.spec.Late {
		return
	}
	i, heard := h.on[g.Host], !h.silent
	life, hostLife, starts := i.life, h.life, h.starts
	var try func()
	try = func() {
		switch {
		case i.life != life || i.agentDead || !heard && (h.life != hostLife || h.starts != starts || h.hypervisor == stopped):
		case !heard && h.silent, !i.works():
			a.after(between(luck, backAgainFrom, backAgainTo), try)
		default:
			a.note("late", i.at.Name, i.Host, "a command in %s comes true late", i.Host)
			_ = do(i) // nobody is told
			a.dirty = true
		}
	}
	a.after(between(luck, soonest, latest), try)
}

// works reports whether the programs of i run at this moment.
func (i *instance) works() bool {
	return i.state == cluster.GuestRunning && i.stall == nil && !i.frozen && !i.agentHung && i.at.up()
}

// isLate reports whether commands for g hang on purpose.
func (l *lates) isLate(g cluster.Guest) bool {
	l.lock()
	defer l.unlock()
	return !l.lateUntil(g.Host, l.hosts[g.Real]).IsZero()
}

// lateUntil is until when commands for a guest on h hang; zero: they do not.
// Held: m.mu.
func (l *lates) lateUntil(guest string, h *host) (until time.Time) {
	until = l.until[guest]
	if h != nil && l.until[h.Name].After(until) {
		until = l.until[h.Name]
	}
	if !l.now.Before(until) {
		return time.Time{}
	}
	return until
}

// noEnd is how long a fault lasts that only Heal ends.
const noEnd = 1000 * time.Hour

// delay has the commands for a guest, or for all guests on a real server, hang.
// Held: m.mu.
func (l *lates) delay(target string, d time.Duration) error {
	if h := l.hostNamed(target); h != nil {
		target = h.Name
	} else if l.guests[target] == nil {
		return fmt.Errorf("no such server")
	}
	if d <= 0 {
		d = noEnd
	}
	l.until[target] = l.now.Add(d)
	return nil
}
