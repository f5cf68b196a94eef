package clock

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// What waits by the clock of a stopped program goes on when the program does.
func TestHaltedClock(t *testing.T) {
	wait := map[string]func(Clock) error{
		"sleep":           func(c Clock) error { return c.Sleep(context.Background(), time.Second) },
		"after":           func(c Clock) error { <-c.After(time.Second); return nil },
		"cancelled sleep": func(c Clock) error { return sleepUntilDeadline(c) },
	}
	for _, tc := range []struct {
		name string
		do   func(*Halt)
		want time.Duration
	}{
		{"runs", func(*Halt) {}, time.Second},
		{"stopped", func(h *Halt) { h.Stop(10 * time.Second) }, 10 * time.Second},
		{"stopped twice", func(h *Halt) { h.Stop(10 * time.Second); h.Stop(5 * time.Second) }, 10 * time.Second},
		{"stopped briefly", func(h *Halt) { h.Stop(time.Millisecond) }, time.Second},
		{"stopped later", func(h *Halt) { time.AfterFunc(500*time.Millisecond, func() { h.Stop(10 * time.Second) }) }, 10500 * time.Millisecond},
		{"stopped and let go", func(h *Halt) { h.Stop(10 * time.Second); time.AfterFunc(3*time.Second, h.Continue) }, 3 * time.Second},
		{"stopped and killed", func(h *Halt) { h.Stop(10 * time.Second); time.AfterFunc(2*time.Second, h.End) }, 2 * time.Second},
		{"starved", func(h *Halt) { h.Starve(time.Minute, func() time.Duration { return 300 * time.Millisecond }) }, 1300 * time.Millisecond},
		{"starved before", func(h *Halt) { h.Starve(500*time.Millisecond, func() time.Duration { return time.Hour }) }, time.Second},
		{"starved and let go", func(h *Halt) {
			h.Starve(time.Minute, func() time.Duration { return time.Hour })
			time.AfterFunc(2*time.Second, h.Continue)
		}, 2 * time.Second},
	} {
		for how, wait := range wait {
			synctest.Test(t, func(t *testing.T) {
				h := &Halt{}
				tc.do(h)
				begin := time.Now()
				if err := wait(Clock{Halt: h}); err != nil {
					t.Error(err)
				}
				if d := time.Since(begin); d != tc.want {
					t.Errorf("%s, %s: %v, want %v", tc.name, how, d, tc.want)
				}
			})
		}
	}
}

// sleepUntilDeadline sleeps for an hour and a second at most.
func sleepUntilDeadline(c Clock) error {
	ctx, cancel := c.Timeout(context.Background(), time.Second)
	defer cancel()
	if err := c.Sleep(ctx, time.Hour); err != context.DeadlineExceeded {
		return err
	}
	return nil
}

// A deadline of its own is over for a stopped program as for any other.
func TestDeadlinesPassWhileStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := Clock{Halt: &Halt{}}
		ctx, cancel := c.Timeout(t.Context(), time.Second)
		defer cancel()
		c.Halt.Stop(time.Minute)
		begin := time.Now()
		if <-ctx.Done(); time.Since(begin) != time.Second {
			t.Errorf("the deadline passed after %v", time.Since(begin))
		}
	})
}
