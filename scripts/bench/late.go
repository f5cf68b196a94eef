package main

import (
	"fmt"
	"slices"
	"time"
)

// spread is a distribution of durations.
type spread []time.Duration

func (s spread) at(q float64) time.Duration {
	if len(s) == 0 {
		return 0
	}
	slices.Sort(s)
	return s[min(len(s)-1, int(q*float64(len(s))))]
}

func (s spread) String() string {
	r := func(d time.Duration) string { return fmt.Sprintf("%7.3f", d.Seconds()) }
	return fmt.Sprintf("%5d  p50 %s  p99 %s  max %s", len(s), r(s.at(0.5)), r(s.at(0.99)), r(s.at(1)))
}

// lateness is by how much every cycle of a monitor that asks each interval came
// late. Questions closer than half an interval belong to one cycle.
func lateness(asked map[string][]time.Time, interval time.Duration) spread {
	var out spread
	for _, times := range asked {
		var last time.Time
		for _, t := range times {
			gap := t.Sub(last)
			if !last.IsZero() && gap < interval/2 {
				continue
			}
			if !last.IsZero() {
				out = append(out, max(0, gap-interval))
			}
			last = t
		}
	}
	return out
}
