package dbss

import (
	"context"
	"net/netip"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/handover"
	"pss-msbs/pkg/ipc"
)

// givingBack is A5 after a recovery: under hold the VIPs go from the backup to
// the target and the rows follow.
func (m *Monitor) givingBack(ctx context.Context) (State, string) {
	state, err := m.giveBack(ctx)
	if err != nil {
		m.alarm("VIPs cannot be given back", err)
		m.job.Stop()
		m.job = nil // looks at the target again before the next attempt
		return m.later(ctx, Recovering, "VIPs cannot be given back")
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
	give := &handover.GiveBack{Sif: m.opt.Companion, Servers: m.fleet, Clock: m.clk, Target: m.target(), Group: m.opt.Target.Group,
		Commits:  ipc.Request{Verb: ipc.A5, Host: m.opt.Target.Host, Backup: ipc.BackupOf(m.opt.Target), Outcome: ipc.Recovered},
		HoldTime: m.opt.Settings.Lock.Hold.D(), BySSH: m.opt.Settings.Guest.BySSH(), Repelled: m.repelled}
	if m.backup != nil {
		give.Backup = m.backup.home
		defer func() { m.backup.guest, m.backup.cut = give.Backup, give.Cut() }()
	}
	if err := give.Run(ctx); err != nil {
		return "", err
	}
	if r, done := give.Committed(); done {
		return r.State, nil
	}
	v, err := m.lookBeforeMonitor(ctx)
	return v.state, err
}

// repelled notes what a target owes that did not let go of its VIPs: it is cut
// off, or err says why it could not be.
func (d *debts) repelled(err error) {
	if d.debt.Store(linkDown); err != nil {
		d.debt.Store(unfenced)
	}
}

// under is ctx while calls under a hold may last.
func (f *files) under(ctx context.Context, s *ipc.Session) (context.Context, context.CancelFunc) {
	return s.Within(ctx, f.opt.Settings.Lock.Hold.D())
}

// reseat puts the VIPs that the files have the backup serve on it again, under
// the lock; one that the target answers for is taken off that first.
func (c *care) reseat(ctx context.Context) error {
	s, err := c.hold(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	if s.Reply.Rows == nil {
		return nil
	}
	ctx, cancel := c.under(ctx, s)
	defer cancel()
	err = each(s.Reply.Rows.BackupOperation.VIPs(), func(vip netip.Addr) error { return c.reseatOne(ctx, vip) })
	if err != nil {
		return err
	}
	return s.Release(ctx)
}

func (c *care) reseatOne(ctx context.Context, vip netip.Addr) error {
	mine, others, err := c.holds(ctx, c.backup.guest, vip)
	if err == nil && others && !c.owes() {
		err = c.fleet.DelVIP(ctx, c.target(), vip)
	}
	if err != nil || mine && !others {
		return err
	}
	if err := c.fleet.AddVIP(ctx, c.backup.guest, vip); err != nil {
		return err
	}
	return c.verify(ctx, vip)
}
