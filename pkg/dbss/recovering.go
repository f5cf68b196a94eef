package dbss

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/detector"
	"pss-msbs/pkg/watch"
)

// recovering waits for the background job, watches the backup meanwhile, and
// follows what others do to the files.
func (m *Monitor) recovering(ctx context.Context) (State, string) {
	if m.job == nil && m.dsrsTurn() {
		return m.leave(ctx)
	}
	if m.job == nil {
		m.startJob(ctx)
	}
	if next, why, over := m.awaitJob(ctx); over {
		return next, why
	}
	v, err := m.lookBeforeMonitor(ctx)
	m.backupWatch.Pause() // whatever that took
	if err != nil {
		return Recovering, "files cannot be asked"
	}
	if next, why := m.followFiles(ctx, v); next != Recovering {
		return next, why
	}
	return m.lookAtBackup(ctx)
}

// awaitJob watches the backup until the background job has ended (over), the
// files have changed or it is time to look at them again.
func (m *Monitor) awaitJob(ctx context.Context) (next State, why string, over bool) {
	for due := m.clk.After(m.set.PingInterval.D()); ; {
		select {
		case <-ctx.Done():
			return Recovering, "ending", true
		case <-m.job.Ended():
			next, why = m.afterJob(ctx)
			return next, why, true
		case t := <-m.backupWatch.Told():
			m.backupWatch.Take(t)
		case <-m.backupWatch.Wake():
		case <-m.changed:
			return "", "", false
		case <-due:
			return "", "", false
		}
		if next, why = m.lookAtBackup(ctx); next != Recovering {
			return next, why, true
		}
	}
}

// lookAtBackup leaves the VIPs to pss where the backup cannot be mended.
func (m *Monitor) lookAtBackup(ctx context.Context) (State, string) {
	if err := m.watchBackup(ctx); err != nil {
		return m.abandon(ctx, err)
	}
	return Recovering, "target is not back"
}

// followFiles leaves the recovery where the files no longer ask for it.
func (m *Monitor) followFiles(ctx context.Context, v view) (State, string) {
	m.unwanted.Store(v.state == cluster.NotInFiles && m.owes())
	m.unserved.Store(v.state == cluster.Separated && len(v.of("")) > 0)
	switch v.state {
	case cluster.Operating:
		m.endJob("in operation again")
		m.backup.rest(ctx)
		return Normal, "in operation again"
	case cluster.NotInFiles: // a spare that pss stopped
		if m.unwanted.Load() {
			return Recovering, "until it has no VIP any more"
		}
		m.endJob("not in the files any more")
		return Waiting, string(v.state)
	case cluster.AccessStop:
		return Recovering, "until the target can be used" // pss will want it some day
	}
	if m.dsrsTurn() {
		m.endJob("real server out")
		return m.leave(ctx)
	}
	if len(v.of("")) > 0 && !v.failed {
		m.backup.stop() // and made ready anew
		return TakingOver, "nobody serves"
	}
	return Recovering, ""
}

// dsrsTurn reports whether the target's real server is out: its dsrs brings the
// target back with it.
func (f *files) dsrsTurn() bool {
	return f.view.state == cluster.Separated && f.view.out && !f.standsIn()
}

// endJob stops the background job and closes its entry in the budget.
func (m *Monitor) endJob(outcome string) {
	m.job.Stop()
	m.job, m.fencing = nil, nil
	m.debt.Store(noDebt)
	err := error(nil)
	if m.onlyBusy() && outcome == recovered {
		err = m.opt.Budget.Drop(m.clk.Now())
	} else {
		err = m.opt.Budget.End(m.clk.Now(), outcome)
	}
	if err != nil {
		m.alarm("restart budget cannot be kept", err)
	}
}

// recovered is the outcome of a recovery in the end of which the target answers.
const recovered = "recovered"

// onlyBusy reports whether the target was busy when it was taken over, and was
// not restarted since: that is no sickness that a human should look at.
func (m *Monitor) onlyBusy() bool { return m.trouble.proof.busy && !m.pressed.Load() }

// afterJob follows the background job's end.
func (m *Monitor) afterJob(ctx context.Context) (State, string) {
	err := m.job.Err()
	switch {
	case err == nil && m.view.state == cluster.AccessStop:
		m.endJob(recovered)
		m.backup.rest(ctx)
		return Waiting, "target is normal again"
	case err == nil:
		return GivingBack, "target is normal again"
	case ctx.Err() != nil:
		return Recovering, "ending"
	}
	m.endJob(err.Error())
	switch {
	case !m.backupHolds():
		m.tries++ // and with growing pauses
		return Recovering, "try again"
	case errors.Is(err, errHostSilent):
		return m.leave(ctx)
	case m.backup.guest.Real == m.backup.home.Real:
		return Moving, "target does not come back"
	}
	return HandingOver, "target does not come back"
}

// leave hands the backup to its own monitor, or ends where another server
// serves: the dsrs brings the target back with its real server.
func (m *Monitor) leave(context.Context) (State, string) {
	if m.backupHolds() {
		return HandingOver, "the real server is dead"
	}
	return Ended, "the real server is dead"
}

// backupHolds reports whether the files have the backup serve something.
func (c *care) backupHolds() bool {
	return c.backup != nil && len(c.view.of(c.opt.Target.Backup)) > 0
}

// backupServes checks that the backup does what the files say it does; where
// it serves nothing, or its own monitor runs, there is nothing to check.
func (c *care) backupServes(ctx context.Context, v view) bool {
	vips := v.of(c.opt.Target.Backup)
	if c.backup == nil || len(vips) == 0 || c.backupMonitored() {
		return true
	}
	if !c.answers(ctx, c.backup.guest.IP) {
		return false
	}
	return c.backupAnswersFor(ctx, vips)
}

// backupAnswersFor asks by ARP whether the backup answers for all of vips.
func (c *care) backupAnswersFor(ctx context.Context, vips []netip.Addr) bool {
	return each(vips, func(vip netip.Addr) error {
		mine, _, err := c.holds(ctx, c.backup.guest, vip)
		if err == nil && !mine {
			return cluster.ErrNoAnswer
		}
		return err
	}) == nil
}

func (f *files) backupMonitored() bool {
	running, err := f.opt.Monitors.Running(f.opt.Target.Backup)
	return err == nil && running
}

// backupCared reports whether the backup needs nothing of this monitor: it serves
// nothing, or its own monitor runs.
func (c *care) backupCared() bool { return !c.backupHolds() || c.backupMonitored() }

// watchBackup monitors the serving backup until A5, as the target is monitored:
// all of it each monitor_interval, and its gratuitous ARP while a fence is owed.
func (m *care) watchBackup(ctx context.Context) error {
	vips := m.view.of(m.opt.Target.Backup)
	if m.backup == nil || len(vips) == 0 || m.backupMonitored() {
		m.unwatchBackup()
		return nil
	}
	if m.backupWatch == nil {
		m.backupWatch = m.watch(ctx, func() cluster.Guest { return m.backup.guest })
	}
	if m.owes() && m.clk.Since(m.announced) >= m.set.PingInterval.D() {
		m.announced = m.clk.Now()
		_ = each(vips, func(vip netip.Addr) error { return m.announce(ctx, m.backup.guest, vip) })
		m.backupWatch.Pause()
	}
	if m.clk.Since(m.beat) >= m.set.MonitorInterval.D() {
		m.beat = m.clk.Now()
		m.backupWatch.Examine(m.beat)
	}
	if v := m.backupWatch.Look(); v.Level < detector.Believe && (v.Level > detector.Well || !m.backupLostVIPs(ctx, vips)) {
		return nil
	}
	m.log.Warn().Str("server", m.backup.guest.Host).Msg(MsgBackupTrouble)
	m.unwatchBackup() // what is mended is watched anew
	return m.mendBackup(ctx)
}

func (c *care) unwatchBackup() {
	c.backupWatch.Stop()
	c.backupWatch = nil
}

// backupLostVIPs asks once a beat whether the backup still answers for its VIPs.
func (c *care) backupLostVIPs(ctx context.Context, vips []netip.Addr) bool {
	if !c.beat.After(c.held) {
		return false
	}
	c.held = c.beat
	defer c.backupWatch.Pause()
	return !c.backupAnswersFor(ctx, vips)
}

// mendBackup restarts the backup's daemons, then the backup; its VIPs are put
// on again.
func (c *care) mendBackup(ctx context.Context) error {
	g := c.backup.guest
	for _, cure := range []func(context.Context) error{
		func(ctx context.Context) error { return c.restartBackupDaemons(ctx, g) },
		func(ctx context.Context) error { return c.resetBackup(ctx, g) },
	} {
		err := cure(ctx)
		if err == nil && c.reseat(ctx) == nil {
			c.calm(MsgNoBackupReset)
			c.log.Info().Str("server", g.Host).Msg(MsgBackupMended)
			return nil
		}
		if errors.Is(err, watch.ErrNoRoom) { // it is busy: nobody else is likelier to serve
			c.alarm(MsgNoBackupReset, err)
			return nil
		}
	}
	return fmt.Errorf("cannot mend the backup server %s", g.Host)
}

func (c *care) restartBackupDaemons(ctx context.Context, g cluster.Guest) error {
	ctx, cancel := c.guestCall(ctx)
	defer cancel()
	if err := c.ping(ctx, g.IP); err != nil {
		return err
	}
	for _, d := range c.ungreeted(ctx, g.IP) {
		if err := c.fleet.RestartDaemon(ctx, g, d); err != nil {
			return err
		}
	}
	if len(c.ungreeted(ctx, g.IP)) > 0 {
		return cluster.ErrNoAnswer
	}
	return nil
}

// resetBackup restarts the backup where it stands and waits for its services.
func (c *care) resetBackup(ctx context.Context, g cluster.Guest) error {
	sctx, cancel := c.guestCall(ctx)
	st, err := c.fleet.GuestState(sctx, g)
	cancel()
	if err == nil && !st.Dead() && st != cluster.GuestPaused {
		err = c.pressReset(ctx, g)
	}
	if err != nil {
		return err
	}
	c.backup.stop()
	c.backup.wake(ctx, stamps{})
	return c.backup.awake(ctx)
}

// pressReset resets g where there is room for its boot.
func (c *care) pressReset(ctx context.Context, g cluster.Guest) error {
	room := c.roomOf(g, cluster.Work{})
	if err := room.Await(ctx, c.clk); err != nil {
		return err
	}
	ctx, cancel := c.guestCall(ctx)
	defer cancel()
	return c.fleet.Reset(ctx, g)
}
