package retry

import (
	"sync"
	"time"
)

// Pauses keep what failed from being tried again at once: each failure in a row
// doubles the pause, up to a longest one.
type Pauses struct {
	mu sync.Mutex
	of map[string]rest
}

type rest struct {
	until time.Time
	long  time.Duration
}

// Failed begins a pause: first, or twice the last one, but no more than longest.
func (p *Pauses) Failed(what string, now time.Time, first, longest time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.of == nil {
		p.of = map[string]rest{}
	}
	long := min(max(2*p.of[what].long, first), longest)
	p.of[what] = rest{until: now.Add(long), long: long}
}

// Clear ends the row of failures.
func (p *Pauses) Clear(what string) { p.mu.Lock(); defer p.mu.Unlock(); delete(p.of, what) }

// Waits tells whether a pause lasts.
func (p *Pauses) Waits(what string, now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return now.Before(p.of[what].until)
}
