package sim

import (
	"container/heap"
	"sync"
	"time"

	"pss-msbs/pkg/clock"
)

// item is something that will happen in the fleet at an emulated instant.
type item struct {
	at  time.Time
	seq int // first come, first served within an instant
	do  func()
}

type agenda []item

func (a agenda) Len() int { return len(a) }
func (a agenda) Less(i, j int) bool {
	if a[i].at.Equal(a[j].at) {
		return a[i].seq < a[j].seq
	}
	return a[i].at.Before(a[j].at)
}
func (a agenda) Swap(i, j int) { a[i], a[j] = a[j], a[i] }
func (a *agenda) Push(x any)   { *a = append(*a, x.(item)) }
func (a *agenda) Pop() any {
	old := *a
	x := old[len(old)-1]
	*a = old[:len(old)-1]
	return x
}

// course is the fleet's own course of time: what will happen, one thing after
// the other, under one lock.
type course struct {
	clk      clock.Clock
	conclude func() // from a change
	kick     chan struct{}
	quit     chan struct{}
	stopped  chan struct{}
	once     sync.Once

	mu     sync.Mutex
	start  time.Time
	now    time.Time // of the action under way
	seq    int
	agenda agenda
	dirty  bool // something that ownership or power depends on changed
}

// newCourse begins at the time of clk; conclude is called after every change.
func newCourse(clk clock.Clock, conclude func()) *course {
	now := clk.Now()
	return &course{clk: clk, conclude: conclude, start: now, now: now,
		kick: make(chan struct{}, 1), quit: make(chan struct{}), stopped: make(chan struct{})}
}

// begin concludes from how things are, does first, and lets time run.
func (c *course) begin(first func()) {
	c.dirty = true
	c.settle()
	first()
	go c.run()
}

// Close ends the fleet; calls that hang return.
func (c *course) Close() error {
	c.once.Do(func() { close(c.quit) })
	<-c.stopped
	return nil
}

// settle concludes from changes until nothing changes. Held: mu.
func (c *course) settle() {
	for c.dirty {
		c.dirty = false
		c.conclude()
	}
}

// after puts do on the agenda d from now; it runs with the lock held. Held: m.mu.
func (c *course) after(d time.Duration, do func()) { c.at(c.now.Add(d), do) }

func (c *course) at(t time.Time, do func()) {
	c.seq++
	heap.Push(&c.agenda, item{at: t, seq: c.seq, do: do})
	if c.agenda[0].seq == c.seq {
		select {
		case c.kick <- struct{}{}:
		default:
		}
	}
}

// catchUp does whatever is due by now, each at its own instant, so that what
// the fleet records does not depend on when a timer really fired. Held: m.mu.
func (c *course) catchUp() {
	now := c.clk.Now()
	for len(c.agenda) > 0 && !c.agenda[0].at.After(now) {
		x := heap.Pop(&c.agenda).(item)
		if x.at.After(c.now) {
			c.now = x.at
		}
		x.do()
		c.settle()
	}
	if now.After(c.now) {
		c.now = now
	}
}

// run is the fleet's own course of time.
func (c *course) run() {
	defer close(c.stopped)
	for {
		c.lock()
		wait := time.Hour
		if len(c.agenda) > 0 {
			wait = c.agenda[0].at.Sub(c.now)
		}
		c.unlock()
		t := time.NewTimer(c.clk.Wall(wait))
		select {
		case <-c.quit:
			t.Stop()
			return
		case <-c.kick:
		case <-t.C:
		}
		t.Stop()
	}
}

func (c *course) lock() {
	c.mu.Lock()
	c.catchUp()
}

func (c *course) unlock() {
	c.settle()
	c.mu.Unlock()
}
