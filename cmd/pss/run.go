package main

import (
	"context"

	"pss-msbs/pkg/check"
	"pss-msbs/pkg/conffile"
	"pss-msbs/pkg/daemon"
	"pss-msbs/pkg/pss/pssrun"
	"pss-msbs/pkg/startup"
)

type runCmd struct {
	ReadyFD int `name:"ready-fd" hidden:"" help:"Descriptor to write a line to when pss works."`
}

// Run is pss until ctx ends.
func (c runCmd) Run(ctx context.Context, d daemon.Dirs) error {
	if err := d.Prepare(); err != nil {
		return err
	}
	if err := usable(ctx, d); err != nil {
		return err
	}
	base, err := startup.Start(daemon.OS{Dirs: d, ReadyFD: c.ReadyFD}, "pss", "")
	if err != nil {
		return err
	}
	defer base.Close()
	return invalid(pssrun.Run(ctx, base, pssrun.Real))
}

// usable refuses a directory with any fault. Only a pss that died goes on
// beside a typo in the seven files: it owes failed servers its help (SPEC 10).
func usable(ctx context.Context, d daemon.Dirs) error {
	dir := conffile.Open(d.Conf, conffile.Options{Holder: "pss"})
	if pssrun.Survived(&startup.Base{Env: daemon.In(d)}, dir) {
		return nil
	}
	r, err := check.Dir(ctx, dir)
	if err != nil {
		return err
	}
	return invalid(r.Faults.Err())
}
