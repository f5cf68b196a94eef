package dbss

import (
	"context"
	"fmt"
	"time"

	"pss-msbs/pkg/watch"
)

// lookAtRunning strips first, then counts full answers. A target that gives no
// sign of life is reset once its patience is used up: a reset destroys what it
// has in memory, so a living one is not.
func (j *job) lookAtRunning(ctx context.Context) {
	if j.m.debt.Load() != noDebt { // fenced once more, where its VIPs were to be taken over again
		j.stripped = false
	}
	alive := j.stripped || j.strip(ctx) == nil
	if alive && j.kind == freeze && !j.mended && !j.reset && !j.restarted && j.booted.IsZero() && !j.stripsOnly() {
		j.mend(ctx) // proved already
	}
	greets, full := j.greets(ctx)
	if alive && full {
		j.sound(ctx)
		return
	}
	j.good = 0
	if lives := greets || alive && j.agentAnswers(ctx); !lives {
		j.lookAtDead(ctx)
		return
	}
	j.lifeless = watch.Silence{}
	j.suspectFreeze(ctx)
	j.mend(ctx)
}

// greets reports whether any service of the target answers, and whether all do.
func (j *job) greets(ctx context.Context) (any, all bool) {
	if j.m.ping(ctx, j.g.IP) != nil {
		return false, false
	}
	missing := len(j.m.ungreeted(ctx, j.g.IP))
	return missing < len(j.m.opt.Target.Daemons), missing == 0
}

// sound counts a full answer.
func (j *job) sound(ctx context.Context) {
	if j.restarted || !j.booted.IsZero() && j.good == 0 {
		j.m.timed(j.log.Info(), j.st).Msg(MsgRestarted)
	}
	j.restarted, j.booted, j.mended = false, time.Time{}, false
	j.bad, j.lifeless = watch.Silence{}, watch.Silence{}
	j.good++
	if err := j.m.opt.Resets.Answered(ctx, j.g.Host); err != nil {
		j.m.alarm("resets cannot be counted", err)
	}
}

func (j *job) agentAnswers(ctx context.Context) bool {
	ctx, cancel := j.m.clk.Timeout(ctx, time.Second)
	defer cancel()
	_, err := j.m.fleet.Addrs(ctx, j.g)
	return err == nil
}

// suspectFreeze takes a target for frozen that answers pings and whose services
// have said nothing for freeze_deadline: the monitor that proved it may be gone.
func (j *job) suspectFreeze(ctx context.Context) {
	if j.kind != freeze && !j.restarted && j.booted.IsZero() && j.bad.On() &&
		j.hearing.Heard(j.bad, j.m.clk.Now()) >= j.m.set.FreezeDeadline.D() && j.m.ping(ctx, j.g.IP) == nil {
		j.kind = freeze
	}
}

// mend is for a target that lives and does not serve. Services that froze are
// restarted; where that does not help it is reset, for nothing else is left, and it has no VIP
// to lose (Table 5, "Recovery by server restart"). Where only its network is
// gone it waits for it.
func (j *job) mend(ctx context.Context) {
	now := j.m.clk.Now()
	switch {
	case j.stripsOnly():
	case j.kind != freeze || j.reset || j.restarted || !j.booted.IsZero():
		j.judgeCut(ctx, now)
	case !j.mended && j.m.fast: // as published: "Recovery by server restart"
		j.mended, j.bad = true, j.hearing.Begin(now)
		_ = j.m.restartDaemons(ctx, j.g, j.m.opt.Target.Daemons)
		_, _ = j.room.Lacks(ctx) // the first of two readings, should that not help
	case (!j.m.fast && !j.unheard || j.heard(&j.bad, now) >= j.m.set.GreetTimeout.D()) && j.m.ping(ctx, j.g.IP) == nil:
		j.judge(judgedFrozen)
		j.tryReset(ctx)
	}
}

// heard is for how long a silence has lasted, which begins now if it did not before.
func (j *job) heard(s *watch.Silence, now time.Time) time.Duration {
	if !s.On() {
		*s = j.hearing.Begin(now)
	}
	return j.hearing.Heard(*s, now)
}

// judgeCut says so once a target that lives has been out of reach for a while.
// One that is still out of reach after a third of recover_deadline is reset:
// nothing else is left, and nobody reaches what it has.
func (j *job) judgeCut(ctx context.Context, now time.Time) {
	silent := j.heard(&j.bad, now)
	if silent >= networkPatience {
		j.judge(judgedCut)
	}
	if !j.stripsOnly() && !j.reset && silent >= j.m.set.RecoverDeadline.D()/3 {
		j.tryReset(ctx)
	}
}

// lookAtDead resets a target without any sign of life for long enough.
func (j *job) lookAtDead(ctx context.Context) {
	silent := j.heard(&j.lifeless, j.m.clk.Now())
	if j.stripsOnly() || j.reset || silent < j.patience() {
		return
	}
	j.judge(judgedFrozen)
	j.tryReset(ctx)
}

// patience is how long a running target may give no sign of life before it is reset.
func (j *job) patience() time.Duration {
	switch {
	case j.restarted || !j.booted.IsZero(): // its services may still be starting
		return j.m.set.RecoverDeadline.D() / 3
	case j.kind == freeze && !j.unheard: // proved already
		return 0
	case j.kind == "":
		return max(j.m.set.FreezeDeadline.D(), silentPatience)
	}
	return j.m.set.FreezeDeadline.D()
}

// tryReset resets the target if there is room for its boot, and the bounds over all
// programs allow it.
func (j *job) tryReset(ctx context.Context) {
	if lacks, known := j.room.Lacks(ctx); lacks {
		if known {
			j.m.alarm(MsgNoReset, watch.ErrNoRoom)
			j.extend()
		}
		return
	}
	due, err := j.m.opt.Resets.Permit(ctx, j.g.Host, j.m.opt.Target.Group)
	switch {
	case err != nil:
		j.m.alarm(MsgNoReset, err)
		return
	case !due.IsZero():
		j.m.alarm(MsgNoReset, fmt.Errorf("others were reset, until %s", due.Format(time.TimeOnly)))
		j.extend()
		return
	}
	j.m.calm(MsgNoReset)
	if j.booted.IsZero() { // else it was never up: a reset may be worth another try
		j.reset = true
	}
	j.restart(ctx, j.m.fleet.Reset)
}
