package simcmd

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"pss-msbs/pkg/clock"
	"pss-msbs/pkg/conffile"
	"pss-msbs/pkg/daemon"
	"pss-msbs/pkg/mgmtdata"
	"pss-msbs/pkg/settings"
	"pss-msbs/pkg/sim"
	"pss-msbs/pkg/sim/remote"
)

// Serve is `pss fleet serve`.
type Serve struct {
	ReadyFD int     `name:"ready-fd" help:"Write a line to this descriptor once it listens." placeholder:"FD"`
	Ready   bool    `help:"Backup servers stand paused and spare servers saved at the beginning, as after a first start."`
	Load    float64 `help:"Load on every group at the beginning, percent." default:"${fleet_load}" placeholder:"PERCENT"`
}

// Run serves the fleet of which the files speak, until ctx ends.
func (s *Serve) Run(ctx context.Context, e Env) error {
	if err := e.Dirs.Prepare(); err != nil {
		return err
	}
	spec, set, err := read(ctx, e.Dirs)
	if err != nil {
		return err
	}
	spec.Load = s.Load
	for i, g := range spec.Guests {
		spec.Guests[i].Ready = s.Ready && g.Kind != sim.Virtual
	}
	l, err := daemon.Listen(socket(set, e.Dirs))
	if err != nil {
		return err
	}
	defer l.Close()
	clk := clock.Clock{Epoch: time.Now(), Speed: set.Fleet.Speed}
	m, err := sim.New(spec, clk)
	if err != nil {
		return err
	}
	defer m.Close()
	if err := clk.Publish(e.Dirs.Run); err != nil {
		return err
	}
	if err := daemon.Ready(s.ReadyFD); err != nil {
		return err
	}
	return errors.Join(remote.NewServer(m).Serve(ctx, l), removeClock(e.Dirs.Run))
}

// read describes the fleet from everything in the configuration directory.
func read(ctx context.Context, d daemon.Dirs) (sim.Spec, settings.Settings, error) {
	set, err := settings.Read(d.Settings())
	if err != nil {
		return sim.Spec{}, set, daemon.Invalid(err)
	}
	if set.Fleet.Driver != "sim" {
		return sim.Spec{}, set, daemon.Usage(fmt.Errorf("cannot serve an emulated fleet: settings name the driver %q", set.Fleet.Driver))
	}
	tables, err := conffile.Open(d.Conf, conffile.Options{Holder: "pss fleet"}).View(ctx)
	if err != nil {
		return sim.Spec{}, set, daemon.Invalid(err)
	}
	dats, err := mgmtdata.ReadDir(d.Conf)
	if err != nil {
		return sim.Spec{}, set, daemon.Invalid(err)
	}
	spec, err := sim.FromTables(tables, byPath(dats.Servers), byPath(dats.Reals), set)
	return spec, set, err
}

func byPath[T any](files map[string]T) []T {
	var out []T
	for _, path := range slices.Sorted(maps.Keys(files)) {
		out = append(out, files[path])
	}
	return out
}
