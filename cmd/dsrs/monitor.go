package main

import (
	"context"

	"pss-msbs/pkg/daemon"
	"pss-msbs/pkg/dsrs"
	"pss-msbs/pkg/fleet"
	"pss-msbs/pkg/ipc"
	"pss-msbs/pkg/mgmtdata"
	"pss-msbs/pkg/startup"
)

// monitor is one dsrs from its lock to its end.
func (c *command) monitor(ctx context.Context, data mgmtdata.Real) error {
	base, err := startup.Start(c.Dirs, "dsrs", data.Host)
	if err != nil {
		return err
	}
	defer base.Close()
	lock, err := daemon.LockMonitor(c.Dirs.Run, data.Host)
	if err != nil {
		return err
	}
	defer lock.Close()
	return base.Controlled(ctx, func(ctx context.Context) error { return c.serve(ctx, data, base) })
}

// serve runs the monitor with its sif.
func (c *command) serve(ctx context.Context, data mgmtdata.Real, base *startup.Base) error {
	companion, err := daemon.StartSif(ctx, c.Dirs, data.Host, base.Clock, base.Log)
	if err != nil {
		return err
	}
	defer companion.Close()
	driver, err := fleet.Open(ctx, base.Settings, c.Dirs.Run, base.Clock)
	if err != nil {
		return err
	}
	defer driver.Close()
	local := local{dirs: c.Dirs, clk: base.Clock, set: base.Settings}
	return dsrs.New(dsrs.Deps{Data: data, Settings: base.Settings, Clock: base.Clock, Log: base.Log,
		Sif:   ipc.NewClient(ipc.DialUnix(companion.Socket), "dsrs", base.Clock),
		Fleet: driver, Monitors: local, Servers: local, Limits: local,
		Resets: startup.Resets(c.Dirs, base.Settings, base.Clock),
		Ready:  func() error { return daemon.Ready(c.ReadyFD) }}).Run(ctx)
}
