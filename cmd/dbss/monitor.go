package main

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/rs/zerolog"

	"pss-msbs/pkg/budget"
	"pss-msbs/pkg/clock"
	"pss-msbs/pkg/daemon"
	"pss-msbs/pkg/dbss"
	"pss-msbs/pkg/fleet"
	"pss-msbs/pkg/ipc"
	"pss-msbs/pkg/mgmtdata"
	"pss-msbs/pkg/startup"
)

// monitor is one dbss from its lock to its end. One that its launcher started
// again while the target is its dsrs's to bring back waits for its turn.
func (c *command) monitor(ctx context.Context, target mgmtdata.Server) error {
	base, err := startup.Start(c.Dirs, "dbss", target.Host)
	if err != nil {
		return err
	}
	defer base.Close()
	lock, err := c.lock(target.Host)
	if err != nil {
		return err
	}
	defer func() { _ = lock.Close() }()
	for said := false; ; said = true {
		idle := false
		err := base.Controlled(ctx, func(ctx context.Context) (err error) {
			idle, err = c.serve(ctx, target, base)
			return err
		})
		if err != nil || !idle || c.LockFD != 0 {
			return err
		}
		if !said {
			base.Log.Info().Msg(dbss.MsgIdle)
		}
		if again, err := c.turn(ctx, lock, base.Clock, base.Settings.DBSS.MonitorInterval.D()); again == nil {
			return err
		} else {
			lock = again
		}
	}
}

// turn gives the lock up, which dsrs needs to bring the target back, and takes
// it again as soon as a pause is over and nobody else has it; nil where that
// cannot be, or ctx ended.
func (c *command) turn(ctx context.Context, lock *daemon.MonitorLock, clk clock.Clock, pause time.Duration) (*daemon.MonitorLock, error) {
	if err := lock.Close(); err != nil {
		return nil, err
	}
	for clk.Sleep(ctx, pause) == nil {
		again, err := daemon.LockMonitor(c.Dirs.Run, lock.Name())
		if err == nil || !errors.Is(err, daemon.ErrMonitored) {
			return again, err
		}
	}
	return nil, nil
}

// serve runs the monitor with its sif; idle is whether there was nothing for it
// to do.
func (c *command) serve(ctx context.Context, target mgmtdata.Server, base *startup.Base) (idle bool, err error) {
	companion, err := c.companion(ctx, target.Host, base.Clock, base.Log)
	if err != nil {
		return false, err
	}
	defer companion.Close()
	driver, err := fleet.Open(ctx, base.Settings, c.Dirs.Run, base.Clock)
	if err != nil {
		return false, err
	}
	defer driver.Close()
	m := c.newMonitor(target, base, driver)
	err = m.Run(ctx)
	return m.Idle(), err
}

func (c *command) newMonitor(target mgmtdata.Server, base *startup.Base, driver fleet.Driver) *dbss.Monitor {
	set, clk := base.Settings, base.Clock
	return dbss.New(dbss.Options{
		Target: target, Settings: set, Clock: clk, Log: base.Log, Fleet: driver,
		Companion: ipc.NewClient(ipc.DialUnix(c.SifSocket(target.Host)), "dbss", clk),
		Monitors:  monitors{c.Dirs},
		Budget: budget.File{Path: c.Budget(target.Host), Host: target.Host,
			Limit: set.DBSS.BudgetRecoveries, Window: set.DBSS.BudgetWindow.D()},
		Doubts: startup.Board(c.Dirs, set, clk),
		Resets: startup.Resets(c.Dirs, set, clk),
		BootSlot: func(ctx context.Context) (func(), error) {
			return daemon.BootSlot(ctx, clk, c.Dirs.Run, set.DSRS.BootSlots)
		},
		MoveSlot: func(ctx context.Context) (func(), error) {
			return daemon.Slot(ctx, clk, c.Dirs.Run, daemon.Migration, set.Brake.Migrations)
		},
		Ready: func() {
			if err := daemon.Ready(c.ReadyFD); err != nil {
				base.Log.Warn().Err(err).Msg("nobody waits for this monitor")
			}
		},
	})
}

// lock takes the monitor lock, or takes over the one that dsrs holds.
func (c *command) lock(name string) (*daemon.MonitorLock, error) {
	if c.LockFD != 0 {
		return daemon.AdoptMonitorLock(c.Dirs.Run, name, c.LockFD)
	}
	return daemon.LockMonitor(c.Dirs.Run, name)
}

// companion starts the sif of this monitor, or keeps the one of a spare alive.
func (c *command) companion(ctx context.Context, name string, clk clock.Clock, log zerolog.Logger) (*daemon.Companion, error) {
	if c.Companion == "" {
		return daemon.StartSif(ctx, c.Dirs, name, clk, log)
	}
	return daemon.KeepSpareSif(ctx, c.Dirs, name, os.Getpid(), clk, log), nil
}

// monitors are the other dbss of this management server.
type monitors struct{ dirs daemon.Dirs }

var _ dbss.Monitors = monitors{}

// Running implements dbss.Monitors.
func (m monitors) Running(name string) (bool, error) {
	_, held, err := daemon.MonitorHolder(m.dirs.Run, name)
	return held, err
}

// Start implements dbss.Monitors.
func (m monitors) Start(ctx context.Context, name string) error {
	_, err := daemon.StartMonitor(ctx, m.dirs, name, m.dirs.Dat(name), nil)
	return err
}

// Stop implements dbss.Monitors.
func (m monitors) Stop(ctx context.Context, name string) error {
	return daemon.EndMonitor(ctx, m.dirs, name)
}
