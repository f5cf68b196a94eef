// Package patience waits for what is about to answer, and gives undoing the time
// that its cause no longer has.
package patience

import (
	"context"
	"time"

	"pss-msbs/pkg/clock"
)

// The first attempt's time, the longest attempt's, and the pause between two.
const (
	first   = 200 * time.Millisecond
	longest = 3 * time.Second
	pause   = 50 * time.Millisecond
)

// Until repeats one call until it succeeds; the error is that of the last
// attempt that ended by itself. An attempt gets twice the time of the one
// before, up to a few seconds: one that began just before the other side came up
// must not hide that it is up, nor may a slow answer never be waited for.
func Until(ctx context.Context, clk clock.Clock, call func(context.Context) error) error {
	last, patience := error(nil), first
	err := clk.Poll(ctx, pause, func() bool {
		one, cancel := clk.Timeout(ctx, patience)
		defer cancel()
		patience = min(2*patience, longest)
		err := call(one)
		if err == nil || ctx.Err() == nil || last == nil {
			last = err
		}
		return err == nil
	})
	if err != nil && last != nil {
		return last
	}
	return err
}

// Detached is a context for undoing: it outlives ctx by at most d.
func Detached(ctx context.Context, clk clock.Clock, d time.Duration) (context.Context, context.CancelFunc) {
	return clk.Timeout(context.WithoutCancel(ctx), d)
}
