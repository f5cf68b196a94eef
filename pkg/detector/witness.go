package detector

import (
	"math"
	"slices"
	"time"
)

// probe is a question that has not been answered.
type probe struct {
	id    int
	sent  time.Time
	ended time.Time // no answer comes any more; by its whole patience, however soon that was known; zero: one may
}

// witness is one who is asked, and what of it is not answered yet.
type witness struct {
	path    path
	probes  []probe      // in the order of sending
	asked   time.Time    // the last question
	due     time.Time    // of the next one
	began   time.Time    // of a silence longer than probes holds
	proved  time.Time    // a question sent then was answered
	heard   time.Time    // when that answer came
	answers [8]time.Time // when the last ones came, in no order
	count   int
	refused int // answers in a row that nobody listens there
}

// The most questions that are kept of a witness, and how many silent ones in a
// row are a server that was away rather than loss.
const (
	mostProbes = 32
	outage     = 16
)

func (w *witness) ask(id int, now time.Time, again time.Duration) {
	w.due, w.asked = now.Add(again), now
	if len(w.probes) == mostProbes {
		w.began = w.since()
		w.probes = slices.Delete(w.probes, 0, 1)
	}
	w.probes = append(w.probes, probe{id: id, sent: now})
}

// take removes the probe id.
func (w *witness) take(id int) (probe, bool) {
	i := slices.IndexFunc(w.probes, func(p probe) bool { return p.id == id })
	if i < 0 {
		return probe{}, false
	}
	p := w.probes[i]
	w.probes = slices.Delete(w.probes, i, i+1)
	return p, true
}

// live notes a sign of life, heard at now, to a question of sent. Questions that
// were sent before and whose patience is over were lost on the way.
func (w *witness) live(sent, now time.Time) {
	w.answers[w.count%len(w.answers)] = now
	w.count++
	if w.heard = now; sent.After(w.proved) {
		w.proved = sent
	}
	lost := 0
	w.probes = slices.DeleteFunc(w.probes, func(p probe) bool {
		over := !p.sent.After(w.proved) && !p.ended.IsZero()
		if over {
			lost++
		}
		return over
	})
	if lost < outage {
		for range lost {
			w.path.unanswered()
		}
	}
}

// silent notes that the answer to id did not come within patience, or cannot come.
func (w *witness) silent(id int, patience time.Duration) {
	i := slices.IndexFunc(w.probes, func(p probe) bool { return p.id == id })
	if i < 0 {
		return
	}
	p := &w.probes[i]
	if p.ended = p.sent.Add(patience); w.counts(*p) {
		return
	}
	w.probes = slices.Delete(w.probes, i, i+1)
	w.path.unanswered()
}

// void forgets the probe id: it proves nothing.
func (w *witness) void(id int) { _, _ = w.take(id) }

// forget forgets every open question.
func (w *witness) forget() { w.probes, w.refused, w.began = w.probes[:0], 0, time.Time{} }

// open tells whether an answer may still come.
func (w *witness) open() bool {
	return slices.ContainsFunc(w.probes, func(p probe) bool { return p.ended.IsZero() })
}

// counts tells whether p is evidence: nothing sent at its time or later was answered.
func (w *witness) counts(p probe) bool { return p.sent.After(w.proved) }

// since is when the silence began: the sending of the first question that is
// not answered; zero where there is none.
func (w *witness) since() time.Time {
	if w.began.After(w.proved) {
		return w.began
	}
	for _, p := range w.probes {
		if w.counts(p) {
			return p.sent
		}
	}
	return time.Time{}
}

// heardBy is when the last answer came that was there at t; zero: none is known.
func (w *witness) heardBy(t time.Time) time.Time {
	var last time.Time
	for _, at := range w.answers {
		if !at.After(t) && at.After(last) {
			last = at
		}
	}
	return last
}

// overdue tells whether an answer should have come.
func (w *witness) overdue(now time.Time, grain float64) bool {
	since := w.since()
	return !since.IsZero() && now.Sub(since) >= w.path.expected(grain)
}

// phi is -log10 of the probability that a sound server is as silent at now;
// only questions sent by until count.
func (w *witness) phi(now, until time.Time, floor, grain float64) float64 {
	sum := 0.0
	for _, p := range w.probes {
		if !w.counts(p) || p.sent.After(until) {
			continue
		}
		end := now
		if !p.ended.IsZero() {
			end = p.ended
		}
		sum -= math.Log10(w.path.silence(end.Sub(p.sent), floor, grain))
	}
	return sum
}
