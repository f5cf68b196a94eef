package dsrsrun

import (
	"context"
	"errors"
	"io/fs"
	"time"

	"pss-msbs/pkg/daemon"
	"pss-msbs/pkg/dsrs"
	"pss-msbs/pkg/mgmtdata"
	"pss-msbs/pkg/startup"
)

// local is what a dsrs finds on the management server: monitors and their
// locks, management data, boot slots, restart budgets.
type local struct{ *startup.Base }

var (
	_ dsrs.Monitors = local{}
	_ dsrs.Data     = local{}
	_ dsrs.Limits   = local{}
)

// Own implements dsrs.Monitors.
func (l local) Own(host string) (dsrs.Owner, error) {
	lock, err := l.Lock(host)
	if err != nil {
		return nil, err
	}
	return owner{l.Base, host, lock}, nil
}

// Held implements dsrs.Monitors; where it cannot be found out the server counts
// as monitored and is left alone.
func (l local) Held(host string) bool {
	held, err := l.Monitored(host)
	return held || err != nil
}

// Stop implements dsrs.Monitors.
func (l local) Stop(ctx context.Context, host string) error { return l.End(ctx, host) }

// Server implements dsrs.Data.
func (l local) Server(host string) (mgmtdata.Server, error) {
	s, err := mgmtdata.ReadServer(l.Dirs.Dat(host))
	if errors.Is(err, fs.ErrNotExist) {
		return mgmtdata.ReadServer(l.Dirs.SpareDat(host))
	}
	return s, err
}

// BootSlot implements dsrs.Limits.
func (l local) BootSlot(ctx context.Context) (func(), error) {
	return l.Slot(ctx, daemon.Boot, l.Settings.DSRS.BootSlots)
}

// WakeSlot implements dsrs.Limits.
func (l local) WakeSlot() (func(), error) {
	return l.TrySlot(daemon.Waking, l.Settings.Brake.Wakes)
}

// MigrationSlot implements dsrs.Limits.
func (l local) MigrationSlot(ctx context.Context) (func(), error) {
	return l.Slot(ctx, daemon.Migration, l.Settings.Brake.Migrations)
}

// BeginRecovery implements dsrs.Limits.
func (l local) BeginRecovery(host string) (due time.Time, err error) {
	return l.Budget(host).Begin(l.Clock.Now())
}

// EndRecovery implements dsrs.Limits.
func (l local) EndRecovery(host, outcome string) error {
	return l.Budget(host).End(l.Clock.Now(), outcome)
}

// owner holds the monitor lock of one server.
type owner struct {
	*startup.Base
	host string
	lock daemon.Lock
}

// Start implements dsrs.Owner: the dbss has the lock from then on.
func (o owner) Start(ctx context.Context) error {
	defer o.Release()
	_, err := o.StartMonitor(ctx, o.host, o.lock)
	return err
}

// Release implements dsrs.Owner.
func (o owner) Release() { _ = o.lock.Close() }
