package detector

import (
	"slices"
	"time"
)

// probe is a question that has not been answered.
type probe struct {
	id    int
	sent  time.Time
	ended time.Time // no answer comes any more; by its whole patience, however soon that was known; zero: one may
	away  bool      // the server was away when it came: whether it was lost is not known
}

// witness is one who is asked, and what of it is not answered yet.
type witness struct {
	path    path
	probes  []probe   // in the order of sending
	asked   time.Time // the last question
	due     time.Time // of the next one
	proved  time.Time // a question sent then was answered
	heard   time.Time // when that answer came
	steady  time.Time // since when answers have come without a long gap
	refused int       // answers in a row that nobody listens there
	silence time.Time // when it began: the sending of the first question that counts; zero: there is none
	older   float64   // φ of what was asked in this silence and is kept no longer
}

// The most questions that are kept of a witness, and how many silent ones in a
// row are a server that was away rather than loss.
const (
	mostProbes = 32
	outage     = 16
)

// longGap is between two answers that do not prove that their server ran all the time.
const longGap = 800 * time.Millisecond

func (w *witness) ask(id int, now time.Time, again time.Duration) {
	w.due, w.asked = now.Add(again), now
	w.probes = append(w.probes, probe{id: id, sent: now})
	if w.silence.IsZero() {
		w.silence = now
	}
}

// full reports whether a question must be dropped before the next is asked.
func (w *witness) full() bool { return len(w.probes) == mostProbes }

// drop keeps the weight of the oldest question, and nothing else of it.
func (w *witness) drop(now time.Time, by gauge) {
	if p := w.probes[0]; w.counts(p) {
		w.older += by.weight(p.age(now))
	}
	w.probes = slices.Delete(w.probes, 0, 1)
}

func (w *witness) find(id int) int {
	for i := range w.probes {
		if w.probes[i].id == id {
			return i
		}
	}
	return -1
}

// take removes the probe id.
func (w *witness) take(id int) (probe, bool) {
	i := w.find(id)
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
	if now.Sub(w.heard) > longGap {
		w.steady = now
	}
	if w.heard = now; sent.After(w.proved) {
		w.proved = sent
	}
	w.lost()
	w.restart()
}

// lost learns from the questions that stay without an answer although a later
// one has one. Where they are many the server was away, and the path is not to blame.
func (w *witness) lost() {
	passed := 0
	for i := range w.probes {
		if !w.counts(w.probes[i]) {
			passed++
		}
	}
	kept := w.probes[:0]
	for _, p := range w.probes {
		if !w.counts(p) {
			p.away = p.away || passed >= outage
			if !p.ended.IsZero() {
				w.missed(p)
				continue
			}
		}
		kept = append(kept, p)
	}
	w.probes = kept
}

// missed learns from a question whose answer never came.
func (w *witness) missed(p probe) {
	if !p.away {
		w.path.unanswered()
	}
}

// restart has the silence begin with the first question that still counts.
func (w *witness) restart() {
	w.silence, w.older = time.Time{}, 0
	for i := range w.probes {
		if w.counts(w.probes[i]) {
			w.silence = w.probes[i].sent
			return
		}
	}
}

// silent notes that the answer to id did not come within patience, or cannot come.
func (w *witness) silent(id int, patience time.Duration) {
	i := w.find(id)
	if i < 0 {
		return
	}
	p := &w.probes[i]
	if p.ended = p.sent.Add(patience); w.counts(*p) {
		return
	}
	w.missed(*p)
	w.probes = slices.Delete(w.probes, i, i+1)
}

// void forgets the probe id: it proves nothing.
func (w *witness) void(id int) {
	if p, ok := w.take(id); ok && p.sent.Equal(w.silence) {
		w.restart()
	}
}

// excuse forgets every open question, and has it asked again at now.
func (w *witness) excuse(now time.Time) {
	if len(w.probes) > 0 && w.due.After(now) {
		w.due = now
	}
	w.forget()
}

// forget forgets every open question.
func (w *witness) forget() {
	w.probes, w.refused = w.probes[:0], 0
	w.silence, w.older = time.Time{}, 0
}

// open reports whether an answer may still come.
func (w *witness) open() bool {
	for i := range w.probes {
		if w.probes[i].ended.IsZero() {
			return true
		}
	}
	return false
}

// counts reports whether p is evidence: nothing sent at its time or later was answered.
func (w *witness) counts(p probe) bool { return p.sent.After(w.proved) }

// since is when the silence began: the sending of the first question that is
// not answered; zero where there is none.
func (w *witness) since() time.Time { return w.silence }

// overdue reports whether an answer should have come.
func (w *witness) overdue(now time.Time, grain float64) bool {
	return !w.silence.IsZero() && now.Sub(w.silence) >= w.path.expected(grain)
}

// phi is -log10 of the probability that a sound server is as silent at now.
func (w *witness) phi(now time.Time, by gauge) float64 {
	if w.silence.IsZero() {
		return 0
	}
	return w.older + w.phiBetween(time.Time{}, now, now, by)
}

// phiBetween is the same of the questions that were sent after from, and by to.
func (w *witness) phiBetween(from, to, now time.Time, by gauge) float64 {
	sum := 0.0
	for i := range w.probes {
		if p := &w.probes[i]; w.counts(*p) && p.sent.After(from) && !p.sent.After(to) {
			sum += by.weight(p.age(now))
		}
	}
	return sum
}

// age is for how long p has been waited for, by now.
func (p *probe) age(now time.Time) time.Duration {
	if !p.ended.IsZero() {
		return p.ended.Sub(p.sent)
	}
	return now.Sub(p.sent)
}
