package dsrs

import (
	"context"
	"fmt"
	"sync"
	"time"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/detector"
	"pss-msbs/pkg/ipc"
	"pss-msbs/pkg/task"
	"pss-msbs/pkg/watch"
)

// trouble is B2 and the re-examination: any answer of ping and hypervisor
// together ends it.
func (d *DSRS) trouble(ctx context.Context) (State, string) {
	if r, err := d.askWithin(ctx, ipc.B2, cluster.CallLimit); err == nil {
		if r.State == cluster.RealAsleep {
			d.news("state", MsgSuspended)
			d.Log.Info().Str("step", "B2").Msg(MsgSuspended)
			return Suspended, "suspended between B1 and B2"
		}
		d.Log.Info().Str("step", "B2").Str("files", string(r.State)).Msg(MsgReexamine)
	}
	refs := make(chan bool, 1)
	go func() { refs <- d.referenceAnswers(ctx) }()
	h, answered := d.reexamine(ctx)
	reachable := <-refs
	switch {
	case answered:
		return d.gone(ctx)
	case !reachable && h.ping != nil:
		return CutOff, "no network reference answers"
	}
	d.outage.silent = h.ping != nil
	d.Log.Warn().Str("kind", h.kind()).Str("after_detection", d.since(d.outage.detected)).Msg(MsgConfirmed)
	return Confirmed, "no answer at any re-examination"
}

// reexamine watches the host until ping and hypervisor have both answered, or
// until the silence of one is believed.
func (d *DSRS) reexamine(ctx context.Context) (health, bool) {
	cfg := watch.Config(d.Settings, d.Clock)
	cfg.NoReferences, cfg.Observe = true, 0 // the caller asks them, and has observed
	cfg.HostSilence = cfg.HungHost          // its servers' monitors act at once; taking it out may wait for a blip's end
	w := watch.New(ctx, d.Clock, cfg, nil, func(q detector.Question) func(context.Context) (detector.Word, error) {
		return func(ctx context.Context) (detector.Word, error) { return d.put(ctx, q) }
	})
	defer w.Stop()
	began := d.Clock.Now()
	w.Examine(began)
	for ctx.Err() == nil {
		v := w.Look()
		switch {
		case w.Heard(began):
			return d.lookAtHypervisor(ctx, began.Add(cfg.HungHost))
		case v.Level == detector.Believe:
			return health{ping: fmt.Errorf("%w: %s", cluster.ErrNoAnswer, v.Evidence)}, false
		}
		select {
		case <-ctx.Done():
		case t := <-w.Told():
			w.Take(t)
		case <-w.Wake():
		}
	}
	return health{ping: ctx.Err()}, false
}

// lookAtHypervisor asks the hypervisor of a host that answers pings until it
// answers, or until a deadline. A call that ended late was not listened to.
func (s *senses) lookAtHypervisor(ctx context.Context, until time.Time) (health, bool) {
	for {
		asked := s.Clock.Now()
		err := s.quick(ctx, func(ctx context.Context) error { return s.Fleet.HypervisorAlive(ctx, s.Data.IP) })
		if err == nil {
			return health{}, true
		}
		late := s.Clock.Since(asked) > cluster.CallLimit+s.Clock.Emulated(lateCall)
		if !late && !s.Clock.Now().Before(until) || s.Clock.Sleep(ctx, s.beat()) != nil {
			return health{hypervisor: err}, false
		}
	}
}

// lateCall is how long after its deadline a call of a program ends that has its
// processor, on the wall clock.
const lateCall = 20 * time.Millisecond

// put is a detector's question about this real server.
func (s *senses) put(ctx context.Context, q detector.Question) (detector.Word, error) {
	switch q.Kind {
	case detector.Ping, detector.Host:
		return detector.Word{}, s.Fleet.Ping(ctx, s.Data.IP)
	case detector.Hypervisor:
		return detector.Word{State: cluster.GuestRunning}, s.Fleet.HypervisorAlive(ctx, s.Data.IP)
	}
	return detector.Word{}, watch.ErrUnknown
}

// looks has the host looked at n times, each look as patient as any: they
// overlap, as one that began before a return may hear nothing of it. The caller
// ends them.
func (s *senses) looks(ctx context.Context, n int, every time.Duration) (<-chan health, func()) {
	ctx, cancel := context.WithCancel(ctx)
	found := make(chan health)
	var wg sync.WaitGroup
	wg.Go(func() {
		for range n {
			wg.Go(func() {
				h := s.look(ctx)
				select {
				case found <- h:
				case <-ctx.Done():
				}
			})
			if s.Clock.Sleep(ctx, every) != nil {
				return
			}
		}
	})
	return found, func() { cancel(); wg.Wait() }
}

// gone ends a trouble that was none, or one so short that B3 was not reached:
// the servers' monitors may have taken over meanwhile, so VIPs are checked.
func (d *DSRS) gone(ctx context.Context) (State, string) {
	d.Log.Info().Str("after_detection", d.since(d.outage.detected)).Msg(MsgGone)
	d.stripAnswering(ctx)
	d.endOutage()
	return Normal, "the real server answers again"
}

func (s *senses) referenceAnswers(ctx context.Context) bool {
	ctx, cancel := s.Clock.Timeout(ctx, s.Settings.DSRS.PingTimeout.D())
	defer cancel()
	return watch.References(ctx, s.Settings.Network.References, s.Fleet.Ping) == nil
}

// cutOff holds everything until a network reference answers: then it is the
// real server's turn to be examined again.
func (d *DSRS) cutOff(ctx context.Context) (State, string) {
	d.Log.Error().Msg(MsgCutOff)
	_ = d.Clock.Poll(ctx, d.beat(), func() bool {
		ctx, cancel := d.Clock.Timeout(ctx, d.beat()) // what was sent before the return hears no answer
		defer cancel()
		return d.referenceAnswers(ctx)
	})
	d.Log.Info().Msg(MsgReachable)
	return Trouble, "a network reference answers"
}

// confirmed is B3. Until the row is out the real server may still come back.
func (d *DSRS) confirmed(ctx context.Context) (State, string) {
	for ctx.Err() == nil {
		r, err := d.takeOut(ctx)
		if err == nil {
			d.outage.active = r.Active
			d.Log.Warn().Str("step", "B3").Int("active", len(r.Active)).Msg(MsgOut)
			break
		}
		if refusedAs(err) == cluster.RealAsleep {
			return Suspended, "suspended before B3"
		}
		if d.look(ctx).ok() {
			return d.gone(ctx)
		}
		if d.news("B3", err.Error()) {
			d.Log.Error().Str("step", "B3").Err(err).Msg(MsgNotOut)
		}
		_ = d.Clock.Sleep(ctx, time.Second)
	}
	if !d.outage.silent {
		return HypervisorDown, "only its virtualization software is silent"
	}
	d.Log.Info().Stringer("limit", d.Settings.DSRS.RestartWait.D()).Msg(MsgWaiting)
	return Waiting, "B3"
}

// takeOut is B3. Whoever held the lock may have held it until a host that was
// silent answers again: then what must not answer on it is stripped, and B3, as
// long as it waits, is given up.
func (d *DSRS) takeOut(ctx context.Context) (ipc.Reply, error) {
	b3, giveUp := context.WithCancel(ctx)
	defer giveUp()
	meanwhile := task.Go(ctx, func(ctx context.Context) {
		if !d.outage.silent || d.listen(ctx, b3Timeout) != nil {
			return
		}
		d.stripAtOnce(ctx)
		if d.look(ctx).ok() {
			giveUp()
		}
	})
	defer meanwhile.Stop()
	return d.askWithin(b3, ipc.B3, b3Timeout)
}

// b3Timeout outlasts a full wait for the lock.
const b3Timeout = 12 * time.Second
