package cluster

import "time"

// Work is what the processors of a guest and of its host have done: totals, of
// which two readings make shares. All times are processor time.
type Work struct {
	Used       time.Duration `json:"used"`       // by the guest since it was started
	Cores      int           `json:"cores"`      // of the guest
	Idle       time.Duration `json:"idle"`       // of all the host's processors, without work
	Total      time.Duration `json:"total"`      // of all the host's processors, with work or without
	Processors int           `json:"processors"` // of the host
}

// Shares are what was done between two readings, each from 0 to 1.
type Shares struct {
	Guest float64 // of its processors, used by the guest
	Idle  float64 // of the host's processors, without work
	Room  float64 // of them, without work but the guest's own
}

// leastBetween is the time between two readings below which the grain of the
// kernel's counters (10 ms) weighs too much.
const leastBetween = 500 * time.Millisecond

// Continues reports whether w may be a later reading than was of the same life of
// guest and host: totals never decrease.
func (w Work) Continues(was Work) bool {
	return w.Used >= was.Used && w.Total >= was.Total && w.Cores == was.Cores && w.Processors == was.Processors
}

// Passed is the time between two readings, by the host's own counters.
func (w Work) Passed(was Work) time.Duration {
	return (w.Total - was.Total) / time.Duration(max(1, w.Processors))
}

// Since is what was done after the reading was. It reports false where the two do
// not belong together, or are too close.
func (w Work) Since(was Work) (Shares, bool) {
	passed := w.Passed(was)
	if passed < leastBetween || w.Cores < 1 || !w.Continues(was) {
		return Shares{}, false
	}
	used, idle := w.Used-was.Used, max(0, w.Idle-was.Idle) // a kernel's idle time may go back a little
	of := func(part time.Duration, processors int) float64 {
		return min(1, float64(part)/float64(passed)/float64(processors))
	}
	return Shares{Guest: of(used, w.Cores), Idle: of(idle, w.Processors), Room: of(used+idle, w.Processors)}, true
}
