// Package pssrun is a running pss: what the power-saving server system works on.
package pssrun

import (
	"context"
	"maps"
	"reflect"
	"slices"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/conffile"
	"pss-msbs/pkg/daemon"
	"pss-msbs/pkg/fleet"
	"pss-msbs/pkg/guest"
	"pss-msbs/pkg/mgmtdata"
	"pss-msbs/pkg/pss"
	"pss-msbs/pkg/pss/conf"
	"pss-msbs/pkg/pss/ops"
	"pss-msbs/pkg/pss/record"
	"pss-msbs/pkg/settings"
	"pss-msbs/pkg/startup"
)

// Place is where pss runs.
type Place struct {
	Fleet fleet.Opener
	Files conffile.Opener
}

// Real is the place of a real process.
var Real = Place{Fleet: fleet.Open, Files: conffile.Open}

// Run is pss from its control socket, of which there can be but one, until ctx ends.
func Run(ctx context.Context, base *startup.Base, at Place) error {
	return base.Controlled(ctx, func(ctx context.Context) error {
		driver, err := at.Fleet(ctx, base.Settings, base.Dirs.Run, base.Clock)
		if err != nil {
			return err
		}
		defer driver.Close()
		return pss.New(options(base, at.Files, driver)).Run(ctx)
	})
}

// options wires pss to what it works on.
func options(base *startup.Base, open conffile.Opener, driver fleet.Driver) pss.Options {
	set, failed := base.Settings, base.Failed()
	dir := open(base.Dirs.Conf, conffile.Options{Clock: base.Clock, Wait: set.Lock.Wait.D(), Holder: "pss"})
	return pss.Options{
		Fleet:     driver,
		Files:     conf.Files{Dir: dir},
		Rescue:    conf.Rescue{Dir: dir, Log: base.Log},
		Monitors:  monitors{base},
		Meter:     meter{driver},
		Accesses:  driver,
		Slot:      base.Slots(daemon.Boot, set.DSRS.BootSlots),
		SpareSlot: base.Slots(daemon.Boot, max(1, set.DSRS.BootSlots-1)), // the last one is for recoveries
		WakeSlot:  base.Slots(daemon.Waking, set.Brake.Wakes),
		Data:      func() (ops.Data, error) { return data(base) },
		Abandoned: failed.Hosts,
		Forget:    failed.Remove,
		Moving:    base.Moves(),
		Doubts:    base.Board().Read,
		LastGood:  Survived(base, dir),
		Changed:   func() bool { return changed(base) },
		Ready:     base.Ready,
		Settings:  set, Clock: base.Clock, Log: base.Log,
		RunDir: base.Dirs.Run, StateDir: base.Dirs.State, Notes: base.Notes,
	}
}

// Survived reports whether a pss died here, since the management server booted,
// and left last good copies of the files.
func Survived(base *startup.Base, dir *conffile.Dir) bool {
	last, err := record.ReadLastCycle(base.Notes, base.Dirs.Run)
	return err == nil && !last.Ended && dir.HasLastGood()
}

// changed reports whether settings.toml says something else by now; while it is
// faulty it does not.
func changed(base *startup.Base) bool {
	if base.Dats != nil {
		return false
	}
	now, err := settings.Read(base.Dirs.Settings())
	return err == nil && !reflect.DeepEqual(now, base.Settings)
}

// meter runs free and sar in a server.
type meter struct{ in guest.Runner }

// Measure implements pss.Meter.
func (m meter) Measure(ctx context.Context, g cluster.Guest) (pss.Sample, error) {
	r, err := guest.Measure(ctx, m.in, g)
	return pss.Sample{MemKB: float64(r.MemoryKB), MaxMemKB: float64(r.MaxMemoryKB), CPUPercent: r.CPU, NetKBs: r.NetworkKBs}, err
}

func data(base *startup.Base) (ops.Data, error) {
	if base.Dats != nil {
		return InOrder(*base.Dats), nil
	}
	return Data(base.Dirs.Conf)
}

// Data reads the management data of a directory; with an error it is what could be read.
func Data(conf string) (ops.Data, error) {
	dir, err := mgmtdata.ReadDir(conf)
	return InOrder(dir), err
}

// InOrder is what the .dat files say, in the order of their names.
func InOrder(dir mgmtdata.Dir) (out ops.Data) {
	for _, path := range slices.Sorted(maps.Keys(dir.Servers)) {
		out.Servers = append(out.Servers, dir.Servers[path])
	}
	for _, path := range slices.Sorted(maps.Keys(dir.Reals)) {
		out.Reals = append(out.Reals, dir.Reals[path])
	}
	return out
}
