// Package watch puts a detector's questions to real servers: each in a goroutine
// of its own with its own patience, which the watcher waits for.
package watch

import (
	"context"
	"errors"
	"sync"
	"time"

	"pss-msbs/pkg/clock"
	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/detector"
	"pss-msbs/pkg/settings"
)

// ErrUnknown is the answer to a question about nobody: it proves nothing.
var ErrUnknown = errors.New("it is not known where to ask")

// Put is called by the watcher's owner for each question and returns how it is
// asked, which a goroutine of its own does.
type Put func(q detector.Question) func(ctx context.Context) (detector.Word, error)

// Watcher asks what a detector wants to know and tells it the answers. All but
// the goroutines of its questions is for its owner's goroutine.
type Watcher struct {
	*detector.Detector
	clk    clock.Clock
	put    Put
	told   chan telling
	wake   *time.Timer     // of the next look
	due    time.Time       // when wake fires
	ctx    context.Context // of all questions
	cancel context.CancelFunc
	asking sync.WaitGroup
}

// telling is an answer and when it came.
type telling struct {
	at     time.Time
	answer detector.Answer
}

// answersKept is how many answers may wait for a busy owner.
const answersKept = 128

// New starts to watch a server with these service daemons; Stop ends it.
func New(ctx context.Context, clk clock.Clock, cfg detector.Config, daemons []string, put Put) *Watcher {
	w := &Watcher{Detector: detector.New(cfg, daemons), clk: clk, put: put, told: make(chan telling, answersKept)}
	w.ctx, w.cancel = context.WithCancel(ctx)
	w.wake, w.due = time.NewTimer(farOff), clk.Now().Add(farOff)
	w.Begin(clk.Now())
	return w
}

// What an emulated fleet's programs can tell of times on the wall clock: they do
// not tell answers apart that differ by less than wallGrain, and are not late
// before wallLate. Whose patience ends wallOver too late was not listening.
const (
	wallGrain = 5 * time.Millisecond
	wallLate  = 100 * time.Millisecond
	wallOver  = 20 * time.Millisecond
)

// Config is the settings as a detector knows them; at the speed of an emulated
// fleet nothing is finer than the wall clock allows.
func Config(set settings.Settings, clk clock.Clock) detector.Config {
	s := set.Detector
	cfg := detector.Config{
		Alarm: s.Alarm, Act: s.Act, Interval: s.Interval.D(), Burst: max(s.Burst.D(), clk.Emulated(2*wallGrain)),
		GreetEvery: s.GreetEvery.D(), PingPatience: set.DBSS.PingTimeout.D(), LeastSilence: s.LeastSilence.D(),
		HostSilence: s.HostSilence.D(), HungHost: s.HungHost.D(), Alarming: set.DBSS.GreetTimeout.D(),
		FreezeDeadline: set.DBSS.FreezeDeadline.D(), FreezeMost: max(s.FreezeMost.D(), set.DBSS.FreezeDeadline.D()),
		Observe: s.Observe.D(), Overload: s.Overload.D(), LossFloor: s.LossFloor,
		Grain: max(10*time.Millisecond, clk.Emulated(wallGrain)), Lateness: max(s.Lateness.D(), clk.Emulated(wallLate)),
		WorkEvery: s.WorkEvery.D(), Busy: s.Busy, LeastIdle: s.LeastIdle,
		NoReferences: len(set.Network.References) == 0,
	}
	if set.Profile == settings.Paper {
		cfg.Interval, cfg.WorkEvery = 0, 0
	}
	return cfg
}

// Stop ends all questions and waits for them; nothing on nil.
func (w *Watcher) Stop() {
	if w != nil {
		w.cancel()
		w.wake.Stop()
		w.asking.Wait()
	}
}

// Pause is that of the detector; nothing on nil.
func (w *Watcher) Pause() {
	if w != nil {
		w.Detector.Pause()
	}
}

// Look asks what is due and weighs what was answered. The next look is due when
// Wake fires or an answer was told.
func (w *Watcher) Look() detector.Verdict {
	now := w.awake()
	w.drain()
	questions, wake := w.Ask(now)
	for _, q := range questions {
		w.ask(q)
	}
	w.due = wake
	w.wake.Reset(max(w.clk.Wall(wake.Sub(now)), soon))
	return w.Verdict(now)
}

// A timer that nobody needs yet is far off. One that is to fire at once does so
// soon: see clock.Sleep.
const (
	farOff = 1000 * time.Hour
	soon   = time.Nanosecond
)

// awake is now, once this program runs: its clock woke it, or may have.
func (w *Watcher) awake() time.Time {
	now := w.clk.Now()
	if now.Before(w.due) {
		return now
	}
	w.clk.Halt.Pass()
	return w.clk.Now()
}

// Told is where answers come in, each to be given to Take; nil (never) on nil.
func (w *Watcher) Told() <-chan telling {
	if w == nil {
		return nil
	}
	return w.told
}

// Take tells the detector an answer.
func (w *Watcher) Take(t telling) { w.Tell(t.at, t.answer) }

// Wake fires when the next look is due; nil (never) on nil.
func (w *Watcher) Wake() <-chan time.Time {
	if w == nil {
		return nil
	}
	if !w.clk.Now().Before(w.due) {
		w.wake.Reset(soon)
	}
	return w.wake.C
}

// drain takes the answers that are there.
func (w *Watcher) drain() {
	for {
		select {
		case t := <-w.told:
			w.Take(t)
		default:
			return
		}
	}
}

// ask puts one question; its answer comes through told.
func (w *Watcher) ask(q detector.Question) {
	sent, put := w.clk.Now(), w.put(q)
	w.asking.Go(func() {
		ctx, cancel := w.clk.Timeout(w.ctx, q.Patience)
		defer cancel()
		word, err := put(ctx)
		t := telling{at: w.clk.Now(), answer: detector.Answer{Question: q, Word: word, Outcome: outcome(err)}}
		if err != nil && t.at.Sub(sent) > q.Patience+w.clk.Emulated(wallOver) {
			t.answer.Outcome = detector.Void // this program does not get to its answers in time
		}
		select {
		case w.told <- t:
		case <-w.ctx.Done():
		}
	})
}

func outcome(err error) detector.Outcome {
	switch {
	case err == nil:
		return detector.Answered
	case errors.Is(err, ErrUnknown):
		return detector.Void
	case errors.Is(err, cluster.ErrRefused) || errors.Is(err, cluster.ErrAgentGone):
		return detector.Refused
	}
	return detector.Silent
}
