package main

import (
	"context"

	"pss-msbs/pkg/clock"
	"pss-msbs/pkg/daemon"
	"pss-msbs/pkg/fleet"
	"pss-msbs/pkg/pss"
	"pss-msbs/pkg/settings"
)

type runCmd struct {
	ReadyFD int `name:"ready-fd" hidden:"" help:"Descriptor to write a line to when pss works."`
}

// Run is pss from its control socket, of which there can be but one, to its end.
func (c runCmd) Run(ctx context.Context, d daemon.Dirs) error {
	if err := d.Prepare(); err != nil {
		return err
	}
	if err := usable(ctx, d); err != nil {
		return err
	}
	set, err := settings.Read(d.Settings())
	if err != nil {
		return daemon.Invalid(err)
	}
	clk, err := clock.Load(d.Run)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	control, err := daemon.ServeControl(d, "pss", "", cancel)
	if err != nil {
		return err
	}
	defer control.Close()
	log, logFile, err := daemon.NewLogger(d, "pss", "", set.LogFormat, clk)
	if err != nil {
		return err
	}
	defer logFile.Close()
	driver, err := fleet.Open(ctx, set, d.Run, clk)
	if err != nil {
		return err
	}
	defer driver.Close()
	opt := options(d, set, clk, log, driver)
	opt.Ready = func() error { return daemon.Ready(c.ReadyFD) }
	return invalid(pss.New(opt).Run(ctx))
}
