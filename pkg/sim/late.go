package sim

import (
	"context"
	"fmt"
	"math/rand/v2"
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

func newLates(w *world) *lates { return &lates{world: w, until: map[string]time.Time{}} }

// comesTrue has do done though nobody waits for it any more, by chance or
// certainly: in a moment, or once nothing keeps it waiting, unless it is void.
func (l *lates) comesTrue(luck *rand.Rand, certain bool, void, waits func() bool, do func()) {
	if !certain && luck.Float64() >= l.spec.Late {
		return
	}
	var try func()
	try = func() {
		switch {
		case void():
		case waits():
			l.after(between(luck, backAgainFrom, backAgainTo), try)
		default:
			do()
			l.dirty = true
		}
	}
	l.after(between(luck, soonest, latest), try)
}

// command does call, which changes something and says when it does. Where its
// caller goes before that, it may come true later.
func (c *calls) command(ctx context.Context, g cluster.Guest, silent error, call func(begun *bool) error, later func(certain bool)) error {
	if ctx.Err() != nil {
		return late(ctx, silent) // not begun
	}
	if c.lates.isLate(g) {
		err := c.hang(ctx, silent)
		later(true)
		return cluster.Unknown(err)
	}
	begun := false
	err := call(&begun)
	if begun || ctx.Err() == nil {
		return err
	}
	later(false)
	return cluster.Unknown(err)
}

// change is call for what changes something on a hypervisor.
func (c *calls) change(ctx context.Context, g cluster.Guest, d time.Duration, do func(*host) error) error {
	return c.command(ctx, g, cluster.ErrHostSilent,
		func(begun *bool) error {
			return c.call(ctx, g.Real, d, func(h *host) error { *begun = true; return do(h) })
		},
		func(certain bool) { c.comesLater(g, certain, do) })
}

// comesLater has the hypervisor of g.Real do what nobody waits for any more, once
// it is back. One that starts anew knows of nothing.
func (c *calls) comesLater(g cluster.Guest, certain bool, do func(*host) error) {
	c.lock()
	defer c.unlock()
	h := c.hosts[g.Real]
	if h == nil {
		return
	}
	life, starts := h.life, h.starts
	c.lates.comesTrue(c.luck("late ", g.Host), certain,
		func() bool { return h.life != life || h.starts != starts || h.hypervisor == stopped },
		func() bool { return h.silent },
		func() {
			c.note("late", h.Name, g.Host, "a command for %s on %s comes true late", g.Host, h.Name)
			_ = do(h) // nobody is told
		})
}

// change is agent for what changes something; do gets the time at which the
// command was given.
func (a *agents) change(ctx context.Context, g cluster.Guest, d time.Duration, do func(i *instance, given time.Time) error) error {
	given := a.clk.Now()
	return a.command(ctx, g, cluster.ErrAgentSilent,
		func(begun *bool) error {
			return a.agent(ctx, g, d, func(i *instance) error { *begun = true; return do(i, a.now) })
		},
		func(certain bool) {
			a.comesLater(g, certain, func(i *instance) error { return do(i, given) })
		})
}

// comesLater has g do what nobody waits for any more, once it goes on, and never
// after it has booted.
func (a *agents) comesLater(g cluster.Guest, certain bool, do func(*instance) error) {
	a.lock()
	defer a.unlock()
	h := a.hosts[g.Real]
	if h == nil || h.on[g.Host] == nil {
		return
	}
	i, heard := h.on[g.Host], !h.silent
	life, hostLife, starts := i.life, h.life, h.starts
	a.lates.comesTrue(a.luck("late inside ", g.Host), certain,
		func() bool {
			return i.life != life || i.agentDead || !heard && (h.life != hostLife || h.starts != starts || h.hypervisor == stopped)
		},
		func() bool { return !heard && h.silent || !i.works() },
		func() {
			a.note("late", i.at.Name, i.Host, "a command in %s comes true late", i.Host)
			_ = do(i) // nobody is told
		})
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

// heal lets the commands for a guest or a real server through. Held: mu.
func (l *lates) heal(name string) { delete(l.until, name) }
