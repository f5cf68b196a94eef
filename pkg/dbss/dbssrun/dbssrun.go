// Package dbssrun is a running dbss: what its monitor is made of.
package dbssrun

import (
	"context"

	"pss-msbs/pkg/daemon"
	"pss-msbs/pkg/dbss"
	"pss-msbs/pkg/fleet"
	"pss-msbs/pkg/ipc"
	"pss-msbs/pkg/mgmtdata"
	"pss-msbs/pkg/monitor"
	"pss-msbs/pkg/startup"
)

const description = `dbss monitors the virtual server that M1.dat describes (8 lines: VIP, host, IP, group, daemons,
backup host, backup IP, real server), lets its backup take over when it fails, and brings it back.`

type command struct {
	monitor.Flags
	Companion string `hidden:"" help:"Socket of the sif to use instead of one of its own."`
}

var data = monitor.Data[mgmtdata.Server]{Program: "dbss", Read: mgmtdata.ReadServer, Format: mgmtdata.FormatServer,
	Host: func(s mgmtdata.Server) string { return s.Host }}

// Main is dbss with these arguments.
func Main(ctx context.Context, args []string, at monitor.Place) error {
	var c command
	if _, err := daemon.Parse("dbss", description, &c, args); err != nil {
		return err
	}
	return data.Main(ctx, c.Flags, at, func(ctx context.Context, base *startup.Base, target mgmtdata.Server) error {
		return monitor.Program{Base: base, Fleet: at.Fleet, Spare: c.Companion != "", Idle: dbss.MsgIdle,
			Work: func(ctx context.Context, sif *ipc.Client, driver fleet.Driver) (idle bool, err error) {
				m := newMonitor(target, base, sif, driver)
				err = m.Run(ctx)
				return m.Idle(), err
			}}.Run(ctx)
	})
}

func newMonitor(target mgmtdata.Server, base *startup.Base, sif *ipc.Client, driver fleet.Driver) *dbss.Monitor {
	set := base.Settings
	return dbss.New(dbss.Options{
		Target: target, Settings: set, Clock: base.Clock, Log: base.Log,
		Companion: sif, Fleet: driver, Monitors: monitors{base},
		Budget: base.Budget(target.Host), Doubts: base.Board(), Resets: base.Resets(),
		BootSlot: base.Slots(daemon.Boot, set.DSRS.BootSlots),
		MoveSlot: base.Slots(daemon.Migration, set.Brake.Migrations),
		Ready: func() {
			if err := base.Ready(); err != nil {
				base.Log.Warn().Err(err).Msg("nobody waits for this monitor")
			}
		},
	})
}

// monitors are the other dbss of this management server.
type monitors struct{ *startup.Base }

var _ dbss.Monitors = monitors{}

// Running implements dbss.Monitors.
func (m monitors) Running(name string) (bool, error) { return m.Monitored(name) }

// Start implements dbss.Monitors.
func (m monitors) Start(ctx context.Context, name string) error {
	_, err := m.StartMonitor(ctx, name, nil)
	return err
}

// Stop implements dbss.Monitors.
func (m monitors) Stop(ctx context.Context, name string) error { return m.End(ctx, name) }
