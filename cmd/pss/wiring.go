package main

import (
	"context"
	"os"
	"path/filepath"
	"reflect"

	"github.com/rs/zerolog"

	"pss-msbs/pkg/check"
	"pss-msbs/pkg/clock"
	"pss-msbs/pkg/conffile"
	"pss-msbs/pkg/daemon"
	"pss-msbs/pkg/fleet"
	"pss-msbs/pkg/ipc"
	"pss-msbs/pkg/lockedfile"
	"pss-msbs/pkg/pss"
	"pss-msbs/pkg/pss/conf"
	"pss-msbs/pkg/pss/record"
	"pss-msbs/pkg/settings"
	"pss-msbs/pkg/startup"
)

// options wires pss to what it works on.
func options(d daemon.Dirs, set settings.Settings, clk clock.Clock, log zerolog.Logger, driver fleet.Driver) pss.Options {
	failed := ipc.Failed{Dir: d.Run}
	dir := conffile.Open(d.Conf, conffile.Options{Clock: clk, Wait: set.Lock.Wait.D(), Holder: "pss"})
	wakes := func(ctx context.Context) (func(), error) {
		return daemon.Slot(ctx, clk, d.Run, daemon.Waking, set.Brake.Wakes)
	}
	return pss.Options{
		Fleet:     driver,
		Files:     conf.Files{Dir: dir},
		Rescue:    conf.Rescue{Dir: dir, Log: log},
		Monitors:  monitors{dirs: d, clk: clk},
		Meter:     meter{driver},
		Accesses:  driver,
		Slot:      slots(d, clk, set.DSRS.BootSlots),
		SpareSlot: slots(d, clk, max(1, set.DSRS.BootSlots-1)), // the last one is for recoveries
		WakeSlot:  wakes,
		Data:      data{d.Conf}.read,
		Abandoned: failed.Hosts,
		Forget:    failed.Remove,
		Moving:    d.Moves(),
		Doubts:    startup.Board(d, set, clk).Read,
		LastGood:  survived(d),
		Changed:   func() bool { return changed(d, set) },
		Settings:  set, Clock: clk, Log: log, RunDir: d.Run, StateDir: d.State,
	}
}

// slots waits for one of the first n boot slots.
func slots(d daemon.Dirs, clk clock.Clock, n int) func(context.Context) (func(), error) {
	return func(ctx context.Context) (func(), error) { return daemon.BootSlot(ctx, clk, d.Run, n) }
}

// usable refuses a directory with any fault. Only a pss that died goes on
// beside a typo in the seven files: it owes failed servers its help (SPEC 10).
func usable(ctx context.Context, d daemon.Dirs) error {
	if survived(d) {
		return nil
	}
	r, err := check.Dir(ctx, conffile.Open(d.Conf, conffile.Options{Holder: "pss"}))
	if err != nil {
		return err
	}
	return invalid(r.Faults.Err())
}

// survived reports whether a pss died here, since the management server booted,
// and left last good copies of the files.
func survived(d daemon.Dirs) bool {
	last, err := record.ReadLastCycle(nil, d.Run)
	_, missing := os.Stat(filepath.Join(d.Conf, lockedfile.LastDir))
	return err == nil && !last.Ended && missing == nil
}

// changed reports whether settings.toml says something else by now; while it is
// faulty it does not.
func changed(d daemon.Dirs, set settings.Settings) bool {
	now, err := settings.Read(d.Settings())
	return err == nil && !reflect.DeepEqual(now, set)
}
