package detector

import "time"

// Ask returns what to ask now, and when to come back unless something is told
// before. The questions are good until it is called again.
func (d *Detector) Ask(now time.Time) (ask []Question, wake time.Time) {
	d.judgeOurselves(now)
	d.wake, d.asked = now.Add(time.Minute), d.asked[:0]
	doubt, dark := d.doubt(now)
	near := dark || d.stirred(now)
	every := d.cfg.Interval
	if near {
		every = d.pace(now)
	}
	d.askPing(now, every)
	if near || doubt {
		again := time.Second
		if near {
			again = max(d.cfg.Burst, 50*time.Millisecond)
		}
		if d.called.IsZero() {
			d.called = now
		}
		d.askOnce(&d.hyper, Question{Kind: Hypervisor, Patience: d.hyperPatience()}, now, again)
		d.askOnce(&d.agent, Question{Kind: Agent, Patience: d.hyperPatience()}, now, again)
		d.askWork(now)
	}
	if dark {
		d.put(&d.host, Question{Kind: Host, Patience: d.cfg.PingPatience}, now, every)
	}
	if dark && !d.cfg.NoReferences {
		d.put(&d.refs, Question{Kind: Reference, Patience: d.cfg.PingPatience}, now, every)
	}
	d.askServices(now, dark)
	if doubt || dark {
		d.soon(now.Add(step(now.Sub(d.since()))))
		if least := d.since().Add(d.cfg.LeastSilence); dark && least.After(now) {
			d.soon(least)
		}
	}
	return d.asked, d.wake
}

// hyperPatience is how long a hypervisor, or an agent through it, may take to answer.
func (d *Detector) hyperPatience() time.Duration { return d.cfg.HungHost + time.Second }

// step is how soon a doubt is weighed again that has lasted for d.
func step(d time.Duration) time.Duration {
	return min(max(d/16, 10*time.Millisecond), 500*time.Millisecond)
}

// put asks w if a question is due, and plans the next one for again later, or
// sooner by a later call.
func (d *Detector) put(w *witness, q Question, now time.Time, again time.Duration) {
	if due := w.asked.Add(again); w.due.After(due) {
		w.due = due
	}
	if !w.due.After(now) {
		d.ids++
		q.ID = d.ids
		if w.full() {
			w.drop(now, d.gauge(w))
		}
		w.ask(q.ID, now, again)
		d.asked = append(d.asked, q)
	}
	d.soon(w.due)
}

// soon has Ask called again at t at the latest.
func (d *Detector) soon(t time.Time) {
	if t.Before(d.wake) {
		d.wake = t
	}
}

// pace is the time between questions in the dark: a burst, until more would add
// nothing to what is known.
func (d *Detector) pace(now time.Time) time.Duration {
	if d.phi(&d.ping, now) <= 2*d.cfg.Act || d.agentSpeaks() && d.phiWhileItRan(now) < d.cfg.Act {
		return d.cfg.Burst
	}
	return max(d.cfg.Burst, min(now.Sub(d.since())/16, time.Second), 200*time.Millisecond)
}

// askPing pings every so often; 0: when it is examined.
func (d *Detector) askPing(now time.Time, every time.Duration) {
	if every == 0 && d.ping.due.IsZero() {
		return
	}
	if every == 0 {
		every = 24 * time.Hour // profile paper: when it is examined
	}
	patience := d.cfg.PingPatience
	if d.busy() != "" { // a late answer is a sign of life too
		patience = max(patience, d.cfg.FreezeDeadline)
	}
	d.put(&d.ping, Question{Kind: Ping, Patience: patience}, now, every)
	d.overdue(&d.ping, now)
}

// askOnce asks a witness that works: never twice at the same time.
func (d *Detector) askOnce(w *witness, q Question, now time.Time, again time.Duration) {
	if !w.open() {
		d.put(w, q, now, again)
	}
}

// mostGreetings is how many greetings of a busy service wait for an answer: more
// would only keep it busy.
const mostGreetings = 10

func (d *Detector) greetEvery() time.Duration {
	if d.busy() != "" {
		return max(d.cfg.GreetEvery, d.cfg.FreezeMost/mostGreetings)
	}
	return d.cfg.GreetEvery
}

// askServices greets what is due, and what is doubtful again and again. In the
// dark a greeting is one more way to be heard.
func (d *Detector) askServices(now time.Time, dark bool) {
	for i := range d.services {
		s, again := &d.services[i], 24*time.Hour // until it is examined
		if dark || d.doubtful(&s.witness, now) {
			again = d.greetEvery()
		}
		if s.due.IsZero() {
			continue
		}
		d.put(&s.witness, Question{Kind: Greet, Daemon: s.name, Patience: d.deadline(&s.witness, now)}, now, again)
		d.overdue(&s.witness, now)
		if told := s.silence.Add(d.cfg.Alarming); !s.silence.IsZero() && told.After(now) {
			d.soon(told)
		}
	}
}

// overdue has Ask called again when the first open question of w becomes
// doubtful, if it is not by now.
func (d *Detector) overdue(w *witness, now time.Time) {
	if w.silence.IsZero() {
		return
	}
	if at := w.silence.Add(w.path.expected(d.grain())); at.After(now) {
		d.soon(at)
	}
}

func minTime(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// stirred reports whether an event was reported a moment ago.
func (d *Detector) stirred(now time.Time) bool {
	return !d.roused.IsZero() && now.Sub(d.roused) < rousedFor
}

// doubt reports whether a service is doubtful, and whether the whole target is
// (dark). When neither is, the words of this doubt are forgotten.
func (d *Detector) doubt(now time.Time) (service, dark bool) {
	dark = d.doubtful(&d.ping, now)
	for i := range d.services {
		service = service || d.doubtful(&d.services[i].witness, now)
	}
	if !d.called.IsZero() && !service && !dark && !d.stirred(now) {
		d.dismiss()
	}
	return service, dark
}

// doubtful reports whether an answer is overdue, or was a refusal.
func (d *Detector) doubtful(w *witness, now time.Time) bool {
	return w.refused > 0 || w.overdue(now, d.grain())
}
