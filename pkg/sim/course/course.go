// Package course is the course of time in an emulated fleet.
package course

import (
	"context"
	"errors"
	"slices"
	"sort"
	"sync"
	"time"

	"pss-msbs/pkg/clock"
)

// Course is the fleet's own course of time: what will happen, one thing after
// the other, under one lock.
type Course struct {
	Clock    clock.Clock
	conclude func() // from a change
	kick     chan struct{}
	Quit     chan struct{}
	stopped  chan struct{}
	once     sync.Once

	mu     sync.Mutex
	Begun  time.Time
	Now    time.Time // of the action under way
	agenda []item    // in order of time
	Dirty  bool      // something that ownership or power depends on changed
}

// item is something that will happen in the fleet at an emulated instant.
type item struct {
	at time.Time
	do func()
}

// New begins at the time of clk; conclude is called after every change.
func New(clk clock.Clock, conclude func()) *Course {
	now := clk.Now()
	return &Course{Clock: clk, conclude: conclude, Begun: now, Now: now,
		kick: make(chan struct{}, 1), Quit: make(chan struct{}), stopped: make(chan struct{})}
}

// Begin concludes from how things are, does first, and lets time run.
func (c *Course) Begin(first func()) {
	c.Dirty = true
	c.settle()
	first()
	go c.run()
}

// Close ends the fleet; calls that hang return.
func (c *Course) Close() error {
	c.once.Do(func() { close(c.Quit) })
	<-c.stopped
	return nil
}

// settle concludes from changes until nothing changes. Held: the lock.
func (c *Course) settle() {
	for c.Dirty {
		c.Dirty = false
		c.conclude()
	}
}

// Lock takes the fleet, with all that is due by now done.
func (c *Course) Lock() {
	c.mu.Lock()
	c.catchUp()
}

// Unlock lets the fleet go, with all conclusions drawn.
func (c *Course) Unlock() {
	c.settle()
	c.mu.Unlock()
}

// After puts do on the agenda d from now; it runs with the lock held. Held: the lock.
func (c *Course) After(d time.Duration, do func()) { c.At(c.Now.Add(d), do) }

// At puts do on the agenda for t, behind what is there for that instant.
func (c *Course) At(t time.Time, do func()) {
	n := sort.Search(len(c.agenda), func(n int) bool { return c.agenda[n].at.After(t) })
	c.agenda = slices.Insert(c.agenda, n, item{t, do})
	if n == 0 {
		select {
		case c.kick <- struct{}{}:
		default:
		}
	}
}

// Every does do at each interval d, beginning shift after the fleet's start.
func (c *Course) Every(d, shift time.Duration, do func()) {
	var again func()
	next := c.Begun.Add(shift)
	again = func() {
		next = next.Add(d)
		c.At(next, again)
		do()
	}
	c.At(next, again)
}

// catchUp does whatever is due by now, each at its own instant, so that what
// the fleet records does not depend on when a timer really fired. Held: the lock.
func (c *Course) catchUp() {
	now := c.Clock.Now()
	for len(c.agenda) > 0 && !c.agenda[0].at.After(now) {
		x := c.agenda[0]
		c.agenda = slices.Delete(c.agenda, 0, 1)
		if x.at.After(c.Now) {
			c.Now = x.at
		}
		x.do()
		c.settle()
	}
	if now.After(c.Now) {
		c.Now = now
	}
}

// run is the fleet's own course of time.
func (c *Course) run() {
	defer close(c.stopped)
	for {
		c.Lock()
		wait := time.Hour
		if len(c.agenda) > 0 {
			wait = c.agenda[0].at.Sub(c.Now)
		}
		c.Unlock()
		t := time.NewTimer(c.Clock.Wall(wait))
		select {
		case <-c.Quit:
			t.Stop()
			return
		case <-c.kick:
		case <-t.C:
		}
		t.Stop()
	}
}

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
