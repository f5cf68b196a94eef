package dbss

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/task"
	"pss-msbs/pkg/watch"
)

// Why a background job failed.
var (
	errNotBack    = errors.New("the target does not come back")
	errHostSilent = errors.New("the real server is silent")
)

// The background job's patience with a target that runs and does not answer.
const (
	silentPatience  = 10 * time.Second // resumed after a kill: it may be coming up
	networkPatience = 5 * time.Second  // its agent answers, so only the network is gone
)

// judgement is what the background job takes the target for (Fig. 13).
type judgement string

const (
	judgedSilent judgement = "host silent"
	judgedOff    judgement = "off"
	judgedPaused judgement = "paused"
	judgedBoot   judgement = "booting"
	judgedFrozen judgement = "frozen"
	judgedCut    judgement = "unreachable"
)

// job brings the target back, in parallel with the takeover (paper, Fig. 9(a)
// "background job"). It never gives back: that is A5's.
type job struct {
	m    *care
	g    cluster.Guest
	all  []netip.Addr
	kind kind
	st   stamps
	log  zerolog.Logger

	idleUntil time.Time // pause after a job that failed: hands off unless it comes back by itself
	handsOff  bool      // look and strip, restart nothing
	deadline  time.Time
	judged    judgement
	stripped  bool          // the VIPs are off and the link is up since the last boot
	restarted bool          // by us, and it has not answered yet
	reset     bool          // a reset was tried
	mended    bool          // its frozen services were restarted
	bad       watch.Silence // boots, or runs and does not answer in full
	lifeless  watch.Silence // runs and gives no sign of life
	hearing   watch.Hearing
	unheard   bool       // its host was silent since the trouble was proved
	booted    time.Time  // first seen booting; it has not answered yet
	good      int        // full answers in a row
	release   func()     // of the boot slot
	room      watch.Room // for a boot
}

// startJob starts the background job unless it runs.
func (m *Monitor) startJob(ctx context.Context) {
	if m.job.Running() {
		return
	}
	j := &job{
		m: m.care, g: m.target(), all: slices.Clone(m.view.all), kind: m.trouble.kind, st: m.trouble.stamps,
		room: m.roomOf(m.target(), m.trouble.proof.work),
		log:  m.log.With().Str("job", "bg").Logger(), release: func() {},
	}
	if m.tries > 0 {
		j.idleUntil = m.clk.Now().Add(min(time.Duration(1<<min(m.tries, 6))*m.set.MonitorInterval.D(), time.Hour))
	}
	m.pressed.Store(false)
	if m.fencing == nil { // resumed: whether the old holder was fenced is not known
		m.debt.Store(owed)
	}
	fencing := m.fencing
	m.job = task.Start(ctx, func(ctx context.Context) error {
		if fencing != nil {
			_ = fencing.Wait(ctx)
		}
		defer func() { j.release() }()
		meter := task.Go(ctx, func(ctx context.Context) { j.hearing.Measure(ctx, m.clk) })
		defer meter.Stop()
		return j.run(ctx)
	})
}

// run looks at the target until it is normal or the deadline has passed.
func (j *job) run(ctx context.Context) error {
	if err := j.idle(ctx); err != nil {
		return err
	}
	if err := j.awaitBudget(ctx); err != nil {
		return err
	}
	j.log.Info().Msg(MsgJobStart)
	j.extend()
	for {
		j.look(ctx)
		if j.enough() {
			j.m.timed(j.log.Info(), j.st).Msg(MsgTargetNormal)
			return nil
		}
		if err := j.pause(ctx, j.m.set.ReexamineInterval.D()); err != nil {
			return err
		}
		if j.m.clk.Now().After(j.deadline) {
			return j.failed()
		}
	}
}

func (j *job) failed() error {
	err := errNotBack
	if j.judged == judgedSilent {
		err = errHostSilent
	}
	j.m.timed(j.log.Warn(), j.st).Str("why", err.Error()).Msg(MsgNotRecovered)
	return err
}

// enough reports whether the target has answered in full often enough.
func (j *job) enough() bool { return j.good >= max(1, j.m.set.GivebackCount) }

// idle leaves the target alone for a while after a job that failed.
func (j *job) idle(ctx context.Context) error {
	return j.watchUntil(ctx, j.idleUntil, j.enough)
}

// watchUntil looks at the target and strips it, but restarts nothing, until
// due or until ok.
func (j *job) watchUntil(ctx context.Context, due time.Time, ok func() bool) error {
	j.handsOff = true
	defer func() { j.handsOff = false }()
	for j.m.clk.Now().Before(due) {
		if j.look(ctx); ok() {
			return nil
		}
		if err := j.pause(ctx, j.m.set.PingInterval.D()); err != nil {
			return err
		}
	}
	return nil
}

// pause is the time until the next look: none while the host is silent, as each
// look at one lasts for a while.
func (j *job) pause(ctx context.Context, d time.Duration) error {
	if j.judged == judgedSilent {
		return ctx.Err()
	}
	return j.m.clk.Sleep(ctx, d)
}

// awaitBudget waits until the target may be restarted: a server that fails
// again and again is left to its backup, also if it comes back by itself; but
// not where nobody serves.
func (j *job) awaitBudget(ctx context.Context) error {
	for {
		due, err := j.m.opt.Budget.Begin(j.m.clk.Now())
		if err != nil {
			j.m.alarm("restart budget cannot be kept", err)
		}
		if err != nil || due.IsZero() {
			return nil
		}
		j.log.Warn().Time("until", due).Msg(MsgBudget)
		sound := func() bool { return j.m.unserved.Load() && j.enough() }
		if err := j.watchUntil(ctx, due, sound); err != nil || sound() {
			return err
		}
	}
}

// extend gives the target recover_deadline from now.
func (j *job) extend() { j.deadline = j.m.clk.Now().Add(j.m.set.RecoverDeadline.D()) }

// stripsOnly reports whether nothing may be restarted.
func (j *job) stripsOnly() bool { return j.handsOff || j.m.unwanted.Load() }

// judge says once what the target was taken for.
func (j *job) judge(as judgement) {
	if j.judged != as {
		j.judged = as
		j.m.timed(j.log.Info(), j.st).Str("state", string(as)).Msg(MsgJudged)
	}
}

// look asks the hypervisor and does what the answer calls for. Where even that
// does not answer, nothing is known of the target.
func (j *job) look(ctx context.Context) {
	j.hearing.Step(j.m.clk.Now(), &j.bad, &j.lifeless)
	st, err := j.ask(ctx)
	if err != nil {
		j.forget()
		if ctx.Err() == nil {
			j.judge(judgedSilent)
			j.unheard = true
		}
		return
	}
	j.repay(ctx, st)
	if j.judged == judgedSilent {
		j.judged = "" // it is back
	}
	switch {
	case st.Dead() || st == cluster.GuestSaved:
		j.m.debt.Store(noDebt) // what is off answers for nothing
		j.judge(judgedOff)
		j.restart(ctx, j.m.fleet.Start)
	case st == cluster.GuestPaused && j.stripsOnly():
	case st == cluster.GuestPaused:
		j.judge(judgedPaused)
		j.resume(ctx)
	case st == cluster.GuestBooting:
		j.lookAtBooting(ctx)
	default:
		j.lookAtRunning(ctx)
	}
}

// forget drops what was heard of the target so far, and what was not.
func (j *job) forget() {
	j.good, j.stripped = 0, false
	j.bad, j.lifeless = watch.Silence{}, watch.Silence{}
}

// ask is the hypervisor's word. While the host is silent the question is put
// again every moment, however long an answer may take: the VIPs must be off
// within a second of the host's return.
func (j *job) ask(ctx context.Context) (cluster.GuestState, error) {
	ctx, cancel := j.m.clk.Timeout(ctx, time.Second)
	defer cancel()
	if j.judged != judgedSilent && !j.m.owes() {
		return j.m.fleet.GuestState(ctx, j.g)
	}
	answers := make(chan cluster.GuestState, 1)
	var asked sync.WaitGroup
	defer asked.Wait()
	defer cancel()
	for {
		asked.Go(func() {
			if st, err := j.m.fleet.GuestState(ctx, j.g); err == nil {
				select {
				case answers <- st:
				default:
				}
			}
		})
		select {
		case st := <-answers:
			return st, nil
		case <-j.m.clk.After(silentPoll):
		case <-ctx.Done():
			return "", cluster.ErrHostSilent
		}
	}
}

// silentPoll is how often a silent host is asked whether it is back.
const silentPoll = 200 * time.Millisecond

// repay fences the target of a host that was silent when it should have been
// fenced. The link is quickest and needs no agent.
func (j *job) repay(ctx context.Context, st cluster.GuestState) {
	if !j.m.owes() || st.Dead() {
		return
	}
	ctx, cancel := j.m.clk.Timeout(ctx, time.Second)
	defer cancel()
	if !j.m.opt.Settings.Guest.BySSH() && j.m.fleet.SetLink(ctx, j.g, false) == nil {
		j.m.debt.Store(linkDown)
	}
}

// lookAtBooting waits for a boot under way, though not for one that hangs.
func (j *job) lookAtBooting(ctx context.Context) {
	j.good, j.stripped = 0, false
	now := j.m.clk.Now()
	if j.booted.IsZero() {
		j.booted = now
	}
	if !j.restarted && j.judged != judgedFrozen { // it hangs, and may not be reset yet
		j.judge(judgedBoot)
	}
	silent := j.heard(&j.bad, now)
	if !j.stripsOnly() && silent >= j.patience() {
		j.judge(judgedFrozen)
		j.tryReset(ctx)
	}
}

// strip removes the VIPs that the target came back with and then raises its
// link: it must not be seen with them.
func (j *job) strip(ctx context.Context) error {
	ctx, cancel := j.m.clk.Timeout(ctx, time.Second)
	defer cancel()
	has, err := j.m.fleet.Addrs(ctx, j.g)
	if err != nil {
		return err
	}
	if vips := common(has, j.all); len(vips) > 0 {
		if err := j.m.takeOff(ctx, j.g, vips); err != nil {
			return err
		}
		j.log.Info().Stringers("vips", stringers(vips)).Msg(MsgStripped)
	}
	if err := j.m.fleet.SetLink(ctx, j.g, true); err != nil && j.m.debt.Load() == linkDown {
		return err
	}
	j.m.debt.Store(noDebt)
	j.stripped = true
	return nil
}

// restart starts or resets the target within the boot slots. The wait for a
// slot does not count against the deadline.
func (j *job) restart(ctx context.Context, how func(context.Context, cluster.Guest) error) {
	if j.stripsOnly() {
		return
	}
	j.forget()
	j.release()
	j.release = func() {}
	release, err := j.m.opt.BootSlot(ctx)
	if err != nil {
		return
	}
	j.release = release
	first := !j.restarted
	j.m.pressed.Store(true)
	ctx, cancel := j.m.clk.Timeout(ctx, slowTimeout)
	defer cancel()
	if err := how(ctx, j.g); err != nil {
		j.m.alarm("target server cannot be restarted", err)
		return
	}
	j.m.calm("target server cannot be restarted")
	if first {
		j.extend()
		j.m.timed(j.log.Info(), j.st).Msg(MsgRestart)
	}
	j.restarted = true
}

// resume lets a paused target run on; its VIPs are stripped before it is used.
func (j *job) resume(ctx context.Context) {
	ctx, cancel := j.m.clk.Timeout(ctx, slowTimeout)
	defer cancel()
	j.good, j.stripped = 0, false
	_ = j.m.fleet.SetLink(ctx, j.g, false) // it would answer for its VIPs at once
	if err := j.m.fleet.Resume(ctx, j.g); err != nil {
		j.m.alarm("target server cannot be resumed", err)
		return
	}
	if err := j.m.fleet.SetClock(ctx, j.g); err != nil {
		j.m.alarm("target server's clock cannot be set", err)
	}
}
