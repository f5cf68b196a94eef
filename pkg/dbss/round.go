package dbss

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/detector"
	"pss-msbs/pkg/doubt"
	"pss-msbs/pkg/ipc"
	"pss-msbs/pkg/task"
)

// starting learns where the target stands; a target in separation is resumed.
func (m *Monitor) starting(ctx context.Context) (State, string) {
	v, err := m.lookBeforeMonitor(ctx)
	if err != nil {
		return m.later(ctx, Starting, "files cannot be asked")
	}
	if m.opt.Ready != nil {
		m.ready.Do(m.opt.Ready)
	}
	if v.state != cluster.Separated {
		m.backup.rest(ctx)
	} else {
		m.endMove(ctx)
	}
	next, why := m.route(v)
	switch {
	case next == Recovering && m.dsrsTurn() && m.backupCared():
		m.idle = true
		return Ended, "its dsrs brings the target back"
	case next == Recovering && !m.backupServes(ctx, v):
		next, why = TakingOver, "the backup should serve and does not"
	}
	return next, why
}

// settle is how long a target must be in no file before that is said: a shift
// or a recovery rewrites several files, and what is between is no news.
const settle = 2 * time.Second

// topicWaiting is what the target is waited for, in m.said.
const topicWaiting = "waiting"

// waiting leaves the target alone until the files name it.
func (m *Monitor) waiting(ctx context.Context) (State, string) {
	m.sayWaiting()
	m.pause(ctx, m.untilSettled())
	v, err := m.lookBeforeMonitor(ctx)
	if err != nil {
		return m.later(ctx, Waiting, "files cannot be asked")
	}
	next, why := m.route(v)
	if next == Normal && m.said.News(topicWaiting, "") {
		m.log.Info().Str("step", string(ipc.A1)).Msg(MsgResumed)
	}
	return next, why
}

// sayWaiting says once what Fig. 12 shows.
func (m *Monitor) sayWaiting() {
	msg := MsgAccessStop
	if m.view.state != cluster.AccessStop {
		if m.clk.Since(m.waitingSince) < settle {
			return
		}
		msg = MsgNotInFiles
	}
	if m.said.News(topicWaiting, msg) {
		m.log.Info().Str("step", string(ipc.A1)).Msg(msg)
	}
}

func (m *Monitor) untilSettled() time.Duration {
	interval := m.set.MonitorInterval.D()
	if left := settle - m.clk.Since(m.waitingSince); left > 0 {
		return min(left, interval)
	}
	return interval
}

// normal is one monitoring: A1, then look at the target, then wait.
func (m *Monitor) normal(ctx context.Context) (State, string) {
	v, err := m.lookBeforeMonitor(ctx)
	if err != nil { // no trouble of the target
		return m.later(ctx, Normal, "files cannot be asked")
	}
	if next, why := m.route(v); next != Normal {
		return next, why
	}
	return m.monitor(ctx)
}

// detected tells the trouble and starts the re-examination.
func (m *Monitor) detected(v detector.Verdict) (State, string) {
	t := trouble{kind: networkTrouble, daemons: v.Daemons}
	msg := MsgNetworkTrouble
	if v.Pinged && v.Trouble != detector.Down {
		t.kind, msg = freeze, MsgServiceTrouble
	}
	if v.Trouble == detector.ServiceStop {
		t.kind = serviceStop
	}
	if !m.reported.IsZero() && m.clk.Since(m.reported) < recently {
		t.fault = m.reported
	}
	return m.suspect(t, v, msg)
}

// suspect stamps, logs and posts the trouble t.
func (m *Monitor) suspect(t trouble, v detector.Verdict, msg string) (State, string) {
	t.detected = m.clk.Now()
	m.trouble = t
	e := m.log.Info()
	if len(t.daemons) > 0 {
		e = e.Strs("daemons", t.daemons)
	}
	if !t.fault.IsZero() {
		e = e.Str("after_fault", m.since(t.fault))
	}
	if v.Evidence != "" {
		e = e.Str("evidence", v.Evidence)
	}
	e.Msg(msg)
	m.doubt(v, m.trouble.detected)
	return Reexamining, string(t.kind)
}

// monitor is one monitoring: the target is examined, and watched until the next
// one is due. Profile fast: it is pinged meanwhile, and a hypervisor's event or a
// change of the files is looked at at once.
func (m *Monitor) monitor(ctx context.Context) (State, string) {
	r := &round{m: m, examined: m.clk.Now(), over: m.clk.After(m.set.MonitorInterval.D())}
	defer r.end()
	m.watcher.Pause()
	m.watcher.Examine(r.examined)
	for ctx.Err() == nil {
		if v := m.watcher.Look(); v.Level >= detector.Alarm {
			return m.detected(v)
		}
		r.answered(ctx)
		if next, why, over := r.wait(ctx); over {
			return next, why
		}
	}
	return Normal, "ending"
}

// round is one monitoring.
type round struct {
	m          *Monitor
	examined   time.Time // when the target was asked for everything
	over       <-chan time.Time
	beat       <-chan time.Time
	sound      bool       // it has answered in full
	checking   *task.Task // of its VIPs; what it asks may hang with the target
	announcing *task.Task
	bad        *trouble // what checking found
}

func (r *round) end() {
	r.checking.Stop()
	r.announcing.Stop()
}

// answered is for a target that has just answered in full: its VIPs are looked at.
func (r *round) answered(ctx context.Context) {
	m := r.m
	if r.sound || !m.watcher.Heard(r.examined) {
		return
	}
	r.sound = true
	if !m.greeted {
		m.greeted = true
		m.log.Info().Msg(MsgNormal)
	}
	m.weighLoad()
	r.checking = task.Start(ctx, func(ctx context.Context) error {
		if t, bad := m.checkVIPs(ctx); bad {
			r.bad = &t
		}
		return nil
	})
}

// wait waits for news of the target; over ends the round. While its VIPs are
// looked at the view of the files stays what it is.
func (r *round) wait(ctx context.Context) (next State, why string, over bool) {
	m, changed := r.m, r.m.changed
	if r.checking != nil || r.announcing.Running() {
		changed = nil // they read it
	}
	if r.beat == nil && m.fast && m.standsIn() {
		r.beat = m.clk.After(m.set.PingInterval.D())
	}
	select {
	case <-ctx.Done():
	case <-r.over:
		return Normal, "interval", true
	case <-r.checking.Ended():
		r.checking = nil
		m.watcher.Agentless(m.agentless.Load())
		if r.bad != nil {
			next, why = m.suspect(*r.bad, detector.Verdict{}, MsgNetworkTrouble)
			return next, why, true
		}
		m.backup.keep(ctx)
		m.watcher.Pause()
	case <-changed:
		if !m.sameView(ctx) {
			return Normal, "files changed", true
		}
		m.watcher.Pause()
	case ev := <-m.events:
		m.rouse(ev)
	case t := <-m.watcher.Told():
		m.watcher.Take(t)
	case <-m.watcher.Wake():
	case <-r.beat:
		r.announce(ctx)
	}
	return "", "", false
}

// announce repeats the gratuitous ARP of a serving backup, profile fast.
func (r *round) announce(ctx context.Context) {
	r.beat = nil
	if !r.announcing.Running() && r.checking == nil {
		r.announcing = task.Start(ctx, func(ctx context.Context) error {
			r.m.announceOwn(ctx)
			return nil
		})
	}
}

// weighLoad tells of a target that greets, but slowly: it is no trouble, and its
// group should have more servers.
func (m *Monitor) weighLoad() {
	slow := m.watcher.Overloaded()
	if len(slow) == 0 {
		m.overloadedSince = time.Time{}
		m.calm(MsgOverloaded)
		m.calm(MsgBusy)
		m.undoubt()
		return
	}
	if m.overloadedSince.IsZero() {
		m.overloadedSince = m.clk.Now()
	}
	why := strings.Join(slow, " ") + " greets slowly"
	m.alarm(MsgOverloaded, errors.New(why))
	m.post(doubt.Doubt{Kind: doubt.Overloaded, Evidence: why, Since: m.overloadedSince})
}

// sameView asks whether a change of the files concerns the target. Most do not:
// one server's takeover must not have every other server examined.
func (m *Monitor) sameView(ctx context.Context) bool {
	was, real := m.view, m.real
	v, err := m.lookBeforeMonitor(ctx)
	return err == nil && v.state == was.state && slices.Equal(v.vips, was.vips) && m.real == real && v.out == was.out
}
