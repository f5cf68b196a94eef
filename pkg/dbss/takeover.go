package dbss

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/ipc"
)

// takingOver is the foreground of Fig. 9(a): A3, fence, backup, VIPs, A4. Each
// part can be repeated, so that a successor continues after a kill anywhere.
func (m *Monitor) takingOver(ctx context.Context) (State, string) {
	began, serving := m.clk.Now(), m.view.state == cluster.Operating
	if err := m.separate(ctx); err != nil {
		return m.notSeparated(ctx, err)
	}
	late := serving && m.clk.Since(began) > patientA3
	if (late || m.trouble.kind == "") && m.soundAfterAll(ctx) {
		return GivingBack, "target answers again"
	}
	vips := slices.Concat(m.view.of(""), m.view.of(m.opt.Target.Backup))
	m.startFence(ctx, m.trouble.proof, m.trouble.kind != "") // else resumed: nothing was re-examined
	m.startJob(ctx)
	if m.view.failed {
		return Recovering, "the VIPs are pss's"
	}
	if m.backup == nil {
		return m.abandon(ctx, errors.New("the target has no backup"))
	}
	m.backup.wake(ctx, m.trouble.stamps)
	if m.targetFirst(ctx) {
		return GivingBack, "target is normal before its backup"
	}
	err := m.backup.awake(ctx)
	_ = m.fencing.Wait(ctx)
	if err == nil {
		err = m.serve(ctx, vips)
	}
	if err != nil {
		return m.abandon(ctx, err)
	}
	m.timed(m.log.Info(), m.trouble.stamps).Stringers("vips", stringers(vips)).Msg(MsgFunctionRecovered)
	return m.enterBackup(ctx)
}

// patientA3 is how long A3 may take before the target is looked at once more:
// whoever held the lock may have held it until the trouble was over.
const patientA3 = time.Second

// soundAfterAll looks at a target that was taken for dead a while ago, or by a
// predecessor before it was killed: it may have come back since, and greet slowly.
func (s *senses) soundAfterAll(ctx context.Context) bool {
	return s.ping(ctx, s.opt.Target.IP) == nil && len(s.awaitGreetings(ctx)) == 0
}

// targetFirst waits for the backup, and reports whether the background job was
// quicker: a backup that has to boot must not keep the VIPs from a target that
// answers again.
func (m *Monitor) targetFirst(ctx context.Context) bool {
	select {
	case <-m.backup.task.Ended():
	case <-ctx.Done():
	case <-m.job.Ended():
		return m.job.Err() == nil
	}
	return false
}

func stringers(ips []netip.Addr) []fmt.Stringer {
	out := make([]fmt.Stringer, len(ips))
	for i, ip := range ips {
		out[i] = ip
	}
	return out
}

// separate is A3: the target's rows move to separation; which real server
// created it, for the background job.
func (m *Monitor) separate(ctx context.Context) error {
	r, err := m.call(ctx, ipc.Request{Verb: ipc.A3})
	if err != nil {
		return err
	}
	m.calm("target cannot be separated")
	was := m.view.state
	if err := m.accept(ctx, r); err != nil {
		return err
	}
	if was != cluster.Separated {
		m.tries = 0
		m.log.Info().Str("step", string(ipc.A3)).Stringer("real", m.real).Msg(MsgSeparated)
	}
	return nil
}

// notSeparated follows the files where they changed meanwhile (access stop), and
// repeats A3 where it failed.
func (m *Monitor) notSeparated(ctx context.Context, err error) (State, string) {
	if !refused(err) {
		m.alarm("target cannot be separated", err)
		_ = m.clk.Sleep(ctx, m.set.PingInterval.D())
		if m.view.state == cluster.Operating { // it may answer by now
			return Reexamining, "files cannot be changed"
		}
		return TakingOver, "files cannot be changed"
	}
	v, err := m.lookBeforeMonitor(ctx)
	if err != nil || v.state == cluster.Separated {
		return m.later(ctx, TakingOver, "files cannot be changed")
	}
	m.backup.rest(ctx)
	return m.route(v)
}

// serve gives the backup the VIPs and makes sure that it, and no old holder,
// answers for them.
func (c *care) serve(ctx context.Context, vips []netip.Addr) error {
	ctx, cancel := c.clk.Timeout(ctx, c.set.BackupDeadline.D())
	defer cancel()
	for {
		err := c.unheld(ctx, vips)
		if err == nil {
			err = c.putOn(ctx, c.backup.guest, vips)
		}
		if err == nil {
			err = each(vips, func(vip netip.Addr) error { return c.verify(ctx, vip) })
		}
		if err == nil || c.clk.Sleep(ctx, 100*time.Millisecond) != nil {
			return err
		}
	}
}

// unheld asks whether the old holder has stopped answering where it could not be
// fenced although its host is not silent, and who else may answer where pss was
// killed as it moved a VIP: two holders are worse than none.
func (c *care) unheld(ctx context.Context, vips []netip.Addr) error {
	if c.debt.Load() != unfenced {
		vips = common(vips, c.view.moving)
	}
	return each(vips, func(vip netip.Addr) error {
		_, others, err := c.holds(ctx, c.backup.guest, vip)
		if err == nil && others {
			err = fmt.Errorf("cannot take %s over: another server answers for it", vip)
		}
		return err
	})
}

// verify asks by ARP. An old holder that answers was not fenced well enough:
// its link goes down; behind a silent host it cannot be reached, nor answer.
func (c *care) verify(ctx context.Context, vip netip.Addr) error {
	mine, others, err := c.holds(ctx, c.backup.guest, vip)
	switch {
	case err != nil:
		return err
	case !mine:
		return fmt.Errorf("cannot verify %s: the backup does not answer for it", vip)
	case !others || c.debt.Load() == owed:
		return nil
	}
	old, _, err := c.holds(ctx, c.target(), vip)
	if err == nil && old {
		c.log.Warn().Stringer("vip", vip).Msg("the target still answers, its link goes down")
		if err := c.fleet.SetLink(ctx, c.target(), false); err == nil {
			c.debt.Store(linkDown)
		}
	}
	return fmt.Errorf("cannot verify %s: another server answers for it", vip)
}

// enterBackup is A4: the backup's rows into operation. Until it is done the
// backup serves all the same, so it is repeated.
func (m *Monitor) enterBackup(ctx context.Context) (State, string) {
	for ctx.Err() == nil {
		r, err := m.call(ctx, ipc.Request{Verb: ipc.A4, Backup: ipc.BackupOf(m.opt.Target), Real: m.backup.guest.Real})
		switch {
		case err == nil:
			m.calm("backup cannot be entered")
			_ = m.accept(ctx, r)
			m.log.Info().Str("step", string(ipc.A4)).Msg(MsgInOperation)
			return Recovering, "the backup serves"
		case refused(err):
			m.log.Warn().Str("step", string(ipc.A4)).Str("error", err.Error()).Msg("backup server not entered")
			m.withdrawBackup(ctx)
			return Recovering, "the VIPs are another's"
		}
		m.alarm("backup cannot be entered", err)
		_ = m.clk.Sleep(ctx, m.set.PingInterval.D())
	}
	return Recovering, "ending"
}

// abandon is A4-failed: the VIPs are pss's from now on. Before, neither target
// nor backup may answer for them any more.
func (m *Monitor) abandon(ctx context.Context, why error) (State, string) {
	_ = m.fencing.Wait(ctx)
	if m.backup != nil {
		m.withdrawBackup(ctx)
	}
	for ctx.Err() == nil {
		_, err := m.call(ctx, ipc.Request{Verb: ipc.A4Failed, Backup: ipc.BackupOf(m.opt.Target)})
		if err == nil || refused(err) {
			m.timed(m.log.Warn(), m.trouble.stamps).Str("step", string(ipc.A4Failed)).Str("why", why.Error()).Msg(MsgFailed)
			break
		}
		m.alarm("failure cannot be reported", err)
		_ = m.clk.Sleep(ctx, m.set.PingInterval.D())
	}
	m.calm("failure cannot be reported")
	_, _ = m.lookBeforeMonitor(ctx)
	return Recovering, "no backup serves"
}

// withdrawBackup takes every VIP off the backup; one that does not obey is
// destroyed, as nothing of value is on it.
func (c *care) withdrawBackup(ctx context.Context) {
	g := c.backup.guest
	c.backup.stop()
	for ctx.Err() == nil {
		if c.withdraw(ctx, g) == nil {
			break
		}
		_ = c.clk.Sleep(ctx, c.set.PingInterval.D())
	}
	c.backup.rest(ctx)
}

func (c *care) withdraw(ctx context.Context, g cluster.Guest) error {
	sctx, cancel := c.guestCall(ctx)
	err := c.strip(sctx, g, c.view.all)
	cancel()
	if err == nil {
		return nil
	}
	dctx, cancel := c.guestCall(ctx)
	defer cancel()
	err = c.fleet.Destroy(dctx, g)
	if err != nil {
		c.alarm("backup server cannot be withdrawn", err)
	}
	return err
}
