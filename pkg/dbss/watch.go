package dbss

import (
	"context"
	"errors"
	"sync"
	"time"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/detector"
	"pss-msbs/pkg/settings"
)

// watcher asks the fleet what a detector of one guest wants to know, and tells
// it the answers. All but stop is for the monitor's own goroutine.
type watcher struct {
	m      *Monitor
	d      *detector.Detector
	at     func() cluster.Guest
	told   chan telling
	wake   <-chan time.Time
	ctx    context.Context // of all questions
	cancel context.CancelFunc
	asking sync.WaitGroup
}

// telling is an answer and when it came.
type telling struct {
	at     time.Time
	answer detector.Answer
}

// watch starts to watch the guest that at names.
func (m *Monitor) watch(ctx context.Context, at func() cluster.Guest) *watcher {
	w := &watcher{m: m, at: at, told: make(chan telling, 128)}
	w.d = detector.New(m.detectorConfig(), m.opt.Target.Daemons)
	w.ctx, w.cancel = context.WithCancel(ctx)
	w.d.Begin(m.clk.Now())
	return w
}

// Of what an emulated fleet may be faster than its programs: they do not tell
// times apart that differ by less than wallGrain on the wall clock, and are not
// late before wallLate.
const (
	wallGrain = 5 * time.Millisecond
	wallLate  = 100 * time.Millisecond
)

// detectorConfig is the settings as a detector knows them.
func (m *Monitor) detectorConfig() detector.Config {
	s := m.opt.Settings.Detector
	cfg := detector.Config{
		Alarm: s.Alarm, Act: s.Act, Interval: s.Interval.D(), Burst: max(s.Burst.D(), m.clk.Emulated(2*wallGrain)),
		GreetEvery: s.GreetEvery.D(), PingPatience: m.set.PingTimeout.D(), LeastSilence: s.LeastSilence.D(),
		HostSilence: s.HostSilence.D(), HungHost: s.HungHost.D(), Alarming: m.set.GreetTimeout.D(),
		FreezeDeadline: m.set.FreezeDeadline.D(), FreezeMost: max(s.FreezeMost.D(), m.set.FreezeDeadline.D()),
		Observe: s.Observe.D(), Overload: s.Overload.D(), LossFloor: s.LossFloor,
		Grain: max(10*time.Millisecond, m.clk.Emulated(wallGrain)), Lateness: max(s.Lateness.D(), m.clk.Emulated(wallLate)),
		NoReferences: len(m.opt.Settings.Network.References) == 0,
	}
	if m.opt.Settings.Profile == settings.Paper {
		cfg.Interval = 0
	}
	return cfg
}

// begin starts an observation.
func (w *watcher) begin() {
	if w != nil {
		w.d.Begin(w.m.clk.Now())
	}
}

// stop ends all questions and waits for them.
func (w *watcher) stop() {
	if w != nil {
		w.cancel()
		w.asking.Wait()
	}
}

// look asks what is due and weighs what was answered. The next look is due when
// wake fires or an answer comes.
func (w *watcher) look() detector.Verdict {
	w.drain()
	now := w.m.clk.Now()
	questions, wake := w.d.Ask(now)
	for _, q := range questions {
		w.ask(q)
	}
	w.wake = w.m.clk.After(wake.Sub(now))
	return w.d.Verdict(now)
}

// drain takes the answers that are there.
func (w *watcher) drain() {
	for {
		select {
		case t := <-w.told:
			w.tell(t)
		default:
			return
		}
	}
}

func (w *watcher) tell(t telling) { w.d.Tell(t.at, t.answer) }

// ask puts one question; its answer comes through told.
func (w *watcher) ask(q detector.Question) {
	g, sent := w.at(), w.m.clk.Now()
	w.asking.Go(func() {
		ctx, cancel := w.m.clk.Timeout(w.ctx, q.Patience)
		defer cancel()
		state, err := w.put(ctx, g, q)
		t := telling{at: w.m.clk.Now(), answer: detector.Answer{Question: q, State: state, Outcome: outcome(err)}}
		if late := q.Patience + w.m.clk.Emulated(wallLate); err != nil && t.at.Sub(sent) > late {
			t.answer.Outcome = detector.Void // the answer may lie unread
		}
		select {
		case w.told <- t:
		case <-w.ctx.Done():
		}
	})
}

// put is the question as the fleet understands it.
func (w *watcher) put(ctx context.Context, g cluster.Guest, q detector.Question) (cluster.GuestState, error) {
	f := w.m.fleet
	switch q.Kind {
	case detector.Ping:
		return "", f.Ping(ctx, g.IP)
	case detector.Greet:
		return "", f.Greet(ctx, g.IP, q.Daemon)
	case detector.Agent:
		_, err := f.Addrs(ctx, g)
		return "", err
	case detector.Hypervisor:
		return f.GuestState(ctx, g)
	case detector.Host:
		if !g.Real.IsValid() {
			return "", errUnknown
		}
		return "", f.Ping(ctx, g.Real)
	}
	return "", w.m.askReferences(ctx)
}

// errUnknown is the answer to a question about nobody.
var errUnknown = errors.New("its real server is not known")

func outcome(err error) detector.Outcome {
	switch {
	case err == nil:
		return detector.Answered
	case errors.Is(err, errUnknown):
		return detector.Void
	case errors.Is(err, cluster.ErrRefused) || errors.Is(err, cluster.ErrAgentGone):
		return detector.Refused
	}
	return detector.Silent
}
