package detector

import (
	"time"

	"pss-msbs/pkg/cluster"
)

// Kind is who is asked.
type Kind string

// The witnesses.
const (
	Ping       Kind = "ping"       // the target's own address
	Greet      Kind = "greet"      // one of its service daemons
	Agent      Kind = "agent"      // inside the guest, through its hypervisor
	Hypervisor Kind = "hypervisor" // the state of the guest
	Host       Kind = "host"       // the real server's address
	Work       Kind = "work"       // of guest and host: the hypervisor's word too
	Reference  Kind = "reference"  // any of the network references
)

// Question is to be asked now.
type Question struct {
	ID       int
	Kind     Kind
	Daemon   string        // of a greeting
	Patience time.Duration // how long the answer is waited for
}

// Outcome is what became of a question.
type Outcome int

// The outcomes.
const (
	Answered Outcome = iota
	Refused          // promptly: nobody listens there; the agent's channel is closed
	Silent           // its patience is over, or the way there is down
	Void             // cut short by ourselves: it proves nothing
)

// Word is what a hypervisor says in its answer.
type Word struct {
	State cluster.GuestState // to Hypervisor
	Work  cluster.Work       // to Work
}

// Answer is the outcome of one question.
type Answer struct {
	Question
	Outcome Outcome
	Word
}

// Detector watches one target. Its methods are for one goroutine.
type Detector struct {
	cfg      Config
	ping     witness
	host     witness
	agent    witness
	hyper    witness
	work     work
	refs     witness
	services []service

	ids    int
	asked  []Question // by the last Ask; its space is used again
	began  time.Time  // of the observation
	roused time.Time  // by an event; zero: not
	last   time.Time  // Ask was called
	wake   time.Time  // when Ask wanted to be asked again
	late   int        // health of this program: 0 is well (Lifeguard)
	timely time.Time  // since when it has not been late

	word   cluster.GuestState // the hypervisor's last word in this doubt
	closed bool               // the agent's channel was closed in this doubt
	mute   bool               // it was closed before, of a target that was well
	called time.Time          // since when witnesses are asked in this doubt
	told   bool               // an alarm was, and it is not over

	words    string // of it
	wordedAt time.Time

	passed   time.Duration // the longest doubtful silence a moment ago that passed by itself
	passedAt time.Time
}

// service is a daemon of the target.
type service struct {
	name string
	witness
}

// New returns a detector of a server with these service daemons.
func New(cfg Config, daemons []string) *Detector {
	d := &Detector{cfg: cfg, services: make([]service, len(daemons))}
	for i, n := range daemons {
		d.services[i].name = n
	}
	return d
}

// Begin starts an observation: what was seen before proves nothing any more;
// what was learned of the paths stays.
func (d *Detector) Begin(now time.Time) {
	if d.began.IsZero() {
		d.began = now
	}
	d.wake, d.roused, d.passed = time.Time{}, time.Time{}, 0
	d.forget()
}

func (d *Detector) forget() {
	d.Excuse()
	d.ping.due = time.Time{}
	for i := range d.services {
		d.services[i].due = time.Time{}
	}
}

// Agentless says whether the agent's channel is closed of a target that is well: that
// it is closed in a doubt then proves nothing.
func (d *Detector) Agentless(is bool) { d.mute = is }

// dismiss sends the witnesses away that are asked in doubt only.
func (d *Detector) dismiss() {
	for _, w := range [...]*witness{&d.host, &d.agent, &d.hyper, &d.work.witness, &d.refs} {
		w.forget()
		w.due = time.Time{}
	}
	d.work.clear()
	d.word, d.closed, d.called = "", false, time.Time{}
}

// Examine has the target pinged and every service greeted now.
func (d *Detector) Examine(now time.Time) {
	d.ping.due = now
	for i := range d.services {
		d.services[i].due = now
	}
}

// Rouse looks at the target more closely for a while: its hypervisor has
// reported something.
func (d *Detector) Rouse(now time.Time) {
	d.roused = now
	d.ping.due, d.hyper.due, d.agent.due = now, now, now
}

// rousedFor is how long an event keeps a detector awake: what its hypervisor
// reports may begin before its guest falls silent.
const rousedFor = 500 * time.Millisecond

// Tell takes one answer.
func (d *Detector) Tell(now time.Time, a Answer) {
	w := d.witness(a.Question)
	if a.Kind == Hypervisor && a.Outcome == Answered {
		d.word = a.State
	}
	switch a.Outcome {
	case Answered:
		d.hear(w, a, now)
	case Refused:
		d.refuse(w, a, now)
	case Silent:
		w.silent(a.ID, a.Patience)
	case Void:
		w.void(a.ID)
	}
}

// QuietUntil is when anything but a ping is due next; zero: something is in
// doubt, or an answer is open.
func (d *Detector) QuietUntil() time.Time {
	if !d.called.IsZero() || d.ping.open() || d.ping.due.IsZero() {
		return time.Time{}
	}
	until := d.ping.due.Add(time.Hour)
	for i := range d.services {
		s := &d.services[i]
		if s.open() || s.refused > 0 {
			return time.Time{}
		}
		if !s.due.IsZero() {
			until = minTime(until, s.due)
		}
	}
	return until
}

// Quiet is an Ask at sent, the answer after took to the ping that it asks for,
// and the Ask thereafter in one, for a simulation of years: sent must be before
// QuietUntil and took no longer than Grain.
func (d *Detector) Quiet(sent time.Time, took time.Duration) (wake time.Time) {
	heard := sent.Add(took)
	d.judgeOurselves(sent)
	d.ids++
	d.ping.path.answered(took)
	d.ping.live(sent, heard)
	d.ping.asked, d.ping.due = sent, sent.Add(d.cfg.Interval)
	d.wake = d.ping.due
	return d.wake
}

// hear takes an answer. What was heard of the target's network speaks for its pings too.
func (d *Detector) hear(w *witness, a Answer, now time.Time) {
	p, ok := w.take(a.ID)
	if !ok {
		return
	}
	w.path.answered(now.Sub(p.sent))
	w.refused = 0
	switch a.Kind {
	case Ping, Greet:
		d.reached(p.sent, now)
	case Agent:
		d.closed, d.mute = false, false
	case Work:
		d.work.note(a.Work)
		d.hyper.heard = now // who answers is not hung
	case Reference:
		d.returned(now)
	}
	if w != &d.ping { // which was reached
		w.live(p.sent, now)
	}
}

// returned notes that a network reference was heard. Where all were silent until
// now it was our own network, and no silence during that time proves anything.
func (d *Detector) returned(now time.Time) {
	if d.phi(&d.refs, now) >= d.cfg.Alarm {
		d.Excuse()
	}
}

// reached notes that the target's network was heard. Where it was out of reach
// until now its services' silence proves nothing, and they are greeted anew.
func (d *Detector) reached(sent, now time.Time) {
	d.learnStall(now)
	if d.phi(&d.ping, now) >= d.cfg.Act {
		for i := range d.services {
			d.services[i].forget()
			d.services[i].due = now
		}
	}
	d.ping.live(sent, now)
}

// wary is for how long a silence that passed by itself makes the next one no alarm.
const wary = time.Minute

// learnStall notes how long a doubtful silence was that passes now.
func (d *Detector) learnStall(now time.Time) {
	if !d.doubtful(&d.ping, now) {
		return
	}
	if s := d.silence(now, d.since()); s >= d.passed || now.Sub(d.passedAt) >= wary {
		d.passed, d.passedAt = s, now
	}
}

// leastAlarm is the shortest silence that is an alarm: a server that was held up
// a moment ago is likely held up again, so twice as long, and to resume its backup
// makes a busy machine no faster. What is believed is believed all the same.
func (d *Detector) leastAlarm(now time.Time) time.Duration {
	least := d.cfg.LeastSilence / 2
	if d.passed == 0 || now.Sub(d.passedAt) >= wary {
		return least
	}
	return max(least, min(2*d.passed, d.cfg.HungHost))
}

// refuse takes a prompt no: of a service it is a sign of life of its server.
func (d *Detector) refuse(w *witness, a Answer, now time.Time) {
	p, ok := w.take(a.ID)
	if !ok {
		return
	}
	switch {
	case a.Kind == Agent && d.mute:
		return // as it was when all was well
	case a.Kind == Agent:
		d.closed = true
	case a.Kind == Greet:
		d.reached(p.sent, now)
	}
	w.live(p.sent, now)
	w.refused++
}

func (d *Detector) witness(q Question) *witness {
	switch q.Kind {
	case Ping:
		return &d.ping
	case Host:
		return &d.host
	case Agent:
		return &d.agent
	case Hypervisor:
		return &d.hyper
	case Work:
		return &d.work.witness
	case Reference:
		return &d.refs
	}
	for i := range d.services {
		if d.services[i].name == q.Daemon {
			return &d.services[i].witness
		}
	}
	return &d.ping // no such daemon is ever asked
}

// judgeOurselves voids all silence when this program was asleep: the answers
// may lie unread. One that is often late has a wider idea of lateness, so that
// it comes to an end even on a starved machine.
func (d *Detector) judgeOurselves(now time.Time) {
	asked := d.last
	if d.last = now; d.wake.IsZero() {
		if d.timely = now; !asked.IsZero() && now.Sub(asked) > d.cfg.PingPatience {
			d.Excuse() // nobody asked meanwhile
		}
		return
	}
	if now.Sub(d.wake) <= d.cfg.Lateness<<d.late {
		if now.Sub(d.timely) > time.Second<<d.late && d.late > 0 {
			d.late, d.timely = d.late-1, now
		}
		return
	}
	d.late, d.timely = min(d.late+1, mostLate), now
	d.Excuse()
}

// mostLate bounds the lateness that is excused: 2^5 times Lateness.
const mostLate = 5

// Heard reports whether the target has answered a ping and greeted with every
// service since at.
func (d *Detector) Heard(at time.Time) bool {
	heard := !d.ping.proved.Before(at)
	for i := range d.services {
		heard = heard && !d.services[i].proved.Before(at) && d.services[i].refused == 0
	}
	return heard
}

// Pause stops the clock by which lateness is judged: the next Ask comes when it comes.
func (d *Detector) Pause() { d.wake = time.Time{} }

// Excuse forgets all silence so far: this program may not have heard the answers.
// What was due stays due, and what was not answered is asked again.
func (d *Detector) Excuse() {
	d.ping.excuse(d.last)
	for i := range d.services {
		d.services[i].excuse(d.last)
	}
	d.dismiss()
}

// grain is how finely answer times are told apart, in seconds; a program that
// runs late does so less finely.
func (d *Detector) grain() float64 { return d.cfg.Grain.Seconds() * float64(1+d.late) }
