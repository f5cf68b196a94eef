package dbss

import (
	"context"
	"slices"
	"time"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/ipc"
)

// starting learns where the target stands; a target in separation is resumed.
func (m *Monitor) starting(ctx context.Context) (State, string) {
	v, err := m.lookBeforeMonitor(ctx)
	if err != nil {
		_ = m.clk.Sleep(ctx, m.set.PingInterval.D())
		return Starting, "files cannot be asked"
	}
	if m.opt.Ready != nil {
		m.ready.Do(m.opt.Ready)
	}
	if v.state != ipc.Separated {
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
	m.announceState(next)
	return next, why
}

// announceState says once what Fig. 12 shows.
func (m *Monitor) announceState(next State) {
	switch {
	case next == Waiting && m.view.state == ipc.AccessStop:
		m.log.Info().Str("step", string(ipc.A1)).Msg(MsgAccessStop)
	case next == Waiting:
		m.log.Info().Str("step", string(ipc.A1)).Msg(MsgNotInFiles)
	case m.state == Waiting && next == Normal:
		m.log.Info().Str("step", string(ipc.A1)).Msg(MsgResumed)
	}
}

// waiting leaves the target alone until the files name it.
func (m *Monitor) waiting(ctx context.Context) (State, string) {
	m.pause(ctx, m.set.MonitorInterval.D())
	before := m.view.state
	v, err := m.lookBeforeMonitor(ctx)
	if err != nil {
		_ = m.clk.Sleep(ctx, m.set.PingInterval.D())
		return Waiting, "files cannot be asked"
	}
	next, why := m.route(v)
	if next != Waiting || v.state != before {
		m.announceState(next)
	}
	return next, why
}

// normal is one monitoring: A1, then look at the target, then wait.
func (m *Monitor) normal(ctx context.Context) (State, string) {
	v, err := m.lookBeforeMonitor(ctx)
	if err != nil { // no trouble of the target
		_ = m.clk.Sleep(ctx, m.set.PingInterval.D())
		return Normal, "files cannot be asked"
	}
	if next, why := m.route(v); next != Normal {
		m.announceState(next)
		return next, why
	}
	if t, bad := m.examine(ctx); bad {
		return m.detected(t)
	}
	if !m.greeted {
		m.greeted = true
		m.log.Info().Msg(MsgNormal)
	}
	if t, bad := m.checkVIPs(ctx); bad {
		return m.detected(t)
	}
	m.backup.keep(ctx)
	return m.untilNextRound(ctx)
}

// detected notes the trouble and starts the re-examination.
func (m *Monitor) detected(t trouble) (State, string) {
	t.detected = m.clk.Now()
	m.trouble = t
	msg := MsgNetworkTrouble
	if t.kind != networkTrouble {
		msg = MsgServiceTrouble
	}
	e := m.log.Info()
	if len(t.daemons) > 0 {
		e = e.Strs("daemons", t.daemons)
	}
	if !t.fault.IsZero() {
		e = e.Str("after_fault", m.since(t.fault))
	}
	e.Msg(msg)
	return Reexamining, string(t.kind)
}

// examine looks at the target once: its own IP, and each daemon's greeting.
func (m *Monitor) examine(ctx context.Context) (trouble, bool) {
	began := m.clk.Now()
	if t, bad := m.pingOrEvent(ctx); bad {
		return t, true
	}
	refused, silent := m.greetAll(ctx, m.opt.Target.IP, m.set.GreetTimeout.D())
	switch {
	case len(silent) > 0:
		return trouble{kind: freeze, daemons: append(silent, refused...), silentSince: began}, true
	case len(refused) > 0:
		return trouble{kind: serviceStop, daemons: refused}, true
	}
	return trouble{}, false
}

// untilNextRound waits for the next monitoring. Profile fast: it pings
// meanwhile, and a hypervisor's event or a change of the files ends the wait.
func (m *Monitor) untilNextRound(ctx context.Context) (State, string) {
	round := m.clk.After(m.set.MonitorInterval.D())
	for {
		var tick <-chan time.Time
		if m.fast {
			tick = m.clk.After(m.set.PingInterval.D())
		}
		select {
		case <-ctx.Done():
			return Normal, "ending"
		case <-round:
			return Normal, "interval"
		case <-m.changed:
			if !m.sameView(ctx) {
				return Normal, "files changed"
			}
		case ev := <-m.events:
			if t, bad := m.lookAtEvent(ctx, ev); bad {
				return m.detected(t)
			}
		case <-tick:
			if t, bad := m.pingOrEvent(ctx); bad {
				return m.detected(t)
			}
			m.announceOwn(ctx)
		}
	}
}

// sameView asks whether a change of the files concerns the target. Most do not:
// one server's takeover must not have every other server examined.
func (m *Monitor) sameView(ctx context.Context) bool {
	was, real := m.view, m.real
	v, err := m.lookBeforeMonitor(ctx)
	return err == nil && v.state == was.state && slices.Equal(v.vips, was.vips) && m.real == real && v.out == was.out
}

// pingOrEvent pings the target; what its hypervisor reports meanwhile is looked
// at rather than the end of a ping that may never be answered.
func (m *Monitor) pingOrEvent(ctx context.Context) (trouble, bool) {
	pinged := startTask(ctx, func(ctx context.Context) error { return m.ping(ctx, m.opt.Target.IP) })
	defer pinged.stop()
	select {
	case <-pinged.done:
		return trouble{kind: networkTrouble}, pinged.err != nil
	case ev := <-m.events:
		return m.lookAtEvent(ctx, ev)
	}
}

// eventPoll is how often the hypervisor is asked while a ping is open.
const eventPoll = 50 * time.Millisecond

// lookAtEvent checks what a hypervisor reported: it may be old news, or good news.
func (m *Monitor) lookAtEvent(ctx context.Context, ev cluster.Event) (trouble, bool) {
	ctx, cancel := m.clk.Timeout(ctx, m.set.PingTimeout.D())
	defer cancel()
	pinged := startTask(ctx, func(ctx context.Context) error { return m.fleet.Ping(ctx, m.opt.Target.IP) })
	defer pinged.stop()
	t := trouble{kind: networkTrouble, stamps: stamps{fault: ev.At}}
	for pinged.running() { // a target that is going down falls silent first
		if st, err := m.fleet.GuestState(ctx, m.target()); err == nil && st.Dead() {
			return t, true
		}
		select {
		case <-pinged.done:
		case <-m.clk.After(eventPoll):
		}
	}
	return t, pinged.err != nil
}
