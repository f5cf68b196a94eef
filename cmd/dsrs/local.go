package main

import (
	"context"
	"errors"
	"io/fs"
	"time"

	"pss-msbs/pkg/budget"
	"pss-msbs/pkg/clock"
	"pss-msbs/pkg/daemon"
	"pss-msbs/pkg/dsrs"
	"pss-msbs/pkg/mgmtdata"
	"pss-msbs/pkg/settings"
)

// local is what a dsrs finds on the management server: monitors and their
// locks, management data, boot slots, restart budgets.
type local struct {
	dirs daemon.Dirs
	clk  clock.Clock
	set  settings.Settings
}

var (
	_ dsrs.Monitors = local{}
	_ dsrs.Data     = local{}
	_ dsrs.Limits   = local{}
)

// Own implements dsrs.Monitors.
func (l local) Own(host string) (dsrs.Owner, error) {
	lock, err := daemon.LockMonitor(l.dirs.Run, host)
	if err != nil {
		return nil, err
	}
	return owner{local: l, lock: lock}, nil
}

// Held implements dsrs.Monitors; where it cannot be found out the server counts
// as monitored and is left alone.
func (l local) Held(host string) bool {
	_, held, err := daemon.MonitorHolder(l.dirs.Run, host)
	return held || err != nil
}

// Stop implements dsrs.Monitors.
func (l local) Stop(ctx context.Context, host string) error {
	return daemon.EndMonitor(ctx, l.dirs, host)
}

// Server implements dsrs.Data.
func (l local) Server(host string) (mgmtdata.Server, error) {
	s, err := mgmtdata.ReadServer(l.dirs.Dat(host))
	if errors.Is(err, fs.ErrNotExist) {
		return mgmtdata.ReadServer(l.dirs.SpareDat(host))
	}
	return s, err
}

// BootSlot implements dsrs.Limits.
func (l local) BootSlot(ctx context.Context) (func(), error) {
	return daemon.BootSlot(ctx, l.clk, l.dirs.Run, l.set.DSRS.BootSlots)
}

// WakeSlot implements dsrs.Limits.
func (l local) WakeSlot() (func(), error) {
	return daemon.TrySlot(l.dirs.Run, daemon.Waking, l.set.Brake.Wakes)
}

// MigrationSlot implements dsrs.Limits.
func (l local) MigrationSlot(ctx context.Context) (func(), error) {
	return daemon.Slot(ctx, l.clk, l.dirs.Run, daemon.Migration, l.set.Brake.Migrations)
}

func (l local) budget(host string) budget.File {
	return budget.File{Path: l.dirs.Budget(host), Host: host,
		Limit: l.set.DBSS.BudgetRecoveries, Window: l.set.DBSS.BudgetWindow.D()}
}

// BeginRecovery implements dsrs.Limits.
func (l local) BeginRecovery(host string) (due time.Time, err error) {
	return l.budget(host).Begin(l.clk.Now())
}

// EndRecovery implements dsrs.Limits.
func (l local) EndRecovery(host, outcome string) error {
	return l.budget(host).End(l.clk.Now(), outcome)
}

// owner holds the monitor lock of one server.
type owner struct {
	local
	lock *daemon.MonitorLock
}

// Start implements dsrs.Owner: the dbss has the lock from then on.
func (o owner) Start(ctx context.Context) error {
	defer o.lock.Close()
	_, err := daemon.StartMonitor(ctx, o.dirs, o.lock.Name(), o.dirs.Dat(o.lock.Name()), o.lock)
	return err
}

// Release implements dsrs.Owner.
func (o owner) Release() { o.lock.Close() }
