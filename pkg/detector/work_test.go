package detector_test

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/detector"
)

// A busy guest may be silent for longer before that is believed; what is certain
// waits for nothing.
func TestBusy(t *testing.T) {
	mute := func(w *world) { w.ping, w.greet, w.agent = false, false, false }
	for _, tc := range []struct {
		name    string
		trouble func(*world)
		want    detector.Trouble
		least   time.Duration // ms
		most    time.Duration
		says    string
	}{
		{"busy", func(w *world) { mute(w); w.busy = 1 }, detector.Frozen, 20000, 21000, "guest busy 100 %"},
		{"nearly busy", func(w *world) { mute(w); w.busy = 0.88 }, detector.Frozen, 6000, 6800, ""},
		{"its host is", func(w *world) { mute(w); w.busy, w.taken = 0, 0.97 }, detector.Frozen, 20000, 21000, "host without idle processor"},
		{"its host has little to do", func(w *world) { mute(w); w.busy, w.taken = 0, 0.9 }, detector.Frozen, 6000, 6800, ""},
		{"the hypervisor does not say", func(w *world) { mute(w); w.busy, w.unread = 1, true }, detector.Frozen, 6000, 6800, ""},
		{"its service is mute", func(w *world) { w.greet, w.busy = false, 1 }, detector.ServiceFreeze, 20000, 21000, "guest busy 100 %"},
		{"its agent is slow", func(w *world) { w.ping, w.greet, w.agents, w.busy = false, false, 1500*time.Millisecond, 1 }, detector.Cut, 20000, 21000, "guest busy 100 %"},

		{"cut", func(w *world) { w.ping, w.greet, w.busy = false, false, 1 }, detector.Cut, 400, 1100, ""},
		{"crashed", func(w *world) { mute(w); w.closed, w.state, w.busy = true, cluster.GuestCrashed, 1 }, detector.Down, 0, 200, ""},
		{"reboots", func(w *world) { mute(w); w.closed, w.state, w.busy = true, cluster.GuestBooting, 1 }, detector.Down, 400, 900, ""},
		{"its service is refused", func(w *world) { w.refuse, w.busy = true, 1 }, detector.ServiceStop, 0, 1500, ""},
		{"its host is silent", func(w *world) { mute(w); w.host, w.hyper, w.busy = false, false, 1 }, detector.HostLost, 500, 1200, ""},
		{"its hypervisor is silent", func(w *world) { mute(w); w.hyper, w.busy = false, 1 }, detector.HostHung, 2000, 2800, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := sound()
			d, at := trained(config(), w)
			tc.trouble(&w)
			d.Examine(at)
			v, took := play(d, w, at, 30*time.Second, believes)
			if v.Trouble != tc.want || took < tc.least*time.Millisecond || took > tc.most*time.Millisecond {
				t.Errorf("%s after %v (φ %.1f, %s), want %s after %d to %d ms", v.Trouble, took, v.Phi, v.Evidence, tc.want, tc.least, tc.most)
			}
			if !strings.Contains(v.Evidence, tc.says) || v.Busy != (tc.says != "") {
				t.Errorf("busy %t, evidence %q, want %q", v.Busy, v.Evidence, tc.says)
			}
		})
	}
}

// Who is silent and busy for less than freeze_most is left alone.
func TestBusyIsLeftAlone(t *testing.T) {
	for _, long := range []time.Duration{7 * time.Second, 15 * time.Second, 19 * time.Second} {
		w := sound()
		d, at := trained(config(), w)
		w.ping, w.greet, w.agent, w.busy = false, false, false, 1
		if v, took := play(d, w, at, long, believes); believes(v) || !v.Busy {
			t.Errorf("%s after %v: %s", v.Trouble, took, v.Evidence)
		}
	}
}

// Without doubt, and in one that passes, nobody asks for processor time; in one
// that lasts it is asked for about each second. Profile paper: never.
func TestWorkIsAskedSeldom(t *testing.T) {
	asked := func(cfg detector.Config, w world, long time.Duration) (n int) {
		d, at := trained(cfg, sound())
		d.Examine(at)
		rnd := rand.New(rand.NewPCG(1, 2))
		for end := at.Add(long); at.Before(end); {
			questions, wake := d.Ask(at)
			for _, q := range questions {
				if q.Kind == detector.Work {
					n++
				}
				_, a := w.answer(at, rnd, q)
				if a.Outcome != detector.Silent {
					d.Tell(at, a)
				}
			}
			at = minTime(wake, end)
		}
		return n
	}
	mute := sound()
	mute.ping, mute.greet, mute.agent = false, false, false
	paper := config()
	paper.WorkEvery = 0
	for _, tc := range []struct {
		name        string
		cfg         detector.Config
		w           world
		long        time.Duration
		least, most int
	}{
		{"no doubt", config(), sound(), time.Minute, 0, 0},
		{"a doubt of less than a second", config(), mute, 900 * time.Millisecond, 0, 0},
		{"a doubt that lasts", config(), mute, 10500 * time.Millisecond, 9, 11},
		{"profile paper", paper, mute, 10 * time.Second, 0, 0},
	} {
		if n := asked(tc.cfg, tc.w, tc.long); n < tc.least || n > tc.most {
			t.Errorf("%s: asked %d times, want %d to %d", tc.name, n, tc.least, tc.most)
		}
	}
}

// Each doubt is weighed by itself: who did nothing in an earlier one may be busy now.
func TestBusyInItsSecondDoubt(t *testing.T) {
	w := sound()
	d, at := trained(config(), w)
	for _, part := range []struct {
		well bool
		busy float64
		long time.Duration
	}{{false, 0, 4 * time.Second}, {true, 0.1, 30 * time.Second}, {false, 1, 15 * time.Second}} {
		w.was, w.since = w.work(at), at
		w.ping, w.greet, w.agent, w.busy = part.well, part.well, part.well, part.busy
		v, took := play(d, w, at, part.long, believes)
		if believes(v) {
			t.Errorf("%+v: %s after %v: %s", part, v.Trouble, took, v.Evidence)
		}
		at = at.Add(took)
	}
}

// Who was busy for long and then hangs is not busy any more.
func TestBusyEndsSoon(t *testing.T) {
	w := sound()
	d, at := trained(config(), w)
	w.greets, w.busy = 15*time.Second, 1
	d.Examine(at)
	v, took := play(d, w, at, 12*time.Second, believes)
	if believes(v) || !v.Busy {
		t.Fatalf("%s after %v: %s", v.Trouble, took, v.Evidence)
	}
	at = at.Add(took)
	w.was, w.since = w.work(at), at
	w.ping, w.greet, w.agent, w.busy = false, false, false, 0
	if v, took := play(d, w, at, 30*time.Second, believes); !believes(v) || took > 8*time.Second {
		t.Errorf("%s after %v: %s", v.Trouble, took, v.Evidence)
	}
}
