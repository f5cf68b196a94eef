package sim

import (
	"container/heap"
	"time"
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

// after puts do on the agenda d from now; it runs with the lock held. Held: m.mu.
func (m *Model) after(d time.Duration, do func()) { m.at(m.now.Add(d), do) }

func (m *Model) at(t time.Time, do func()) {
	m.seq++
	heap.Push(&m.agenda, item{at: t, seq: m.seq, do: do})
	if m.agenda[0].seq == m.seq {
		select {
		case m.kick <- struct{}{}:
		default:
		}
	}
}

// catchUp does whatever is due by now, each at its own instant, so that what
// the fleet records does not depend on when a timer really fired. Held: m.mu.
func (m *Model) catchUp() {
	now := m.clk.Now()
	for len(m.agenda) > 0 && !m.agenda[0].at.After(now) {
		x := heap.Pop(&m.agenda).(item)
		if x.at.After(m.now) {
			m.now = x.at
		}
		x.do()
		m.settle()
	}
	if now.After(m.now) {
		m.now = now
	}
}

// run is the fleet's own course of time.
func (m *Model) run() {
	defer close(m.stopped)
	for {
		m.lock()
		wait := time.Hour
		if len(m.agenda) > 0 {
			wait = m.agenda[0].at.Sub(m.now)
		}
		m.unlock()
		t := time.NewTimer(m.clk.Wall(wait))
		select {
		case <-m.quit:
			t.Stop()
			return
		case <-m.kick:
		case <-t.C:
		}
		t.Stop()
	}
}

func (m *Model) lock() {
	m.mu.Lock()
	m.catchUp()
}

func (m *Model) unlock() {
	m.settle()
	m.mu.Unlock()
}
