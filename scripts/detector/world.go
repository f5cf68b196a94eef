package main

import (
	"math/rand/v2"
	"time"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/detector"
	"pss-msbs/pkg/sim"
)

// fault is what is really wrong with the target.
type fault int

const (
	sound fault = iota
	crash
	shutdown
	cut
	freeze        // of the kernel
	serviceFreeze // of one daemon
)

var faults = []fault{crash, shutdown, cut, freeze, serviceFreeze}

func (f fault) String() string {
	return [...]string{"sound", "crash", "shutdown", "cut", "freeze", "service freeze"}[f]
}

// world is a server, its host and the networks to them.
type world struct {
	rnd *rand.Rand
	row row

	lossy, stops, overload, jams, pauses, blackout *course

	fault fault
	at    time.Duration // since when it is wrong
	knows time.Duration // when its hypervisor knows
	clean sim.Path
}

func newWorld(r row, rnd *rand.Rand) *world {
	w := &world{rnd: rnd, row: r, at: never, knows: never}
	w.lossy, w.stops = newCourse(r.lossy, rnd), newCourse(r.stops, rnd)
	w.overload, w.pauses, w.blackout = newCourse(r.overload, rnd), newCourse(r.pauses, rnd), newCourse(r.blackout, rnd)
	w.jams = newCourse(r.jams, rnd)
	w.clean = r.path
	w.clean.LossOut, w.clean.LossBack = 0, 0
	return w
}

// pass lets time go on to now.
func (w *world) pass(now time.Duration) {
	for _, c := range []*course{w.lossy, w.overload, w.jams, w.pauses, w.blackout} {
		c.pass(now)
	}
}

// quietUntil is when the next spell begins of those that change more than the
// loss; now, in the midst of one.
func (w *world) quietUntil(now time.Duration) time.Duration {
	next := never
	for _, c := range []*course{w.stops, w.overload, w.pauses, w.blackout} {
		next = min(next, c.after(now))
	}
	return next
}

// strike makes the target wrong from at on.
func (w *world) strike(f fault, at time.Duration) {
	w.fault, w.at, w.knows = f, at, never
	switch f {
	case crash:
		w.knows = at + 100*time.Millisecond
	case shutdown:
		w.knows = at + 130*time.Millisecond + w.upTo(120*time.Millisecond)
	}
}

func (w *world) mend() { w.fault, w.at, w.knows = sound, never, never }

func (w *world) upTo(d time.Duration) time.Duration { return time.Duration(w.rnd.Int64N(int64(d) + 1)) }

func (w *world) exp(mean time.Duration) time.Duration {
	return time.Duration(w.rnd.ExpFloat64() * float64(mean))
}

// path is the network at t.
func (w *world) path(t time.Duration) sim.Path {
	if w.row.lossy.gap > 0 {
		if _, _, lossy := w.lossy.in(t); !lossy {
			return w.clean
		}
	}
	return w.row.path
}

// passes is when a packet that is sent over and over may first pass at t or later.
func (w *world) passes(t time.Duration) time.Duration {
	if to, _, away := w.blackout.in(t); away {
		return to
	}
	return t
}

// runs is when the guest's processor works on what comes at t.
func (w *world) runs(t time.Duration) time.Duration {
	if to, _, paused := w.pauses.in(t); paused {
		return to
	}
	if to, _, jam := w.jams.in(t); jam {
		if end, _, over := w.overload.in(t); over {
			return min(to, end)
		}
	}
	return t
}

// drops reports whether what comes at t is dropped, as it is at the end of a
// migration. A guest that is merely held up has it in its queue.
func (w *world) drops(t time.Duration) bool {
	_, bits, paused := w.pauses.in(t)
	return paused && bits&dropping != 0
}

// lives reports whether the guest's kernel does anything at t.
func (w *world) lives(t time.Duration) bool {
	return t < w.at || w.fault == sound || w.fault == cut || w.fault == serviceFreeze
}

// reached reports whether the guest's network answers at t.
func (w *world) reached(t time.Duration) bool {
	return t < w.at || w.fault == sound || w.fault == serviceFreeze
}

// busy is how much a busy guest adds.
func (w *world) busy(t, mean time.Duration) time.Duration {
	if _, _, over := w.overload.in(t); over {
		return w.exp(mean)
	}
	return 0
}

// ping is when the echo of a ping of t comes; never: not.
func (w *world) ping(t time.Duration) time.Duration {
	rtt, lost := w.path(t).Ping(w.rnd)
	if lost || w.passes(t) != t {
		return never
	}
	there := w.runs(t+rtt/2) + w.busy(t, 20*time.Millisecond)
	if !w.reached(there) || w.drops(t+rtt/2) {
		return never
	}
	return there + rtt - rtt/2
}

// hostPing is the same of the target's host, or of a reference.
func (w *world) hostPing(t time.Duration) time.Duration {
	rtt, lost := w.path(t).Ping(w.rnd)
	if lost || w.passes(t) != t {
		return never
	}
	return t + rtt
}

func (w *world) refPing(t time.Duration) time.Duration {
	rtt, lost := w.path(t).Ping(w.rnd)
	if lost {
		return never
	}
	return t + rtt
}

// greet is when the greeting of a connection opened at t comes. Only the first
// daemon freezes.
func (w *world) greet(t time.Duration, first bool) time.Duration {
	p := w.path(t)
	there := w.runs(w.passes(t) + p.Connect(w.rnd))
	if !w.reached(there) || w.fault == serviceFreeze && first && there >= w.at {
		return never
	}
	took := 2*time.Millisecond + w.exp(3*time.Millisecond)
	if _, _, over := w.overload.in(there); over {
		took = time.Second + w.upTo(3500*time.Millisecond)
	}
	at := w.runs(there+took) + p.Exchange(w.rnd, 1)
	if at >= w.at && !w.reached(at) {
		return never
	}
	return at
}

// call is when a request to the hypervisor of t has its reply, apart from what
// the hypervisor needs for it.
func (w *world) call(t time.Duration) time.Duration {
	return w.passes(t) + w.path(t).Exchange(w.rnd, 1)
}

// hypervisor is its word on the guest; a question while it clears away a
// crashed guest waits for the end of that.
func (w *world) hypervisor(t time.Duration) (time.Duration, cluster.GuestState) {
	at := w.call(t) + 3*time.Millisecond + w.exp(3*time.Millisecond)
	if at >= w.at && at < w.knows && w.fault == crash {
		at = w.knows
	}
	if at >= w.knows {
		if w.fault == crash {
			return at, cluster.GuestCrashed
		}
		return at, cluster.GuestOff
	}
	if w.saysPaused(at) {
		return at, cluster.GuestPaused
	}
	return at, cluster.GuestRunning
}

// work is when the hypervisor says what the processors have done, one of the guest
// and four of its host, and what: a guest uses a tenth of its own, all of it while
// it is overloaded, and nothing while it is held, frozen or off.
func (w *world) work(t time.Duration) (time.Duration, cluster.Work) {
	at := w.call(t) + 3*time.Millisecond + w.exp(3*time.Millisecond)
	lived := at
	if !w.lives(at) {
		lived = w.at
	}
	busy := w.overload.before(lived)
	used := busy + (lived-busy-w.pauses.before(lived))/10
	return at, cluster.Work{Used: used, Cores: 1, Idle: 4*at - used, Total: 4 * at, Processors: 4}
}

// saysPaused reports whether the hypervisor calls the guest paused at t.
func (w *world) saysPaused(t time.Duration) bool {
	_, bits, paused := w.pauses.in(t)
	return paused && bits&said != 0
}

// agent is when the guest agent's word comes; a closed channel is a refusal.
func (w *world) agent(t time.Duration) (time.Duration, detector.Outcome) {
	at := w.call(t)
	switch {
	case w.saysPaused(at):
		return at + 5*time.Millisecond, detector.Silent
	case at >= w.at && w.fault == crash:
		return max(at, w.knows), detector.Refused
	case at >= w.at && w.fault == shutdown:
		return max(at, w.at+100*time.Millisecond), detector.Refused
	case at >= w.at && w.fault == freeze:
		return never, detector.Silent
	}
	took := 15*time.Millisecond + w.exp(15*time.Millisecond) + w.busy(at, 500*time.Millisecond)
	done := w.runs(w.runs(at) + took)
	if !w.lives(done) {
		return never, detector.Silent
	}
	return done, detector.Answered
}

// wouldAnswer reports whether a client that comes at t gets its answer within
// patience, on a network without loss.
func (w *world) wouldAnswer(t, patience time.Duration) bool {
	there := w.runs(t)
	took := 5 * time.Millisecond
	if _, _, over := w.overload.in(there); over {
		took = time.Second + w.upTo(3500*time.Millisecond)
	}
	return w.runs(there+took)-t <= patience
}
