package sim

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/sim/course"
	"pss-msbs/pkg/sim/packet"
	"pss-msbs/pkg/sim/world"
)

// errGone is why an operation ends with its real server.
var errGone = errors.New("the real server was lost meanwhile")

// calls are the calls of hypervisors.
type calls struct{ *fleet }

// reach waits until real's hypervisor has answered a call that takes d; a
// silent one hangs, one whose daemon is stopped refuses at once.
func (c *calls) reach(ctx context.Context, real netip.Addr, d time.Duration) error {
	c.Lock()
	h := c.Hosts[real]
	if h == nil {
		c.Unlock()
		return fmt.Errorf("no real server %s", real)
	}
	silent, refuses, slow := h.Silent, c.net.AnswersPing(h) && h.Hypervisor == world.Stopped, h.Slow
	if p := c.net.ToHypervisor(h); d > 0 && p != (packet.Path{}) {
		slow += p.Exchange(c.Luck("call ", h.Name, " ", d.String()), 1)
	}
	if !silent {
		c.net.Heard(h)
	}
	c.Unlock()
	switch {
	case refuses:
		if err := c.Wait(ctx, d, cluster.ErrHostSilent); err != nil {
			return err
		}
		return fmt.Errorf("%w: connection refused", cluster.ErrHostSilent)
	case silent:
		return c.Hang(ctx, cluster.ErrHostSilent)
	}
	return c.Wait(ctx, d+slow, cluster.ErrHostSilent)
}

// call does do on real's hypervisor after d, with the lock held.
func (c *calls) call(ctx context.Context, real netip.Addr, d time.Duration, do func(*world.Host) error) error {
	if err := c.reach(ctx, real, d); err != nil {
		return err
	}
	c.Lock()
	h := c.Hosts[real]
	if h.Silent {
		c.Unlock()
		return c.Hang(ctx, cluster.ErrHostSilent)
	}
	defer c.Unlock()
	return do(h)
}

func (c *calls) isSilent(real netip.Addr) bool {
	c.Lock()
	defer c.Unlock()
	h := c.Hosts[real]
	return h != nil && h.Silent
}

// command does call, which changes something and says when it does. Where its
// caller goes before that, it may come true later.
func (c *calls) command(ctx context.Context, g cluster.Guest, silent error, call func(begun *bool) error, later func(certain bool)) error {
	if ctx.Err() != nil {
		return course.Late(ctx, silent) // not begun
	}
	if c.lates.IsLate(g) {
		err := c.Hang(ctx, silent)
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
func (c *calls) change(ctx context.Context, g cluster.Guest, d time.Duration, do func(*world.Host) error) error {
	return c.command(ctx, g, cluster.ErrHostSilent,
		func(begun *bool) error {
			return c.call(ctx, g.Real, d, func(h *world.Host) error { *begun = true; return do(h) })
		},
		func(certain bool) { c.comesLater(g, certain, do) })
}

// comesLater has the hypervisor of g.Real do what nobody waits for any more, once
// it is back. One that starts anew knows of nothing.
func (c *calls) comesLater(g cluster.Guest, certain bool, do func(*world.Host) error) {
	c.Lock()
	defer c.Unlock()
	h := c.Hosts[g.Real]
	if h == nil {
		return
	}
	life, starts := h.Life, h.Starts
	c.lates.ComesTrue(c.Luck("late ", g.Host), certain,
		func() bool { return h.Life != life || h.Starts != starts || h.Hypervisor == world.Stopped },
		func() bool { return h.Silent },
		func() {
			c.Note("late", h.Name, g.Host, "a command for %s on %s comes true late", g.Host, h.Name)
			_ = do(h) // nobody is told
		})
}

// operation is a long job of a hypervisor. It goes on when its caller gives up.
type operation struct {
	on     *world.Host
	guest  *world.Instance // whose jobs run one after the other; may be nil
	takes  time.Duration
	finish func() error // with the lock held
}

// operate begins a job under the lock and waits for its end; verb is for its error.
func (c *calls) operate(ctx context.Context, verb string, g cluster.Guest, begin func(*world.Host) (operation, error)) error {
	return say(c.waitFor(ctx, g, begin), verb, g)
}

func (c *calls) waitFor(ctx context.Context, g cluster.Guest, begin func(*world.Host) (operation, error)) error {
	var done chan error
	err := c.change(ctx, g, c.Spec.Times.Hypervisor, func(h *world.Host) error {
		op, err := begin(h)
		if err == nil {
			op.on = h
			done = c.launch(op)
		}
		return err
	})
	if err != nil || done == nil {
		return err
	}
	select {
	case err = <-done:
	case <-ctx.Done():
		return cluster.Unknown(course.Late(ctx, cluster.ErrHostSilent))
	case <-c.Quit:
		return course.ErrClosed
	}
	if errors.Is(err, errGone) || c.isSilent(g.Real) {
		return cluster.Unknown(c.Hang(ctx, cluster.ErrHostSilent))
	}
	return err
}

// launch puts op's end on the agenda. Held: the lock.
func (c *calls) launch(op operation) chan error {
	done := make(chan error, 1)
	if op.finish == nil {
		done <- nil
		return done
	}
	end := c.Now
	if op.guest != nil && op.guest.Busy.After(end) {
		end = op.guest.Busy
	}
	end = end.Add(op.takes)
	if op.guest != nil {
		op.guest.Busy = end
	}
	life := op.on.Life
	c.At(end, func() {
		if op.on.Life != life || !op.on.Up() {
			done <- errGone
			return
		}
		done <- op.finish()
	})
	return done
}

func say(err error, verb string, g cluster.Guest) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("cannot %s %s on %s: %w", verb, g.Host, g.Real, err)
}

func sayHost(err error, verb string, real netip.Addr) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("cannot %s %s: %w", verb, real, err)
}
