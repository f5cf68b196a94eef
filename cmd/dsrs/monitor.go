package main

import (
	"context"

	"github.com/rs/zerolog"

	"pss-msbs/pkg/clock"
	"pss-msbs/pkg/daemon"
	"pss-msbs/pkg/dsrs"
	"pss-msbs/pkg/fleet"
	"pss-msbs/pkg/ipc"
	"pss-msbs/pkg/mgmtdata"
	"pss-msbs/pkg/settings"
)

// monitor is one dsrs from its lock to its end.
func (c *command) monitor(ctx context.Context, data mgmtdata.Real) error {
	if err := c.Prepare(); err != nil {
		return err
	}
	set, err := settings.Read(c.Settings())
	if err != nil {
		return daemon.Invalid(err)
	}
	clk, err := clock.Load(c.Dirs.Run)
	if err != nil {
		return err
	}
	lock, err := daemon.LockMonitor(c.Dirs.Run, data.Host)
	if err != nil {
		return err
	}
	defer lock.Close()
	log, logFile, err := daemon.NewLogger(c.Dirs, "dsrs", data.Host, set.LogFormat, clk)
	if err != nil {
		return err
	}
	defer logFile.Close()
	return c.serve(ctx, data, local{dirs: c.Dirs, clk: clk, set: set}, log)
}

// serve runs the monitor with its sif and its control socket.
func (c *command) serve(ctx context.Context, data mgmtdata.Real, local local, log zerolog.Logger) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	control, err := daemon.ServeControl(c.Dirs, "dsrs", data.Host, cancel)
	if err != nil {
		return err
	}
	defer control.Close()
	companion, err := daemon.StartSif(ctx, c.Dirs, data.Host, local.clk, log)
	if err != nil {
		return err
	}
	defer companion.Close()
	driver, err := fleet.Open(ctx, local.set, c.Dirs.Run, local.clk)
	if err != nil {
		return err
	}
	defer driver.Close()
	return dsrs.New(dsrs.Deps{Data: data, Settings: local.set, Clock: local.clk, Log: log,
		Sif:   ipc.NewClient(ipc.DialUnix(companion.Socket), "dsrs", local.clk),
		Fleet: driver, Monitors: local, Servers: local, Limits: local,
		Ready: func() error { return daemon.Ready(c.ReadyFD) }}).Run(ctx)
}
