package dbss

import (
	"context"
	"errors"
	"time"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/detector"
	"pss-msbs/pkg/doubt"
)

// proof is what a re-examination found out.
type proof struct {
	dead        bool // the hypervisor says that the target cannot serve
	unreached   bool // no ping was answered
	hostSilent  bool // neither the real server nor its hypervisor nor the target answered
	agentSilent bool // the guest agent did not answer
	mute        bool // the hypervisor did not answer
	busy        bool // the target, or its whole host, had much to do
	work        cluster.Work
}

func proofOf(v detector.Verdict) proof {
	return proof{dead: v.Certain, unreached: !v.Pinged, hostSilent: v.HostGone, agentSilent: v.AgentSilent, mute: v.Mute, busy: v.Busy, work: v.Work}
}

// reexamining proves the trouble or finds none. The backup is resumed
// meanwhile, without VIP, so that the proof costs no time.
func (m *Monitor) reexamining(ctx context.Context) (State, string) {
	v, err := m.lookAfterTrouble(ctx)
	if err != nil {
		return m.later(ctx, Reexamining, "files cannot be asked")
	}
	if v.state != cluster.Operating {
		m.backup.rest(ctx)
		return m.route(v)
	}
	m.backup.alert(ctx, m.trouble.stamps)
	if len(m.trouble.unreachable) > 0 {
		return m.unreachable(ctx)
	}
	m.watcher.Pause()
	return m.prove(ctx)
}

// prove watches the target until its trouble is believed or over.
func (m *Monitor) prove(ctx context.Context) (State, string) {
	for {
		v := m.watcher.Look()
		if v.Level == detector.Well {
			return m.dispelled(ctx)
		}
		if v.Held != "" {
			m.alarm(MsgHolding, errors.New(v.Held))
		}
		if v.Busy {
			m.alarm(MsgBusy, errors.New("it is not taken for frozen yet"))
		}
		if !v.Certain {
			m.doubt(v, m.trouble.detected)
		}
		if v.Level == detector.Believe && (v.Certain || !m.storm()) {
			m.calm(MsgHolding)
			return m.confirmed(v)
		}
		select {
		case <-ctx.Done():
			return Reexamining, "ending"
		case <-m.changed:
			if !m.sameView(ctx) {
				return Reexamining, "files changed" // and A2 again
			}
		case ev := <-m.events:
			m.rouse(ev)
		case t := <-m.watcher.Told():
			m.watcher.Take(t)
		case <-m.watcher.Wake():
		}
	}
}

// dispelled ends a re-examination that found no trouble.
func (m *Monitor) dispelled(ctx context.Context) (State, string) {
	m.backup.rest(ctx)
	m.calm(MsgHolding)
	m.undoubt()
	m.log.Info().Msg(MsgNoTrouble)
	return Normal, "answers again"
}

// storm reports whether a takeover must wait: where many servers turn doubtful at
// once the cause is likely ours.
func (b *board) storm() bool {
	storm, err := b.opt.Doubts.Storm()
	if err != nil {
		b.alarm("doubts of others cannot be read", err)
	}
	if storm.On {
		b.alarm(MsgHolding, errStorm)
	}
	return storm.On
}

var errStorm = errors.New("many servers are doubtful at once")

// doubt posts what is doubted of the target.
func (b *board) doubt(v detector.Verdict, since time.Time) {
	kind := doubt.Silent
	switch {
	case v.Certain:
		kind = doubt.Dead
	case v.Busy:
		kind = doubt.Overloaded // its group should have more servers
	case v.Pinged:
		kind = doubt.Mute
	}
	b.post(doubt.Doubt{Kind: kind, HostSilent: v.HostGone, Phi: v.Phi, Evidence: v.Evidence, Since: since})
}

func (b *board) post(d doubt.Doubt) {
	d.Target, d.Group, d.Host = b.opt.Target.Host, b.opt.Target.Group, b.real
	if err := b.opt.Doubts.Post(d); err != nil {
		b.alarm("doubt cannot be posted", err)
	}
}

// undoubt takes the target off the board.
func (b *board) undoubt() {
	if err := b.opt.Doubts.Clear(b.opt.Target.Host); err != nil {
		b.alarm("doubt cannot be posted", err)
	}
}

// unreachable is the trouble of a server that answers and cannot be given its VIPs.
func (m *Monitor) unreachable(ctx context.Context) (State, string) {
	v := detector.Verdict{Trouble: detector.Cut, AgentSilent: true, Evidence: "its VIPs cannot be put back"}
	m.post(doubt.Doubt{Kind: doubt.Mute, Evidence: v.Evidence, Since: m.trouble.detected})
	if why := m.unsure(ctx); why != nil {
		m.alarm(MsgHolding, why)
		switch {
		case m.ping(ctx, m.opt.Target.IP) != nil:
			m.trouble.unreachable = nil // the detector's business
		case m.mend(ctx) == nil:
			return m.dispelled(ctx)
		}
		return m.later(ctx, Reexamining, why.Error())
	}
	m.calm(MsgHolding)
	return m.confirmed(v)
}

// unsure is why a server that answers, and is only slow to take its VIPs, is not
// believed to be in trouble yet.
func (m *Monitor) unsure(ctx context.Context) error {
	short, cancel := m.clk.Timeout(ctx, m.set.PingTimeout.D())
	defer cancel()
	if err := m.askReferences(short); err != nil {
		return err
	}
	if m.storm() {
		return errStorm
	}
	if m.clk.Since(m.trouble.detected) >= m.opt.Settings.Detector.FreezeMost.D() {
		return nil
	}
	room := m.roomOf(m.target(), cluster.Work{})
	return room.Await(ctx, m.clk)
}

// confirmed names the trouble that is believed.
func (m *Monitor) confirmed(v detector.Verdict) (State, string) {
	m.trouble.proof = proofOf(v)
	next := TakingOver
	switch v.Trouble {
	case detector.ServiceStop:
		m.trouble.kind, m.trouble.daemons, next = serviceStop, v.Daemons, Restarting
	case detector.ServiceFreeze:
		m.trouble.kind, m.trouble.daemons = freeze, v.Daemons
	case detector.Frozen:
		m.trouble.kind = freeze
	default:
		m.trouble.kind = networkTrouble
	}
	m.timed(m.log.Info(), m.trouble.stamps).Str("trouble", string(m.trouble.kind)).Str("evidence", v.Evidence).Msg(MsgConfirmed)
	return next, string(m.trouble.kind)
}

// rouse has the detector look closely: a hypervisor has reported something.
func (m *Monitor) rouse(ev cluster.Event) {
	m.reported = ev.At
	m.watcher.Rouse(m.clk.Now())
}

// recently is how old a hypervisor's report may be to be of the trouble at hand.
const recently = 5 * time.Second
