// Package retry waits for what is about to answer, and gives undoing the time
// that its cause no longer has.
package retry

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
	return until(ctx, clk, call, func(time.Duration) time.Duration { return pause })
}

// Booted is Until for what takes half a minute in any case: the longer it takes
// the longer are the pauses, up to half a second.
func Booted(ctx context.Context, clk clock.Clock, call func(context.Context) error) error {
	return until(ctx, clk, call, func(gone time.Duration) time.Duration { return min(max(pause, gone/20), 10*pause) })
}

// until is Until with a pause that depends on the time gone by.
func until(ctx context.Context, clk clock.Clock, call func(context.Context) error, rest func(gone time.Duration) time.Duration) error {
	last, begun := error(nil), clk.Now()
	for patience := first; ; patience = min(2*patience, longest) {
		err := attempt(ctx, clk, patience, call)
		if err == nil {
			return nil
		}
		if ctx.Err() == nil || last == nil {
			last = err
		}
		if clk.Sleep(ctx, rest(clk.Since(begun))) != nil {
			return last
		}
	}
}

func attempt(ctx context.Context, clk clock.Clock, d time.Duration, call func(context.Context) error) error {
	ctx, cancel := clk.Timeout(ctx, d)
	defer cancel()
	return call(ctx)
}

// Detached is a context for undoing: it outlives ctx by at most d.
func Detached(ctx context.Context, clk clock.Clock, d time.Duration) (context.Context, context.CancelFunc) {
	return clk.Timeout(context.WithoutCancel(ctx), d)
}
