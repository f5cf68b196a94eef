package dbss

import (
	"context"
	"fmt"
	"net/netip"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/ipc"
)

// givingBack is A5 after a recovery: under hold the VIPs go from the backup to
// the target and the rows follow.
func (m *Monitor) givingBack(ctx context.Context) (State, string) {
	state, err := m.giveBack(ctx)
	if err != nil {
		m.alarm("VIPs cannot be given back", err)
		m.job.stop()
		m.job = nil // looks at the target again before the next attempt
		_ = m.clk.Sleep(ctx, m.set.PingInterval.D())
		return Recovering, "VIPs cannot be given back"
	}
	m.calm("VIPs cannot be given back")
	e := m.timed(m.log.Info().Str("step", string(ipc.A5)), m.trouble.stamps)
	if m.trouble.kind != "" {
		e = e.Str("trouble", string(m.trouble.kind))
	}
	e.Msg(MsgTargetRecovered)
	m.endJob(recovered)
	m.trouble = trouble{}
	m.view.serving = nil
	m.backup.rest(ctx)
	if state == cluster.AccessStop {
		m.view.state = state
		return Waiting, "another server serves"
	}
	return Normal, "target serves again"
}

// giveBack does it all or, undone, nothing; it returns where the target stands.
func (m *Monitor) giveBack(ctx context.Context) (cluster.Standing, error) {
	if err := m.quiet(ctx); err != nil {
		return "", err
	}
	s, err := m.hold(ctx)
	if err != nil {
		return "", err
	}
	defer s.Close()
	if s.Reply.Rows == nil {
		return "", fmt.Errorf("cannot give back: the hold names no rows")
	}
	hctx, cancel := m.under(ctx, s)
	defer cancel()
	sw := m.newSwap(hctx, *s.Reply.Rows)
	if err := each(common(sw.vips, ipc.VIPsOf(s.Reply.Moving)), func(vip netip.Addr) error { return sw.unheld(hctx, vip) }); err != nil {
		return "", err
	}
	if err := sw.do(hctx); err != nil {
		sw.undo(ctx, s, hctx.Err() == nil, true)
		return "", err
	}
	r, err := s.Call(hctx, ipc.Request{Verb: ipc.A5, Host: m.opt.Target.Host, Backup: m.backupServer(), Outcome: ipc.Recovered})
	if err != nil {
		return sw.afterA5(ctx, s, err, hctx.Err() == nil)
	}
	return r.State, nil
}

// quiet waits, without the lock, until no job can stop the target any more.
func (m *Monitor) quiet(ctx context.Context) error {
	ctx, cancel := m.guestCall(ctx)
	defer cancel()
	return m.fleet.Quiet(ctx, m.target())
}

// under is ctx while calls under a hold may last.
func (m *Monitor) under(ctx context.Context, s *ipc.Session) (context.Context, context.CancelFunc) {
	return s.Within(ctx, m.opt.Settings.Lock.Hold.D())
}

// afterA5 undoes the swap, unless the files were changed and only the reply was
// lost. While the hold stands nobody can look, nor need to.
func (sw *swap) afterA5(ctx context.Context, s *ipc.Session, err error, held bool) (cluster.Standing, error) {
	unchanged := ipc.Unchanged(err)
	if !unchanged {
		if v, lerr := sw.m.lookBeforeMonitor(ctx); lerr == nil && v.state != cluster.Separated {
			return v.state, nil
		}
	}
	sw.undo(ctx, s, held && unchanged, unchanged) // also for a hold that has expired
	return "", err
}

// swap is one change of addresses between backup and target.
type swap struct {
	m        *Monitor
	target   cluster.Guest
	backup   *cluster.Guest
	vips     []netip.Addr // that the target gets
	fromBack []netip.Addr // of these, those that the backup serves
}

// newSwap reads off the rows which VIPs come back: those of the target that
// its backup or nobody holds, and whatever else the backup holds.
func (m *Monitor) newSwap(ctx context.Context, rows ipc.HeldRows) *swap {
	sw := &swap{m: m, target: m.target()}
	sw.fromBack = rows.BackupOperation.VIPs()
	sw.vips = rows.Returning(m.opt.Target.Host, m.opt.Target.Backup)
	if m.backup != nil {
		g := m.backup.guest
		if len(rows.BackupOperation) > 0 {
			g = m.backup.found(ctx, m.backup.home.On(rows.BackupOperation[0].Real))
		}
		m.backup.guest, sw.backup = g, &g
	}
	return sw
}

// unheld asks whether a third server answers for a VIP that pss was moving when
// it was killed.
func (sw *swap) unheld(ctx context.Context, vip netip.Addr) error {
	_, others, err := sw.m.holds(ctx, sw.target, vip)
	if err == nil && others && sw.backup != nil {
		var mine bool
		if mine, _, err = sw.m.holds(ctx, *sw.backup, vip); mine {
			others = false
		}
	}
	if err == nil && others {
		err = fmt.Errorf("cannot give %s back: another server answers for it", vip)
	}
	return err
}

// do moves the VIPs: off the backup, whatever the files say of it, then on the
// target, then asks who answers.
func (sw *swap) do(ctx context.Context) error {
	if err := sw.offBackup(ctx); err != nil {
		return err
	}
	if err := sw.m.putOn(ctx, sw.target, sw.vips); err != nil {
		return err
	}
	return each(sw.vips, func(vip netip.Addr) error {
		mine, others, err := sw.m.holds(ctx, sw.target, vip)
		if err == nil && (!mine || others) {
			err = fmt.Errorf("cannot verify %s on the target", vip)
		}
		return err
	})
}

// offBackup leaves no VIP on the backup. One that neither answers nor obeys is
// destroyed; it is created anew when it is put to rest.
func (sw *swap) offBackup(ctx context.Context) error {
	if sw.backup == nil {
		return nil
	}
	st, err := sw.m.fleet.GuestState(ctx, *sw.backup)
	if err == nil && (st.Dead() || st == cluster.GuestPaused && len(sw.fromBack) == 0) {
		return nil // paused: it was stripped before
	}
	if err := sw.m.strip(ctx, *sw.backup, sw.m.view.all); err == nil {
		return nil
	}
	return sw.m.fleet.Destroy(ctx, *sw.backup)
}

// undo gives the backup its VIPs again: under the hold while that stands, else
// under a new one and as the rows are by then. Where it cannot, the next look
// at the backup does. If the rows are surely unchanged the target lets go before
// anything else, and before anybody else gets the lock.
func (sw *swap) undo(ctx context.Context, s *ipc.Session, held, unchanged bool) {
	fromBack := sw.fromBack
	if unchanged && sw.letGo(ctx) != nil {
		return // two holders are worse than none
	}
	if !held || s.Over() {
		s.Close()
		again, err := sw.m.hold(ctx)
		if err != nil {
			sw.m.alarm("VIPs cannot be put back on the backup", err)
			return
		}
		defer again.Close()
		s = again
		if again.Reply.Rows == nil || len(again.Reply.Rows.TargetSeparation) == 0 {
			return // it was done after all
		}
		fromBack = common(fromBack, again.Reply.Rows.BackupOperation.VIPs())
	}
	ctx, cancel := s.Whole(ctx)
	defer cancel()
	if !unchanged && sw.letGo(ctx) != nil || sw.backup == nil {
		return
	}
	if err := sw.m.putOn(ctx, *sw.backup, fromBack); err != nil {
		sw.m.alarm("VIPs cannot be put back on the backup", err)
	}
}

// letGo takes the VIPs off the target. One that does not obey is cut off: it may
// answer for them at any moment.
func (sw *swap) letGo(ctx context.Context) error {
	short, cancel := sw.m.guestCall(ctx)
	defer cancel()
	if err := sw.m.takeOff(short, sw.target, sw.vips); err != nil {
		return sw.m.cutOff(ctx, err)
	}
	return nil
}

// cutOff fences a target that has VIPs again and does not obey, which is why; where
// it cannot, that is owed.
func (m *Monitor) cutOff(ctx context.Context, why error) error {
	ctx, cancel := m.guestCall(ctx)
	defer cancel()
	m.debt.Store(unfenced)
	if m.opt.Settings.Guest.BySSH() {
		return why
	}
	err := m.fleet.SetLink(ctx, m.target(), false)
	if err == nil {
		m.debt.Store(linkDown)
	}
	return err
}

// reseat puts the VIPs that the files have the backup serve on it again, under
// the lock; one that the target answers for is taken off that first.
func (m *Monitor) reseat(ctx context.Context) error {
	s, err := m.hold(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	if s.Reply.Rows == nil {
		return nil
	}
	ctx, cancel := m.under(ctx, s)
	defer cancel()
	err = each(s.Reply.Rows.BackupOperation.VIPs(), func(vip netip.Addr) error { return m.reseatOne(ctx, vip) })
	if err != nil {
		return err
	}
	return s.Release(ctx)
}

func (m *Monitor) reseatOne(ctx context.Context, vip netip.Addr) error {
	mine, others, err := m.holds(ctx, m.backup.guest, vip)
	if err == nil && others && !m.owes() {
		err = m.fleet.DelVIP(ctx, m.target(), vip)
	}
	if err != nil || mine && !others {
		return err
	}
	if err := m.fleet.AddVIP(ctx, m.backup.guest, vip); err != nil {
		return err
	}
	return m.verify(ctx, vip)
}
