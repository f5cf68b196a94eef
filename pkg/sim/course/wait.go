package course

import (
	"context"
	"errors"
	"time"
)

// ErrClosed is why calls end with the fleet.
var ErrClosed = errors.New("the emulated fleet has ended")

// Hang waits as a caller does whose peer keeps silent: until its own deadline.
func (c *Course) Hang(ctx context.Context, why error) error { return c.Outlast(ctx, nil, why) }

// Outlast waits until what holds the one asked is over.
func (c *Course) Outlast(ctx context.Context, over <-chan struct{}, why error) error {
	select {
	case <-over:
		return nil
	case <-ctx.Done():
		return Late(ctx, why)
	case <-c.Quit:
		return ErrClosed
	}
}

// Patient is ctx, with an end where it has none: after limit.
func (c *Course) Patient(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, c.Clock.Wall(limit))
}

// brief is a time so short that nothing but a deadline breaks it off.
const brief = 3 * time.Millisecond

// Wait lets d pass. A deadline that ends first means that nobody answered in
// time: why. On a busy machine both may be over; then the answer counts.
func (c *Course) Wait(ctx context.Context, d time.Duration, why error) error {
	begin := time.Now()
	if d <= 0 { // see clock.Sleep
		return nil
	}
	if end, ok := ctx.Deadline(); d <= brief && ok && end.Sub(begin) > c.Clock.Wall(d) {
		time.Sleep(c.Clock.Wall(d))
		return nil
	}
	t := time.NewTimer(c.Clock.Wall(d))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-c.Quit:
		return ErrClosed
	case <-ctx.Done():
		if time.Since(begin) >= c.Clock.Wall(d) {
			return nil
		}
		return Late(ctx, why)
	}
}

// Late is why a call ended with its context.
func Late(ctx context.Context, why error) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return ctx.Err()
	}
	return why
}
