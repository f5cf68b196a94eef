package main

import (
	"math/rand/v2"
	"time"

	"pss-msbs/pkg/detector"
)

// run is one monitor that watches one target in virtual time: the executor of
// a detector, as dbss is.
type run struct {
	w      *world
	rnd    *rand.Rand
	d      *detector.Detector
	p      profile
	epoch  time.Time
	now    time.Duration
	wake   time.Duration // when the detector wants to be asked again
	tick   time.Duration // of the next monitoring
	queue  queue
	paused time.Duration // the pause whose report is on its way
	well   bool          // nothing is in doubt
	slowly bool          // nothing is skipped: only tests want that
	drawn  time.Duration // when the echo of the next ping comes, if that is known; never: not

	examined time.Duration // the last monitoring
	whole    bool          // it was answered in full

	alarmed bool
	found   time.Duration // when the fault was believed; never: not yet
	tally   tally
	rivals  []rival
	late    []event // what waits for a program that was stopped
}

func newRun(r row, p profile, seed uint64, rivals bool) *run {
	rnd := rand.New(rand.NewPCG(seed, 0x9e3779b97f4a7c15))
	w := newWorld(r, rnd)
	n := &run{w: w, rnd: rnd, p: p, d: detector.New(p.config, daemons()), found: never,
		epoch: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	if rivals {
		n.rivals = newRivals(w, n)
	}
	n.tick = w.upTo(p.every)
	n.d.Begin(n.time(0))
	return n
}

func (r *run) time(t time.Duration) time.Time { return r.epoch.Add(t) }

// until plays on to end, or until the fault is believed.
func (r *run) until(end time.Duration) {
	for r.found == never {
		r.skip(end)
		next := min(r.wake, r.tick, r.queue.next())
		if next >= end && r.now < end {
			r.now = end
			r.pass()
			return
		}
		if next < r.now || r.asleep(next) {
			r.woken()
		} else {
			r.now = next
			r.handle()
		}
		r.pass()
		if r.now >= end {
			return
		}
	}
}

// skip plays pings that are answered at once, while nothing else is going on
// and none is due.
func (r *run) skip(end time.Duration) {
	if r.slowly || !r.well || len(r.queue) > 0 || r.drawn != 0 || r.p.config.Interval == 0 || r.wake <= r.now {
		return
	}
	alone := r.d.QuietUntil()
	if alone.IsZero() {
		return
	}
	last := min(end, r.tick, r.w.quietUntil(r.now), r.w.at, alone.Sub(r.epoch)) - time.Second
	if r.wake >= last {
		return
	}
	for r.wake < last {
		came := r.w.ping(r.wake)
		if took := came - r.wake; took > r.p.config.Grain {
			r.drawn = came
			break
		}
		r.now = came
		r.wake = r.d.Quiet(r.time(r.wake), came-r.wake).Sub(r.epoch)
	}
	r.pass()
}

// asleep puts the program to sleep if it is stopped at t, and wakes it.
func (r *run) asleep(t time.Duration) bool {
	s := r.w.stops
	if s.bits&inside != 0 || t < s.from {
		return false
	}
	r.now = max(t, s.to)
	s.draw()
	return true
}

// woken handles what has piled up while the program did not run: its timers
// have expired and answers lie in its sockets, and which it sees first is luck.
// A question whose deadline has passed meanwhile is read or given up by the same
// luck, and void if it is given up late.
func (r *run) woken() {
	r.late = r.late[:0]
	for r.queue.next() <= r.now {
		e := r.queue.pop()
		answered := e.kind != told || e.answer.Outcome == detector.Answered
		if e.kind == told && answered && e.deadline <= r.now && r.rnd.IntN(2) == 0 {
			e.answer.Outcome, answered = detector.Silent, false
		}
		if !answered && e.answer.Outcome == detector.Silent && r.now > e.asked+e.answer.Patience+voidAfter {
			e.answer.Outcome = detector.Void
		}
		r.late = append(r.late, e)
	}
	r.rnd.Shuffle(len(r.late), func(i, j int) { r.late[i], r.late[j] = r.late[j], r.late[i] })
	if r.rnd.IntN(2) == 0 {
		r.handleTimers()
	}
	for _, e := range r.late {
		r.take(e)
		r.step()
	}
	r.handleTimers()
}

// voidAfter is how late a question may be given up that counts as unanswered.
const voidAfter = 100 * time.Millisecond

// handle does what is due now.
func (r *run) handle() {
	for r.queue.next() <= r.now {
		r.take(r.queue.pop())
	}
	r.handleTimers()
}

func (r *run) handleTimers() {
	if r.tick <= r.now {
		r.d.Pause()
		r.d.Examine(r.time(r.now))
		r.examined, r.whole = r.now, false
		for r.tick <= r.now {
			r.tick += r.p.every
		}
	}
	r.step()
}

func (r *run) take(e event) {
	switch e.kind {
	case reported:
		r.d.Rouse(r.time(r.now))
	case looked:
		r.d.Pause()
	default:
		r.d.Tell(r.time(r.now), e.answer)
	}
}

// step asks what is to be asked and weighs what is known. The program may be
// stopped just after it has decided to ask.
func (r *run) step() {
	questions, wake := r.d.Ask(r.time(r.now))
	r.wake = wake.Sub(r.epoch)
	v := r.d.Verdict(r.time(r.now))
	sent := r.now
	if s := r.w.stops; len(questions) > 0 && s.bits&inside != 0 && sent >= s.from {
		sent += s.to - s.from
		s.draw()
	}
	for _, q := range questions {
		r.ask(q, sent)
	}
	r.judge(v)
	r.well = v.Level == detector.Well && len(r.queue) == 0
	r.now = max(r.now, sent)
	r.lookAtVIPs()
}

// lookAtVIPs is what dbss does once its target has answered in full: beside its
// watch it asks the agent for the target's addresses.
func (r *run) lookAtVIPs() {
	if r.whole || r.alarmed || !r.d.Heard(r.time(r.examined)) {
		return
	}
	r.whole = true
	at, _ := r.w.agent(r.now)
	at = min(at, r.now+time.Second)
	r.queue.push(event{at: at, deadline: never, kind: looked})
}

// ask puts q on the way at sent; now is when it was decided to.
func (r *run) ask(q detector.Question, sent time.Duration) {
	e := event{asked: r.now, deadline: sent + q.Patience, answer: detector.Answer{Question: q}}
	switch q.Kind {
	case detector.Ping:
		if e.at = r.drawn; e.at == 0 {
			e.at = r.w.ping(sent)
		}
		r.drawn = 0
	case detector.Host:
		e.at = r.w.hostPing(sent)
	case detector.Reference:
		e.at = r.w.refPing(sent)
	case detector.Greet:
		e.at = r.w.greet(sent, q.Daemon == daemons()[0])
		for _, v := range r.rivals {
			v.greeted(sent, e.at)
		}
	case detector.Hypervisor:
		e.at, e.answer.State = r.w.hypervisor(sent)
	case detector.Work:
		e.at, e.answer.Work = r.w.work(sent)
	case detector.Agent:
		e.at, e.answer.Outcome = r.w.agent(sent)
	}
	if e.at > e.deadline {
		e.at, e.answer.Outcome = e.deadline, detector.Silent
	}
	r.queue.push(e)
}

// pass lets the world go on to now.
func (r *run) pass() {
	r.w.pass(r.now)
	for _, v := range r.rivals {
		v.pass(r.now)
	}
	if next := r.w.pauses.next; r.p.events && next != r.paused && next < never {
		r.paused = next
		if r.w.pauses.bitsNext&said != 0 {
			r.report(next + 40*time.Millisecond)
		}
	}
}

// report has the hypervisor's report of at reach the program.
func (r *run) report(at time.Duration) {
	r.queue.push(event{at: r.w.call(at), deadline: never, kind: reported})
}

// judge counts what the detector thinks.
func (r *run) judge(v detector.Verdict) {
	struck := r.now >= r.w.at
	switch {
	case v.Level == detector.Believe && struck:
		r.found = r.now
	case v.Level == detector.Believe:
		r.tally.takeover(v, r.w.wouldAnswer(r.now, patience))
		if r.alarmed {
			r.tally.Alarms--
		}
		r.again(time.Minute)
	case v.Level == detector.Alarm && !r.alarmed && !struck:
		r.tally.Alarms++
		r.alarmed = true
	case v.Level == detector.Well && r.alarmed:
		r.alarmed, r.tick = false, r.now
	}
}

// again begins to watch anew after rest: the target was taken over and is back.
func (r *run) again(rest time.Duration) {
	r.now += rest
	r.queue = r.queue[:0]
	r.well, r.drawn = false, 0
	r.alarmed, r.found = false, never
	r.d.Begin(r.time(r.now))
	r.wake = r.now
}

// patience is how long a client waits for its answer.
const patience = 5 * time.Second

// strike makes the target wrong from at on, and plays on to that moment.
func (r *run) strike(f fault, at time.Duration) {
	r.w.strike(f, at)
	if r.p.events && r.w.knows < never {
		r.report(r.w.knows)
	}
	r.until(at)
}

// find returns how long after at the detector believes the fault; never: not
// within most. Then the target is whole again.
func (r *run) find(at, most time.Duration) time.Duration {
	r.until(at + most)
	found := r.found
	r.w.mend()
	r.again(time.Second)
	return since(found, at)
}
