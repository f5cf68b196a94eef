package sim

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"pss-msbs/pkg/cluster"
)

// errClosed is why calls end with the fleet.
var errClosed = errors.New("the emulated fleet has ended")

// errGone is why an operation ends with its real server.
var errGone = errors.New("the real server was lost meanwhile")

// hang waits as a caller does whose peer keeps silent: until its own deadline.
func (c *course) hang(ctx context.Context, why error) error {
	select {
	case <-ctx.Done():
		return late(ctx, why)
	case <-c.quit:
		return errClosed
	}
}

// patient is ctx, with an end where it has none: after limit.
func (c *course) patient(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, c.clk.Wall(limit))
}

// brief is a time so short that nothing but a deadline breaks it off.
const brief = 3 * time.Millisecond

// wait lets d pass. A deadline that ends first means that nobody answered in
// time: why. On a busy machine both may be over; then the answer counts.
func (c *course) wait(ctx context.Context, d time.Duration, why error) error {
	begin := time.Now()
	if d <= 0 { // see clock.Sleep
		return nil
	}
	if end, ok := ctx.Deadline(); d <= brief && ok && end.Sub(begin) > c.clk.Wall(d) {
		time.Sleep(c.clk.Wall(d))
		return nil
	}
	t := time.NewTimer(c.clk.Wall(d))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-c.quit:
		return errClosed
	case <-ctx.Done():
		if time.Since(begin) >= c.clk.Wall(d) {
			return nil
		}
		return late(ctx, why)
	}
}

// late is why a call ended with its context.
func late(ctx context.Context, why error) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return ctx.Err()
	}
	return why
}

// calls are the calls of hypervisors.
type calls struct {
	*world
	net   *network
	lates *lates
}

// reach waits until real's hypervisor has answered a call that takes d; a
// silent one hangs, one whose daemon is stopped refuses at once.
func (c *calls) reach(ctx context.Context, real netip.Addr, d time.Duration) error {
	c.lock()
	h := c.hosts[real]
	if h == nil {
		c.unlock()
		return fmt.Errorf("no real server %s", real)
	}
	silent, refuses, slow := h.silent, c.net.answersPing(h) && h.hypervisor == stopped, h.slow
	if p := c.net.toHypervisor(h); d > 0 && p != (Path{}) {
		slow += p.Exchange(c.luck("call ", h.Name, " ", d.String()), 1)
	}
	if !silent {
		c.net.heard(h)
	}
	c.unlock()
	switch {
	case refuses:
		if err := c.wait(ctx, d, cluster.ErrHostSilent); err != nil {
			return err
		}
		return fmt.Errorf("%w: connection refused", cluster.ErrHostSilent)
	case silent:
		return c.hang(ctx, cluster.ErrHostSilent)
	}
	return c.wait(ctx, d+slow, cluster.ErrHostSilent)
}

// call does do on real's hypervisor after d, with the lock held.
func (c *calls) call(ctx context.Context, real netip.Addr, d time.Duration, do func(*host) error) error {
	if err := c.reach(ctx, real, d); err != nil {
		return err
	}
	c.lock()
	h := c.hosts[real]
	if h.silent {
		c.unlock()
		return c.hang(ctx, cluster.ErrHostSilent)
	}
	defer c.unlock()
	return do(h)
}

// operation is a long job of a hypervisor. It goes on when its caller gives up.
type operation struct {
	on     *host
	guest  *instance // whose jobs run one after the other; may be nil
	takes  time.Duration
	finish func() error // with the lock held
}

// operate begins a job under the lock and waits for its end.
func (c *calls) operate(ctx context.Context, g cluster.Guest, begin func(*host) (operation, error)) error {
	var done chan error
	err := c.change(ctx, g, c.spec.Times.Hypervisor, func(h *host) error {
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
		return cluster.Unknown(late(ctx, cluster.ErrHostSilent))
	case <-c.quit:
		return errClosed
	}
	if errors.Is(err, errGone) || c.isSilent(g.Real) {
		return cluster.Unknown(c.hang(ctx, cluster.ErrHostSilent))
	}
	return err
}

// launch puts op's end on the agenda. Held: m.mu.
func (c *calls) launch(op operation) chan error {
	done := make(chan error, 1)
	if op.finish == nil {
		done <- nil
		return done
	}
	end := c.now
	if op.guest != nil && op.guest.busy.After(end) {
		end = op.guest.busy
	}
	end = end.Add(op.takes)
	if op.guest != nil {
		op.guest.busy = end
	}
	life := op.on.life
	c.at(end, func() {
		if op.on.life != life || !op.on.up() {
			done <- errGone
			return
		}
		done <- op.finish()
	})
	return done
}

func (c *calls) isSilent(real netip.Addr) bool {
	c.lock()
	defer c.unlock()
	h := c.hosts[real]
	return h != nil && h.silent
}
