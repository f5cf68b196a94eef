package dbss

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/task"
	"pss-msbs/pkg/watch"
)

// errand is what is being done with the backup.
type errand string

const (
	nothing errand = ""
	waking  errand = "waking"  // make it run and answer, without VIP
	resting errand = "resting" // make it exist, then pause it
)

// standby is the backup server. At any time at most one errand is under way;
// a new one ends the old one first. All methods are for the monitor's own
// goroutine and safe on nil, a target without backup.
type standby struct {
	m      *files
	home   cluster.Guest // on the management server
	guest  cluster.Guest // where it is
	errand errand
	task   *task.Task
	cut    bool // it was, for it did not give its VIPs

	// For the errand under way only, which comes after the end of the last one.
	life   context.Context // the program's
	left   netip.Addr      // a real server on which it was left behind
	reals  []netip.Addr    // where it may have been left
	spoilt bool            // it was cut off
	woken  bool            // it may have run since it was said to be paused
}

func newStandby(m *files) *standby {
	t := m.opt.Target
	g := cluster.Guest{Host: t.Backup, IP: t.BackupIP, Real: m.opt.Settings.Management.IP}
	return &standby{m: m, home: g, guest: g}
}

// locate takes over what the files say about where the backup serves.
func (b *standby) locate(v view) {
	for _, s := range v.serving {
		if s.Host == b.home.Host && s.Real.IsValid() {
			b.guest = b.home.On(s.Real)
		}
	}
}

// found is g, where the files place the backup, or, where a move was cut off
// between its row and its migration, the management server.
func (b *standby) found(ctx context.Context, g cluster.Guest) cluster.Guest {
	if g.Real == b.home.Real {
		return g
	}
	ctx, cancel := b.m.guestCall(ctx)
	defer cancel()
	st, err := b.m.fleet.GuestState(ctx, b.home)
	if err == nil && !st.Dead() && st != cluster.GuestSaved {
		return b.home
	}
	return g
}

// wake makes the backup run and answer in the background; again while it does
// or did is no new errand.
func (b *standby) wake(ctx context.Context, s stamps) {
	if b == nil || b.errand == waking && (b.task.Running() || b.task.Err() == nil) {
		return
	}
	g := b.guest
	b.m.timed(b.m.log.Info(), s).Str("server", g.Host).Msg(MsgBackupStart)
	foreign := without(b.m.view.all, b.m.view.of(g.Host)) // it may be serving already
	b.send(ctx, waking, func(ctx context.Context) error {
		b.woken = true
		return b.rise(ctx, g, foreign, s)
	})
}

// alert is wake for a mere doubt: one that is being created, within the boot slots,
// or put to rest, is left to that, since it would boot out of turn.
func (b *standby) alert(ctx context.Context, s stamps) {
	if b != nil && (b.errand != resting || !b.task.Running()) {
		b.wake(ctx, s)
	}
}

// send begins an errand. The old one is told to end, and what it has asked of
// a hypervisor is waited for: a resume that comes true after a pause would
// leave the backup running.
func (b *standby) send(life context.Context, e errand, do func(context.Context) error) {
	old := b.task
	if old != nil {
		old.Cancel()
	}
	reals := append(slices.Clone(b.m.active), b.m.opt.Target.Real)
	b.errand = e
	b.task = task.Start(life, func(ctx context.Context) error {
		if old != nil {
			<-old.Ended()
		}
		b.life, b.reals = life, reals
		return do(ctx)
	})
}

// firmly does what a hypervisor would do to its end anyway: only the end of
// the program ends the wait for it.
func (b *standby) firmly(ctx context.Context, do func(context.Context) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	ctx, cancel := b.m.clk.Timeout(b.life, slowTimeout)
	defer cancel()
	return do(ctx)
}

// awake waits until the backup answers.
func (b *standby) awake(ctx context.Context) error { return b.task.Wait(ctx) }

// rest strips, creates where needed, and pauses the backup in the background,
// unless the files have it serve.
func (b *standby) rest(ctx context.Context) {
	if b == nil || b.errand == resting && b.task.Running() || len(b.m.view.of(b.home.Host)) > 0 {
		return
	}
	from, all, cut := b.guest.Real, slices.Clone(b.m.view.all), b.cut
	b.guest, b.cut = b.home, false
	b.send(ctx, resting, func(ctx context.Context) error {
		b.spoilt = b.spoilt || cut
		if from != b.home.Real {
			b.left = from
		}
		return b.settle(ctx, all)
	})
}

// keep looks whether the backup still rests, and has it created anew where it
// died meanwhile: the next takeover would have to wait for its boot.
func (b *standby) keep(ctx context.Context) {
	if b == nil || b.task.Running() {
		return
	}
	ctx2, cancel := b.m.guestCall(ctx)
	defer cancel()
	if st, err := b.m.fleet.GuestState(ctx2, b.guest); err == nil && st != cluster.GuestPaused {
		b.rest(ctx)
	}
}

// stop ends the errand and waits for it.
func (b *standby) stop() {
	if b != nil {
		b.task.Stop()
		b.task, b.errand = nil, nothing
	}
}

// rise resumes the backup, or boots it where it is not ready, sets its clock,
// and waits until its services answer. A takeover waits for no boot slot: the
// clients wait for it.
func (b *standby) rise(ctx context.Context, g cluster.Guest, foreign []netip.Addr, s stamps) error {
	m := b.m
	ctx, cancel := m.clk.Timeout(ctx, m.set.BackupDeadline.D())
	defer cancel()
	var up time.Time // since when it has been running without an answer
	room := m.roomOf(g, cluster.Work{})
	for {
		err := b.liven(ctx, g, foreign)
		if err != nil {
			up = b.resetFrozen(ctx, g, up, &room)
		}
		if err == nil {
			m.timed(m.log.Info(), s).Str("server", g.Host).Msg(MsgBackupStarted)
			return nil
		}
		if m.clk.Sleep(ctx, 100*time.Millisecond) != nil {
			return fmt.Errorf("cannot start the backup server: %v", err)
		}
	}
}

// resetFrozen resets a backup that has been running without an answer since up
// for a quarter of its deadline; one that boots is waited for, and so is one that
// has no room for a boot.
func (b *standby) resetFrozen(ctx context.Context, g cluster.Guest, up time.Time, room *watch.Room) time.Time {
	st, err := b.m.fleet.GuestState(ctx, g)
	switch {
	case err != nil || st != cluster.GuestRunning:
		return time.Time{}
	case up.IsZero():
		return b.m.clk.Now()
	case b.m.clk.Since(up) > b.m.set.BackupDeadline.D()/4:
		if lacks, _ := room.Lacks(ctx); lacks {
			return up
		}
		_ = b.firmly(ctx, func(ctx context.Context) error { return b.m.fleet.Reset(ctx, g) })
		return time.Time{}
	}
	return up
}

// liven does what is missing once and tells what still is.
func (b *standby) liven(ctx context.Context, g cluster.Guest, foreign []netip.Addr) error {
	m := b.m
	if err := m.fleet.Quiet(ctx, g); err != nil {
		return err
	}
	st, err := m.fleet.GuestState(ctx, g)
	if err != nil {
		return err
	}
	switch {
	case st == cluster.GuestPaused:
		err = b.firmly(ctx, func(ctx context.Context) error { return m.fleet.Resume(ctx, g) })
	case st.Dead() || st == cluster.GuestSaved:
		err = b.start(ctx, g)
	}
	if err != nil {
		return err
	}
	timed := task.Start(ctx, func(ctx context.Context) error { return m.fleet.SetClock(ctx, g) })
	defer timed.Stop()
	stripped := task.Start(ctx, func(ctx context.Context) error {
		err := m.strip(ctx, g, foreign)
		if err == nil {
			_ = m.fleet.SetLink(ctx, g, true) // whoever cut it off was killed
		}
		return err
	})
	defer stripped.Stop()
	if !m.answers(ctx, g.IP) {
		return fmt.Errorf("%s does not answer: %w", g.Host, cluster.ErrNoAnswer)
	}
	return errors.Join(timed.Wait(ctx), stripped.Wait(ctx))
}
