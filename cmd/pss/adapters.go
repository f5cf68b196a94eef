package main

import (
	"context"
	"errors"
	"maps"
	"slices"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/conffile"
	"pss-msbs/pkg/daemon"
	"pss-msbs/pkg/guest"
	"pss-msbs/pkg/mgmtdata"
	"pss-msbs/pkg/pss"
	"pss-msbs/pkg/pss/ops"
)

// meter runs free and sar in a server.
type meter struct{ in guest.Runner }

// Measure implements pss.Meter.
func (m meter) Measure(ctx context.Context, g cluster.Guest) (pss.Sample, error) {
	r, err := guest.Measure(ctx, m.in, g)
	return pss.Sample{MemKB: float64(r.MemoryKB), MaxMemKB: float64(r.MaxMemoryKB), CPUPercent: r.CPU, NetKBs: r.NetworkKBs}, err
}

// data reads the management data of a directory.
type data struct{ conf string }

func (d data) read() (ops.Data, error) {
	dir, err := mgmtdata.ReadDir(d.conf)
	var out ops.Data
	for _, path := range slices.Sorted(maps.Keys(dir.Servers)) {
		out.Servers = append(out.Servers, dir.Servers[path])
	}
	for _, path := range slices.Sorted(maps.Keys(dir.Reals)) {
		out.Reals = append(out.Reals, dir.Reals[path])
	}
	return out, err
}

// homes are the homes that the management data name; a directory without them
// will do.
func homes(d daemon.Dirs) cluster.HomeNames {
	known, err := data{d.Conf}.read()
	if err != nil {
		return nil
	}
	return known.Homes()
}

// backups are the backups of servers as far as the .dat files tell, by host.
func backups(d daemon.Dirs) map[string]string {
	known, _ := data{d.Conf}.read()
	out := map[string]string{}
	for _, s := range known.Servers {
		out[s.Host] = s.Backup
	}
	return out
}

// invalid has faults of files printed as they are, with exit code 2.
func invalid(err error) error {
	var faults *conffile.Faults
	if errors.As(err, &faults) {
		return daemon.Invalid(err)
	}
	return err
}
