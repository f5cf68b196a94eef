package detector_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/detector"
)

func config() detector.Config {
	return detector.Config{
		Alarm: 5, Act: 8, Interval: 500 * time.Millisecond, Burst: 30 * time.Millisecond, GreetEvery: 600 * time.Millisecond,
		PingPatience: time.Second, LeastSilence: 400 * time.Millisecond, HostSilence: 500 * time.Millisecond, HungHost: 2 * time.Second,
		Alarming: 2 * time.Second, FreezeDeadline: 6 * time.Second, FreezeMost: 20 * time.Second, Overload: time.Second,
		LossFloor: 0.05, Grain: 10 * time.Millisecond, Lateness: 100 * time.Millisecond,
		WorkEvery: time.Second, Busy: 0.9, LeastIdle: 0.05,
	}
}

// world answers a detector's questions; what it does not answer is silent.
type world struct {
	ping, host, agent, hyper, refs, greet bool
	closed, refuse                        bool
	state                                 cluster.GuestState
	loss                                  float64 // of a ping, there and back
	greets, agents                        time.Duration

	busy, taken float64 // the share of its processor that the guest uses, and others use of the host's
	unread      bool    // the hypervisor does not tell
	was         cluster.Work
	since       time.Time // of was
}

// work is what the processors have done by now.
func (w world) work(now time.Time) cluster.Work {
	passed := float64(now.Sub(w.since))
	is := w.was
	is.Cores, is.Processors = 1, 4
	is.Used += time.Duration(w.busy * passed)
	is.Idle += time.Duration(max(0, 4-w.busy-4*w.taken) * passed)
	is.Total += time.Duration(4 * passed)
	return is
}

func sound() world {
	return world{ping: true, host: true, agent: true, hyper: true, refs: true, greet: true, state: cluster.GuestRunning, greets: 3 * time.Millisecond, agents: 60 * time.Millisecond,
		busy: 0.1, since: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
}

func (w world) answer(now time.Time, rnd *rand.Rand, q detector.Question) (after time.Duration, a detector.Answer) {
	a = detector.Answer{Question: q}
	yes, d := false, time.Millisecond
	switch q.Kind {
	case detector.Ping:
		yes = w.ping && rnd.Float64() >= w.loss
	case detector.Host:
		yes = w.host && rnd.Float64() >= w.loss
	case detector.Reference:
		yes = w.refs && rnd.Float64() >= w.loss
	case detector.Greet:
		yes, d = w.greet, w.greets
		if w.refuse {
			a.Outcome = detector.Refused
		}
	case detector.Agent:
		yes, d = w.agent && w.hyper || w.closed && w.hyper, w.agents
		if w.closed {
			a.Outcome, d = detector.Refused, 10*time.Millisecond
		}
	case detector.Hypervisor:
		yes, d, a.State = w.hyper, 10*time.Millisecond, w.state
	case detector.Work:
		yes, d = w.hyper && !w.unread, 10*time.Millisecond
		a.Work = w.work(now.Add(d))
	}
	if !yes || d > q.Patience {
		a.Outcome, d = detector.Silent, q.Patience
	}
	return d, a
}

type coming struct {
	at time.Time
	a  detector.Answer
}

// play drives d through w from at until the verdict is stop or for d's long;
// it returns the verdict and when it came.
func play(d *detector.Detector, w world, from time.Time, long time.Duration, stop func(detector.Verdict) bool) (detector.Verdict, time.Duration) {
	rnd := rand.New(rand.NewPCG(1, 2))
	var queue []coming
	now := from
	for now.Sub(from) < long {
		asked, wake := d.Ask(now)
		for _, q := range asked {
			after, a := w.answer(now, rnd, q)
			queue = append(queue, coming{now.Add(after), a})
		}
		slices.SortStableFunc(queue, func(a, b coming) int { return a.at.Compare(b.at) })
		if v := d.Verdict(now); stop(v) {
			return v, now.Sub(from)
		}
		now = wake
		for len(queue) > 0 && !queue[0].at.After(now) {
			c := queue[0]
			queue, now = queue[1:], c.at
			d.Tell(now, c.a)
			break
		}
	}
	return d.Verdict(now), now.Sub(from)
}

func believes(v detector.Verdict) bool { return v.Level == detector.Believe }
func never(detector.Verdict) bool      { return false }

// trained is a detector that has seen a minute of w.
func trained(cfg detector.Config, w world) (*detector.Detector, time.Time) {
	d := detector.New(cfg, []string{"postfix"})
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	d.Begin(at)
	for range 6 {
		d.Examine(at)
		_, took := play(d, w, at, 10*time.Second, never)
		at = at.Add(took)
		d.Begin(at)
	}
	return d, at
}

// What each trouble is taken for, and how soon (profile fast, clean path).
func TestTroubles(t *testing.T) {
	for _, tc := range []struct {
		name    string
		trouble func(*world)
		want    detector.Trouble
		least   time.Duration
		most    time.Duration
	}{
		{"crash, its hypervisor has not noticed", func(w *world) { w.ping, w.greet, w.closed = false, false, true }, detector.Down, 400, 900},
		{"crash, its hypervisor says so", func(w *world) { w.ping, w.greet, w.closed, w.state = false, false, true, cluster.GuestCrashed }, detector.Down, 0, 200},
		{"reboot", func(w *world) { w.ping, w.greet, w.closed, w.state = false, false, true, cluster.GuestBooting }, detector.Down, 400, 900},
		{"cut", func(w *world) { w.ping, w.greet = false, false }, detector.Cut, 400, 1100},
		{"host lost", func(w *world) { w.ping, w.greet, w.host, w.hyper = false, false, false, false }, detector.HostLost, 500, 1200},
		{"host hung, its kernel answers", func(w *world) { w.ping, w.greet, w.hyper = false, false, false }, detector.HostHung, 2000, 2800},
		{"kernel frozen", func(w *world) { w.ping, w.greet, w.agent = false, false, false }, detector.Frozen, 6000, 6800},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := sound()
			d, at := trained(config(), w)
			tc.trouble(&w)
			v, took := play(d, w, at, 20*time.Second, believes)
			if v.Trouble != tc.want || took < tc.least*time.Millisecond || took > tc.most*time.Millisecond {
				t.Errorf("%s after %v (φ %.1f, %s), want %s after %d to %d ms", v.Trouble, took, v.Phi, v.Evidence, tc.want, tc.least, tc.most)
			}
		})
	}
}

// Services: examined each round.
func TestServices(t *testing.T) {
	w := sound()
	d, at := trained(config(), w)
	w.greet = false
	d.Examine(at)
	v, took := play(d, w, at, 20*time.Second, believes)
	if v.Trouble != detector.ServiceFreeze || took < 6*time.Second || took > 7*time.Second || !v.Pinged || !slices.Equal(v.Daemons, []string{"postfix"}) {
		t.Errorf("%+v after %v", v, took)
	}

	w = sound()
	d, at = trained(config(), w)
	w.refuse = true
	d.Examine(at)
	if v, took = play(d, w, at, 20*time.Second, believes); v.Trouble != detector.ServiceStop || took > 1500*time.Millisecond {
		t.Errorf("%+v after %v", v, took)
	}
}

// What is sound and slow, or out of reach for a while, is never believed to be in trouble.
func TestNoHarm(t *testing.T) {
	for _, tc := range []struct {
		name string
		make func(*world)
		for_ time.Duration
	}{
		{"held by its hypervisor for 5 s", func(w *world) { w.ping, w.greet, w.agent, w.state = false, false, false, cluster.GuestPaused }, 5 * time.Second},
		{"stalled for 5 s, its hypervisor says running", func(w *world) { w.ping, w.greet, w.agent = false, false, false }, 5 * time.Second},
		{"we are cut off", func(w *world) { w.ping, w.greet, w.host, w.hyper, w.refs = false, false, false, false, false }, time.Hour},
		{"a tenth of the packets lost each way", func(w *world) { w.loss = 0.19 }, 10 * time.Hour},
		{"greets after 4.5 s", func(w *world) { w.greets = 4500 * time.Millisecond }, time.Hour},
		{"its agent is dead", func(w *world) { w.closed = true }, time.Hour},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := sound()
			d, at := trained(config(), w)
			tc.make(&w)
			d.Examine(at)
			if v, took := play(d, w, at, tc.for_, believes); believes(v) {
				t.Errorf("%s after %v: %s", v.Trouble, took, v.Evidence)
			}
		})
	}
}

// A program that was stopped believes nothing that it did not hear.
func TestOwnSleepProvesNothing(t *testing.T) {
	w := sound()
	d, at := trained(config(), w)
	mute := w
	mute.ping, mute.greet = false, false
	_, took := play(d, mute, at, 200*time.Millisecond, never)
	at = at.Add(took + 30*time.Second)
	if _, _ = d.Ask(at); d.Verdict(at).Level > detector.Doubt {
		t.Errorf("%+v", d.Verdict(at))
	}
	if v, took := play(d, mute, at, 10*time.Second, believes); v.Trouble != detector.Cut || took < 250*time.Millisecond {
		t.Errorf("%s after %v", v.Trouble, took)
	}
}

// Profile paper asks only when it examines: the pause before is no reason to forget what is due.
func TestExaminationAfterAPause(t *testing.T) {
	cfg := config()
	cfg.Interval = 0
	d, at := trained(cfg, sound())
	for range 3 {
		at = at.Add(10 * time.Second)
		d.Pause()
		d.Examine(at)
		asked, _ := d.Ask(at)
		if len(asked) != 2 {
			t.Fatalf("asked %v, want a ping and a greeting", asked)
		}
		for _, q := range asked {
			d.Tell(at.Add(time.Millisecond), detector.Answer{Question: q})
		}
		if !d.Heard(at) {
			t.Error("not heard")
		}
	}
}
