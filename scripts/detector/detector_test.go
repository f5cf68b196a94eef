package main

import (
	"math"
	"testing"
	"time"

	"pss-msbs/pkg/detector"
)

const day = 1.0 / 365 // years

// A short version of the table: no row may miss its targets.
func TestTargets(t *testing.T) {
	for _, r := range rows() {
		o := options{years: day / 4, faults: 20, seed: 1}
		if r.name == noLoss {
			o.faults = 300
		}
		t.Run(r.name, func(t *testing.T) {
			for _, l := range try(r, o) {
				for _, m := range l.missed() {
					t.Errorf("%s\n%s", m, l)
				}
				for f, found := range l.found {
					if l.who == "fast" && !r.open && found.quantile(0.5) > 15*time.Second {
						t.Errorf("%s: %s found after %s", r.name, f, found)
					}
				}
			}
		})
	}
}

// A detector that believes at once is found out in every row but those where
// little or nothing is lost: the worlds are as bad as they say.
func TestCarelessDetectorIsFoundOut(t *testing.T) {
	p := profiles()[0]
	p.config.Alarm, p.config.Act, p.config.LeastSilence, p.config.LossFloor = 1, 1, 10*time.Millisecond, 0.001
	p.config.FreezeDeadline, p.config.HungHost = 500*time.Millisecond, 100*time.Millisecond
	p.config.Lateness, p.config.WorkEvery = time.Hour, 0
	for _, r := range rows() {
		if r.name == noLoss || r.name == "loss 1 %" || r.path.Jitter > time.Millisecond {
			continue
		}
		n := newRun(r, p, 1, false)
		n.until(8 * time.Hour)
		if n.tally.False == 0 || n.tally.Harm == 0 {
			t.Errorf("%s: %+v", r.name, n.tally)
		}
	}
}

// Pings that are played without the queue change nothing.
func TestSkippingChangesNothing(t *testing.T) {
	for _, r := range rows()[:4] {
		play := func(slowly bool) (tally, []time.Duration, time.Duration) {
			n := newRun(r, profiles()[0], 7, false)
			n.slowly = slowly
			n.until(time.Hour)
			var found []time.Duration
			for range 5 {
				at := n.now + 30*time.Second
				n.strike(cut, at)
				found = append(found, n.find(at, longest))
			}
			return n.tally, found, n.now
		}
		a, found, end := play(false)
		b, slowly, later := play(true)
		if a.Alarms != b.Alarms || end != later {
			t.Errorf("%s: %+v at %v, slowly %+v at %v", r.name, a, end, b, later)
		}
		for i := range found {
			if found[i] != slowly[i] {
				t.Errorf("%s: cut found after %v, slowly after %v", r.name, found[i], slowly[i])
			}
		}
	}
}

// keepalived takes over where three adverts in a row are lost: (1-p) p³ an advert.
func TestAdvertsAreLostAsOften(t *testing.T) {
	const days, p = 4, 0.1
	n := newRun(rows()[4], profiles()[1], 3, true)
	n.until(days * 24 * time.Hour)
	want := days * 86400 * (1 - p) * p * p * p
	if got := float64(n.rivals[0].counts().False); math.Abs(got-want) > 5*math.Sqrt(want) {
		t.Errorf("%.0f takeovers in %d days, %.0f expected", got, days, want)
	}
	if n.rivals[0].counts().Harm == 0 {
		t.Error("no harm")
	}
}

// What came while the program was stopped is told, given up or void, and all of it.
func TestWakingLosesNothing(t *testing.T) {
	n := newRun(rows()[0], profiles()[0], 5, false)
	n.until(time.Minute)
	n.queue = n.queue[:0]
	seen := map[detector.Outcome]int{}
	for range 100 {
		n.queue.push(event{at: n.now + time.Second, asked: n.now, deadline: n.now + 1500*time.Millisecond,
			answer: detector.Answer{Question: detector.Question{ID: -1, Kind: detector.Host, Patience: 1500 * time.Millisecond}}})
	}
	n.now += 10 * time.Second
	n.woken()
	for _, e := range n.late {
		seen[e.answer.Outcome]++
	}
	if len(n.late) != 100 || seen[detector.Answered] < 20 || seen[detector.Void] < 20 {
		t.Errorf("%d events: %v", len(n.late), seen)
	}
}

func TestQuantile(t *testing.T) {
	found := times{4, 1, never, 3, 2}
	if found.quantile(0.5) != 3 || found.quantile(0.99) != never || found.quantile(0) != 1 {
		t.Error(found.quantile(0.5), found.quantile(0.99), found.quantile(0))
	}
}
