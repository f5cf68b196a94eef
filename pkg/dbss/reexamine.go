package dbss

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/ipc"
)

// proof is what a re-examination found out.
type proof struct {
	alive      bool     // one probe was answered in full
	dead       bool     // the hypervisor says that the target cannot serve
	pinged     bool     // ping was answered
	unreached  bool     // no ping was answered
	refused    []string // daemons that nobody listens for
	silent     []string
	hostSilent bool // neither the real server nor its hypervisor nor the target answered
	agentDumb  bool // the guest agent did not answer
	mute       bool // the hypervisor did not answer
}

// lastProbe is how long the last probe of a re-examination may take at most;
// an answer within one network takes milliseconds.
const lastProbe = 500 * time.Millisecond

// reexamining proves the trouble or finds none. The backup is resumed
// meanwhile, without VIP, so that the proof costs no time.
func (m *Monitor) reexamining(ctx context.Context) (State, string) {
	v, err := m.lookAfterTrouble(ctx)
	if err != nil {
		_ = m.clk.Sleep(ctx, m.set.PingInterval.D())
		return Reexamining, "files cannot be asked"
	}
	if v.state != ipc.Operating {
		m.backup.rest(ctx)
		if next, why := m.route(v); next != Waiting {
			return next, why
		}
		msg := MsgAccessStop
		if v.state != ipc.AccessStop {
			msg = MsgNotInFiles
		}
		m.log.Info().Str("step", string(ipc.A2)).Msg(msg)
		return Waiting, string(v.state)
	}
	m.backup.wake(ctx, m.trouble.stamps)
	cutOff := startTask(ctx, m.askReferences)
	defer cutOff.stop()
	p := m.prove(ctx)
	if p.alive && len(m.trouble.unreachable) == 0 {
		m.backup.rest(ctx)
		m.log.Info().Msg(MsgNoTrouble)
		return Normal, "answers again"
	}
	if err := cutOff.wait(ctx); err != nil {
		m.alarm(MsgHolding, err)
		_ = m.clk.Sleep(ctx, m.set.PingInterval.D())
		return Reexamining, "no network reference answers"
	}
	m.calm(MsgHolding)
	return m.confirmed(p)
}

// confirmed names the trouble that p proves.
func (m *Monitor) confirmed(p proof) (State, string) {
	m.trouble.proof = p
	next := TakingOver
	switch {
	case p.dead || !p.pinged || len(m.trouble.unreachable) > 0:
		m.trouble.kind = networkTrouble
	case len(p.silent) == 0 && len(p.refused) > 0:
		m.trouble.kind, m.trouble.daemons, next = serviceStop, p.refused, Restarting
	default:
		m.trouble.kind, m.trouble.daemons = freeze, p.silent
	}
	m.timed(m.log.Info(), m.trouble.stamps).Str("trouble", string(m.trouble.kind)).Msg(MsgConfirmed)
	return next, string(m.trouble.kind)
}

// askReferences is nil when one of the network references answers, or none is
// named: else it is this side that is cut off.
func (m *Monitor) askReferences(ctx context.Context) error {
	refs := m.opt.Settings.Network.References
	if len(refs) == 0 {
		return nil
	}
	ctx, cancel := m.clk.Timeout(ctx, m.set.PingTimeout.D())
	defer cancel()
	answers := make(chan error, len(refs))
	for _, ip := range refs {
		go func() { answers <- m.fleet.Ping(ctx, ip) }()
	}
	for range refs {
		if <-answers == nil {
			return nil
		}
	}
	return fmt.Errorf("all %d network references are silent", len(refs))
}

// prove gathers evidence: the hypervisor's word at once, a full answer at
// once, a refused connection at once (the target's own kernel says it), and
// silence after reexamine_count probes, each of which may answer until the
// end. A greeting is missing only after freeze_deadline.
func (m *Monitor) prove(ctx context.Context) proof {
	for late := 0; ; {
		e := m.newEvidence(ctx)
		p := e.gather()
		if !p.alive && !p.dead && late < maxLate && e.isLate() {
			late++
			m.alarm(MsgLate, errLate)
			continue
		}
		if !p.pinged || p.alive || p.dead || len(p.silent) == 0 || ctx.Err() != nil {
			return p
		}
		if m.trouble.silentSince.IsZero() {
			m.trouble.silentSince = e.began
		}
		if m.clk.Since(m.trouble.silentSince) >= m.set.FreezeDeadline.D() {
			return p
		}
	}
}

// A window that ends this late (on the wall clock) was not watched: answers may
// have come while this program had no processor, as when hundreds of monitors
// start at once. Its silence proves nothing, though not for ever.
const (
	lateWindow = 250 * time.Millisecond
	maxLate    = 5
)

var errLate = errors.New("this program got no processor for a while")

// isLate tells whether the window ended much later than it should have.
func (e *evidence) isLate() bool { return time.Since(e.due) > lateWindow }

// evidence is collected by many probes at once.
type evidence struct {
	m      *Monitor
	began  time.Time
	due    time.Time // end of the window on the wall clock
	target cluster.Guest
	ctx    context.Context // ends with the window
	enough context.CancelFunc
	probes sync.WaitGroup

	mu       sync.Mutex
	p        proof
	over     bool            // the evidence is enough: what ends now was cut off and proves nothing
	greeted  map[string]bool // daemons that answered any probe
	answered bool            // the real server or its hypervisor
	spoke    bool            // the hypervisor
}

func (m *Monitor) newEvidence(ctx context.Context) *evidence {
	n, d := max(1, m.set.ReexamineCount), m.set.ReexamineInterval.D()
	e := &evidence{m: m, began: m.clk.Now(), target: m.target(), greeted: map[string]bool{}}
	e.p.agentDumb = true
	window := time.Duration(n-1)*d + min(d/2, lastProbe)
	e.due = time.Now().Add(m.clk.Wall(window))
	e.ctx, e.enough = m.clk.Timeout(ctx, window)
	return e
}

// gather runs the probes until the window ends or the evidence is enough.
func (e *evidence) gather() proof {
	defer e.enough()
	e.probes.Go(e.askHypervisor)
	e.probes.Go(e.askAgent)
	e.probes.Go(func() { e.pingHost(e.target.Real) })
	for i := range max(1, e.m.set.ReexamineCount) {
		e.probes.Go(func() {
			if e.m.clk.Sleep(e.ctx, time.Duration(i)*e.m.set.ReexamineInterval.D()) == nil {
				e.probe()
			}
		})
	}
	<-e.ctx.Done()
	e.probes.Wait()
	e.p.hostSilent = !e.answered && !e.p.pinged && !e.over // cut short, silence proves nothing
	e.p.agentDumb = e.p.agentDumb && !e.over
	e.p.mute = !e.spoke && !e.over
	e.p.unreached = !e.p.pinged && !e.over
	e.p.silent, e.p.refused = e.missing(e.p.silent), e.missing(e.p.refused)
	return e.p
}

// missing drops the daemons that answered another probe.
func (e *evidence) missing(daemons []string) []string {
	slices.Sort(daemons)
	return slices.DeleteFunc(slices.Compact(daemons), func(d string) bool { return e.greeted[d] })
}

// probe is one look at the target from the network, open until the window ends.
func (e *evidence) probe() {
	if e.m.fleet.Ping(e.ctx, e.target.IP) != nil {
		return
	}
	e.note(func(p *proof) { p.pinged = true })
	refused, silent := e.m.greetAll(e.ctx, e.target.IP, e.m.set.GreetTimeout.D())
	e.note(func(p *proof) {
		for _, d := range e.m.opt.Target.Daemons {
			e.greeted[d] = e.greeted[d] || !slices.Contains(refused, d) && !slices.Contains(silent, d)
		}
		p.refused, p.silent = append(p.refused, refused...), append(p.silent, silent...)
		p.alive = p.alive || len(refused)+len(silent) == 0
		if p.alive || len(silent) == 0 {
			e.stop()
		}
	})
}

// askHypervisor repeats the question, since a target that is going down may
// fall silent before its hypervisor says so.
func (e *evidence) askHypervisor() {
	for {
		st, err := e.m.fleet.GuestState(e.ctx, e.target)
		e.note(func(p *proof) {
			e.spoke = e.spoke || err == nil
			e.answered = e.answered || e.spoke
			if err == nil && st.Dead() {
				p.dead = true
				e.stop()
			}
		})
		if e.m.clk.Sleep(e.ctx, e.m.set.ReexamineInterval.D()) != nil {
			return
		}
	}
}

func (e *evidence) askAgent() {
	if _, err := e.m.fleet.Addrs(e.ctx, e.target); err == nil {
		e.note(func(p *proof) { p.agentDumb = false })
	}
}

func (e *evidence) pingHost(real netip.Addr) {
	if real.IsValid() && e.m.fleet.Ping(e.ctx, real) == nil {
		e.note(func(*proof) { e.answered = true })
	}
}

func (e *evidence) note(f func(*proof)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.over {
		f(&e.p)
	}
}

// stop ends the window; for use within note.
func (e *evidence) stop() {
	e.over = true
	e.enough()
}
