package clock

import (
	"sync"
	"sync/atomic"
	"time"
)

// Halt stops one program of an emulation, as SIGSTOP does, or keeps it short of
// processor: what waits by the program's clock goes on only when the program
// does. Time, and the deadlines of its contexts, pass all the same. A nil Halt
// stops nothing.
type Halt struct {
	used   atomic.Bool // something was ever set
	mu     sync.Mutex
	until  time.Time // stopped
	short  time.Time // short of processor until then
	lag    func() time.Duration
	ended  bool
	change chan struct{} // closed when any of these changes
}

// Stop has the program do nothing for d from now on; a stop under way ends no sooner.
func (h *Halt) Stop(d time.Duration) {
	h.set(func() {
		if until := time.Now().Add(d); until.After(h.until) {
			h.until = until
		}
	})
}

// Starve has every step of the program wait for lag's time, for d from now on.
func (h *Halt) Starve(d time.Duration, lag func() time.Duration) {
	h.set(func() { h.short, h.lag = time.Now().Add(d), lag })
}

// Continue ends what stops or starves the program.
func (h *Halt) Continue() { h.set(func() { h.until, h.short = time.Time{}, time.Time{} }) }

// End lets everything pass for good: the program is gone.
func (h *Halt) End() { h.set(func() { h.ended = true }) }

func (h *Halt) set(do func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	do()
	h.used.Store(true)
	if h.change != nil {
		close(h.change)
		h.change = nil
	}
}

// Pass returns once the program runs.
func (h *Halt) Pass() {
	if h == nil || !h.used.Load() {
		return
	}
	if d, change := h.wait(true); d > 0 {
		pause(d, change)
	}
	for {
		d, change := h.wait(false)
		if d <= 0 {
			return
		}
		pause(d, change)
	}
}

// pause waits for d, or until something changes.
func pause(d time.Duration, change <-chan struct{}) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-change:
	}
}

// wait is how long the program does nothing: for its lack of processor, or
// because it is stopped.
func (h *Halt) wait(short bool) (time.Duration, <-chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.change == nil {
		h.change = make(chan struct{})
	}
	now := time.Now()
	switch {
	case h.ended:
		return 0, h.change
	case !short:
		return h.until.Sub(now), h.change
	case now.Before(h.short):
		return h.lag(), h.change
	}
	return 0, h.change
}
