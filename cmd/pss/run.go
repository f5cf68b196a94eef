package main

import (
	"context"
	"reflect"

	"github.com/rs/zerolog"

	"pss-msbs/pkg/clock"
	"pss-msbs/pkg/conffile"
	"pss-msbs/pkg/daemon"
	"pss-msbs/pkg/fleet"
	"pss-msbs/pkg/ipc"
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

// options wires pss to what it works on.
func options(d daemon.Dirs, set settings.Settings, clk clock.Clock, log zerolog.Logger, driver fleet.Driver) pss.Options {
	failed := ipc.Failed{Dir: d.Run}
	conf := conffile.Open(d.Conf, conffile.Options{Clock: clk, Wait: set.Lock.Wait.D(), Holder: "pss"})
	return pss.Options{
		Fleet:     driver,
		Files:     pss.ConfFiles(conf),
		Rescue:    pss.RescueFiles(conf, log),
		Monitors:  monitors{dirs: d, clk: clk},
		Meter:     meter{driver},
		Accesses:  driver,
		Slot:      func(ctx context.Context) (func(), error) { return daemon.BootSlot(ctx, clk, d.Run, set.DSRS.BootSlots) },
		Data:      data{d.Conf}.read,
		Abandoned: failed.Hosts,
		Forget:    failed.Remove,
		Changed:   func() bool { return changed(d, set) },
		Settings:  set, Clock: clk, Log: log, RunDir: d.Run, StateDir: d.State,
	}
}

// changed tells whether settings.toml says something else by now; while it is
// faulty it does not.
func changed(d daemon.Dirs, set settings.Settings) bool {
	now, err := settings.Read(d.Settings())
	return err == nil && !reflect.DeepEqual(now, set)
}
