package watch

import (
	"context"
	"sync/atomic"
	"time"

	"pss-msbs/pkg/clock"
)

// Hearing tells how much of a silence this program was there to hear. It looks
// again and again, in steps; a step in which it overslept proves nothing, for what
// answered meanwhile was not listened to (local health, as in Lifeguard).
type Hearing struct {
	late atomic.Int64 // how often it overslept
	was  int64        // late as the step under way began
}

// Silence is one as this program hears it; the zero Silence is none.
type Silence struct {
	since time.Time
	heard time.Duration // in earlier steps
}

// On reports whether there is one.
func (s Silence) On() bool { return !s.since.IsZero() }

// Begin is a silence that begins now.
func (h *Hearing) Begin(now time.Time) Silence { return Silence{since: now} }

// How often it is looked whether this program oversleeps, and by how much.
const (
	hearingTick = 100 * time.Millisecond
	overslept   = 200 * time.Millisecond
	overWall    = 20 * time.Millisecond // on the wall clock, of a fleet that runs fast
)

// Measure looks out for delays until ctx ends.
func (h *Hearing) Measure(ctx context.Context, clk clock.Clock) {
	least := max(overslept, clk.Emulated(overWall))
	for before := clk.Now(); clk.Sleep(ctx, hearingTick) == nil; {
		now := clk.Now()
		if now.Sub(before)-hearingTick >= least {
			h.late.Add(1)
		}
		before = now
	}
}

// Step ends a step and begins the next, of all silences that are listened to.
func (h *Hearing) Step(now time.Time, silences ...*Silence) {
	for _, s := range silences {
		if s.On() {
			s.heard, s.since = h.Heard(*s, now), now
		}
	}
	h.was = h.late.Load()
}

// Heard is how long a silence has lasted, of what could be heard.
func (h *Hearing) Heard(s Silence, now time.Time) time.Duration {
	if h.late.Load() != h.was {
		return s.heard
	}
	return s.heard + now.Sub(s.since)
}
