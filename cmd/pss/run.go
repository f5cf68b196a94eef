package main

import (
	"context"

	"pss-msbs/pkg/daemon"
	"pss-msbs/pkg/fleet"
	"pss-msbs/pkg/pss"
	"pss-msbs/pkg/startup"
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
	base, err := startup.Start(d, "pss", "")
	if err != nil {
		return err
	}
	defer base.Close()
	return base.Controlled(ctx, func(ctx context.Context) error {
		driver, err := fleet.Open(ctx, base.Settings, d.Run, base.Clock)
		if err != nil {
			return err
		}
		defer driver.Close()
		opt := options(d, base.Settings, base.Clock, base.Log, driver)
		opt.Ready = func() error { return daemon.Ready(c.ReadyFD) }
		return invalid(pss.New(opt).Run(ctx))
	})
}
