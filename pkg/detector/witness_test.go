package detector

import (
	"math"
	"testing"
	"time"
)

// Single questions without an answer are the path's loss; many in a row are a
// server that was away, also those whose patience is not over when it is back.
func TestOutageIsNoLoss(t *testing.T) {
	for silent, want := range map[int]float64{1: 1, 5: 5, outage + 4: 0} {
		w, at := &witness{}, time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		for id := range silent + 1 {
			w.ask(id, at, time.Second)
			at = at.Add(30 * time.Millisecond)
		}
		p, _ := w.take(silent)
		w.path.answered(time.Millisecond)
		w.live(p.sent, at)
		for id := range silent {
			w.silent(id, time.Second)
		}
		if math.Abs(w.path.lost-want) > 0.1 || len(w.probes) > 0 { // some of it is forgotten by now
			t.Errorf("of %d silent ones %.0f were lost, want %.0f; %d are left", silent, w.path.lost, want, len(w.probes))
		}
	}
}

// What is dropped keeps its weight, and an answer ends all of it.
func TestDroppedQuestionsKeepTheirWeight(t *testing.T) {
	w, at := &witness{}, time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	begin, by := at, w.path.gauge(0.1, 0.01)
	const asked = 100
	for id := range asked {
		if w.full() {
			w.drop(at, by)
		}
		w.ask(id, at, time.Second)
		at = at.Add(time.Second)
	}
	one := by.weight(time.Minute)
	if phi := w.phi(at, by); phi < (asked-0.1)*one || phi > (asked+0.1)*one || w.since() != begin {
		t.Errorf("φ %.1f since %v, want %.1f since %v", phi, w.since(), asked*one, begin)
	}
	p, _ := w.take(asked - 1)
	if w.live(p.sent, at); w.phi(at, by) != 0 || !w.since().IsZero() {
		t.Errorf("φ %.1f since %v after an answer", w.phi(at, by), w.since())
	}
}
