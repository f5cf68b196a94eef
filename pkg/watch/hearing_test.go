package watch

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"pss-msbs/pkg/clock"
	"pss-msbs/pkg/task"
)

// A step in which the program did not run is no silence of anybody.
func TestHearing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h Hearing
		clk := clock.Clock{Halt: &clock.Halt{}}
		meter := task.Go(t.Context(), func(ctx context.Context) { h.Measure(ctx, clk) })
		defer meter.Stop()
		s := h.Begin(clk.Now())
		step := func(d time.Duration) {
			time.Sleep(d)
			h.Step(clk.Now(), &s)
		}
		step(time.Second)
		step(time.Second)
		clk.Halt.Stop(5 * time.Second)
		step(5500 * time.Millisecond)
		step(time.Second)
		time.Sleep(500 * time.Millisecond)
		if heard := h.Heard(s, clk.Now()); heard < 3400*time.Millisecond || heard > 3600*time.Millisecond {
			t.Errorf("heard %v of 9 s, want 3.5 s", heard)
		}
		if (Silence{}).On() || !s.On() {
			t.Error("a silence is none, or none is one")
		}
	})
}
