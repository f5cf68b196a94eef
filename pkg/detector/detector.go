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

// Answer is the outcome of one question; State is the hypervisor's word.
type Answer struct {
	Question
	Outcome Outcome
	State   cluster.GuestState
}

// Detector watches one target. Its methods are for one goroutine.
type Detector struct {
	cfg     Config
	names   []string // of the daemons
	ping    witness
	host    witness
	agent   witness
	hyper   witness
	refs    witness
	daemons map[string]*witness

	ids    int
	began  time.Time // of the observation
	roused time.Time // by an event; zero: not
	wake   time.Time // when Ask wanted to be asked again
	late   int       // health of this program: 0 is well (Lifeguard)
	timely time.Time // since when it has not been late

	word   cluster.GuestState // the hypervisor's last word in this doubt
	closed bool               // the agent's channel was closed in this doubt
}

// New returns a detector of a server with these service daemons.
func New(cfg Config, daemons []string) *Detector {
	d := &Detector{cfg: cfg, names: daemons, daemons: map[string]*witness{}}
	for _, n := range daemons {
		d.daemons[n] = &witness{}
	}
	return d
}

// Begin starts an observation: what was seen before proves nothing any more;
// what was learned of the paths stays.
func (d *Detector) Begin(now time.Time) {
	if d.began.IsZero() {
		d.began = now
	}
	d.wake, d.roused = time.Time{}, time.Time{}
	d.forget()
}

func (d *Detector) forget() {
	for _, w := range d.witnesses() {
		w.forget()
		w.due = time.Time{}
	}
	d.word, d.closed = "", false
}

func (d *Detector) witnesses() []*witness {
	all := []*witness{&d.ping, &d.host, &d.agent, &d.hyper, &d.refs}
	for _, n := range d.names {
		all = append(all, d.daemons[n])
	}
	return all
}

// Examine has the target pinged and every service greeted now.
func (d *Detector) Examine(now time.Time) {
	d.ping.due = now
	for _, n := range d.names {
		d.daemons[n].due = now
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
		d.closed = false
	}
	w.live(p.sent, now)
}

// reached notes that the target's network was heard. Where it was out of reach
// until now its services' silence proves nothing, and they are greeted anew.
func (d *Detector) reached(sent, now time.Time) {
	if d.phi(&d.ping, now) >= d.cfg.Act {
		for _, n := range d.names {
			d.daemons[n].forget()
			d.daemons[n].due = now
		}
	}
	d.ping.live(sent, now)
}

// refuse takes a prompt no: of a service it is a sign of life of its server.
func (d *Detector) refuse(w *witness, a Answer, now time.Time) {
	p, ok := w.take(a.ID)
	if !ok {
		return
	}
	switch a.Kind {
	case Agent:
		d.closed = true
	case Greet:
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
	case Reference:
		return &d.refs
	}
	return d.daemons[q.Daemon]
}

// Ask returns what to ask now, and when to come back unless something is told before.
func (d *Detector) Ask(now time.Time) (ask []Question, wake time.Time) {
	d.judgeOurselves(now)
	d.wake = now.Add(time.Minute)
	doubt, dark := d.doubt(now)
	put := func(w *witness, q Question, again time.Duration) {
		if w.due.After(now) {
			d.soon(w.due)
			return
		}
		d.ids++
		q.ID = d.ids
		w.ask(q.ID, now, again)
		ask = append(ask, q)
		d.soon(w.due)
	}
	d.askPing(now, dark || d.stirred(now), put)
	if dark || doubt || d.stirred(now) {
		again := time.Second
		if dark || d.stirred(now) {
			again = max(d.cfg.Burst, 50*time.Millisecond)
		}
		d.askOnce(&d.hyper, Question{Kind: Hypervisor, Patience: d.cfg.HungHost + time.Second}, again, put)
		d.askOnce(&d.agent, Question{Kind: Agent, Patience: d.cfg.HungHost + time.Second}, again, put)
	}
	if dark {
		put(&d.host, Question{Kind: Host, Patience: d.cfg.PingPatience}, d.pace(now))
	}
	if dark && !d.cfg.NoReferences && d.refs.heard.Before(d.since()) {
		put(&d.refs, Question{Kind: Reference, Patience: d.cfg.PingPatience}, d.pace(now))
	}
	d.askServices(now, dark, put)
	if doubt || dark {
		d.soon(now.Add(step(now.Sub(d.since()))))
	}
	return ask, d.wake
}

// step is how soon a doubt is weighed again that has lasted for d.
func step(d time.Duration) time.Duration {
	return min(max(d/16, 10*time.Millisecond), 500*time.Millisecond)
}

type put = func(*witness, Question, time.Duration)

func (d *Detector) soon(t time.Time) {
	if t.Before(d.wake) {
		d.wake = t
	}
}

// askPing pings at the interval, and in a burst while it is dark. What is
// silent beyond doubt is pinged less often: only its return is of interest.
func (d *Detector) askPing(now time.Time, burst bool, put put) {
	every := d.cfg.Interval
	switch {
	case burst:
		every = d.pace(now)
	case every == 0 && d.ping.due.IsZero():
		return
	}
	if burst && d.ping.due.After(now.Add(every)) {
		d.ping.due = now
	}
	if every == 0 {
		every = 24 * time.Hour // profile paper: when it is examined
	}
	put(&d.ping, Question{Kind: Ping, Patience: d.cfg.PingPatience}, every)
	if d.ping.open() {
		d.soon(d.overdue(&d.ping, now))
	}
}

// pace is the time between questions in the dark: a burst, until more would add
// nothing to what is known.
func (d *Detector) pace(now time.Time) time.Duration {
	if d.phi(&d.ping, now) <= 2*d.cfg.Act {
		return d.cfg.Burst
	}
	return max(d.cfg.Burst, min(now.Sub(d.since())/16, time.Second), 200*time.Millisecond)
}

// askOnce asks a witness that works: never twice at the same time.
func (d *Detector) askOnce(w *witness, q Question, again time.Duration, put put) {
	if !w.open() {
		put(w, q, again)
	}
}

// askServices greets what is due, and what is doubtful again and again. In the
// dark a greeting is one more way to be heard.
func (d *Detector) askServices(now time.Time, dark bool, put put) {
	for _, n := range d.names {
		w, again := d.daemons[n], 24*time.Hour // until it is examined
		if dark || d.doubtful(w, now) {
			again = d.cfg.GreetEvery
			if w.due.After(now.Add(again)) {
				w.due = w.asked.Add(again)
			}
		}
		if w.due.IsZero() {
			continue
		}
		put(w, Question{Kind: Greet, Daemon: n, Patience: d.deadline(w)}, again)
		if w.open() {
			d.soon(d.overdue(w, now))
		}
	}
}

// overdue is when the first open question becomes doubtful, if it is not by now.
func (d *Detector) overdue(w *witness, now time.Time) time.Time {
	at := w.since().Add(w.path.expected(d.grain()))
	if !at.After(now) {
		return now.Add(time.Minute)
	}
	return at
}

func maxTime(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// stirred tells whether an event was reported a moment ago.
func (d *Detector) stirred(now time.Time) bool {
	return !d.roused.IsZero() && now.Sub(d.roused) < rousedFor
}

// doubt tells whether a service is doubtful, and whether the whole target is
// (dark). When neither is, the words of this doubt are forgotten.
func (d *Detector) doubt(now time.Time) (service, dark bool) {
	dark = d.doubtful(&d.ping, now)
	for _, n := range d.names {
		service = service || d.doubtful(d.daemons[n], now)
	}
	if !service && !dark && !d.stirred(now) {
		d.word, d.closed = "", false
		for _, w := range []*witness{&d.host, &d.agent, &d.hyper, &d.refs} {
			w.forget()
			w.due = time.Time{}
		}
	}
	return service, dark
}

// doubtful tells whether an answer is overdue, or was a refusal.
func (d *Detector) doubtful(w *witness, now time.Time) bool {
	return w.refused > 0 || w.overdue(now, d.grain())
}

// judgeOurselves voids all silence when this program was asleep: the answers
// may lie unread. One that is often late has a wider idea of lateness, so that
// it comes to an end even on a starved machine.
func (d *Detector) judgeOurselves(now time.Time) {
	if d.wake.IsZero() {
		d.timely = now
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

// Heard tells whether the target has answered a ping and greeted with every
// service since at.
func (d *Detector) Heard(at time.Time) bool {
	heard := !d.ping.proved.Before(at)
	for _, n := range d.names {
		heard = heard && !d.daemons[n].proved.Before(at) && d.daemons[n].refused == 0
	}
	return heard
}

// Alive tells whether anything in the target, its agent included, has given a
// sign of life since at.
func (d *Detector) Alive(at time.Time) bool {
	alive := !d.ping.heard.Before(at) || !d.agent.heard.Before(at) && !d.closed
	for _, n := range d.names {
		alive = alive || !d.daemons[n].heard.Before(at)
	}
	return alive
}

// Pause stops the clock by which lateness is judged: the next Ask comes when it comes.
func (d *Detector) Pause() { d.wake = time.Time{} }

// Excuse forgets all silence so far: this program may not have heard the answers.
func (d *Detector) Excuse() { d.forget() }

// grain is how finely answer times are told apart, in seconds; a program that
// runs late does so less finely.
func (d *Detector) grain() float64 { return d.cfg.Grain.Seconds() * float64(1+d.late) }
