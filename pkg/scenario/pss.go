package scenario

import (
	"context"
	"fmt"
	"time"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/daemon"
	"pss-msbs/pkg/guest"
	"pss-msbs/pkg/ipc"
	"pss-msbs/pkg/mgmtdata"
	"pss-msbs/pkg/pss"
	"pss-msbs/pkg/pss/conf"
	"pss-msbs/pkg/pss/ops"
	"pss-msbs/pkg/pss/record"
)

// startPSS starts the power-saving server system.
func (w *World) startPSS() *Proc {
	return w.spawn("pss", "", nil, func(p *Proc) error {
		failed := w.failed()
		dir := p.files()
		return pss.New(pss.Options{
			Fleet: view{p, w.Model}, Files: conf.Files{Dir: dir}, Rescue: conf.Rescue{Dir: dir, Log: p.logger()},
			Monitors: spares{p}, Meter: meter{view{p, w.Model}}, Accesses: view{p, w.Model},
			Slot: p.bootSlot(w.Settings.DSRS.BootSlots), SpareSlot: p.bootSlot(max(1, w.Settings.DSRS.BootSlots-1)),
			WakeSlot:  p.slot(daemon.Waking, w.Settings.Brake.Wakes),
			Data:      func() (ops.Data, error) { return w.data, nil },
			Abandoned: failed.Hosts, Forget: failed.Remove, Moving: w.moves(), Doubts: p.board().Read, Changed: func() bool { return false }, LastGood: w.survived(),
			Ready: func() error { p.isReady(); return nil },
			Clock: p.clock(), Settings: w.Settings, Log: p.logger(), RunDir: w.dirs.Run, StateDir: w.dirs.State, Notes: &w.notes,
		}).Run(p.ctx)
	})
}

// survived reports whether a pss died here.
func (w *World) survived() bool {
	last, err := record.ReadLastCycle(&w.notes, w.dirs.Run)
	return err == nil && !last.Ended
}

// listData is what the .dat files say; nobody changes them.
func (w *World) listData() (out ops.Data) {
	for _, path := range sortedKeys(w.dats.Servers) {
		out.Servers = append(out.Servers, w.dats.Servers[path])
	}
	for _, path := range sortedKeys(w.dats.Reals) {
		out.Reals = append(out.Reals, w.dats.Reals[path])
	}
	return out
}

// meter runs free and sar in a server.
type meter struct{ in guest.Runner }

// Measure implements pss.Meter.
func (m meter) Measure(ctx context.Context, g cluster.Guest) (pss.Sample, error) {
	r, err := guest.Measure(ctx, m.in, g)
	return pss.Sample{MemKB: float64(r.MemoryKB), MaxMemKB: float64(r.MaxMemoryKB), CPUPercent: r.CPU, NetKBs: r.NetworkKBs}, err
}

// spares are the monitors of spares and of orphaned backups, for pss.
type spares struct{ p *Proc }

// Ensure implements ops.Monitors.
func (s spares) Ensure(ctx context.Context, dat mgmtdata.Server) error {
	for {
		err := s.ensure(ctx, dat)
		if err == nil || s.p.isDead() {
			return err
		}
		if s.p.clock().Sleep(ctx, 200*time.Millisecond) != nil {
			return fmt.Errorf("cannot start the monitor of %s: %w", dat.Host, err)
		}
	}
}

func (s spares) ensure(ctx context.Context, dat mgmtdata.Server) error {
	if err := s.p.at("ensure", dat.Host, false); err != nil {
		return err
	}
	if s.p.w.held(dat.Host) {
		return nil
	}
	if _, ok := s.p.w.socket(dat.Host); !ok {
		if err := s.p.w.startSpareSif(ctx, s.p, dat.Host, nil); err != nil {
			return err
		}
	}
	_, err := s.sif(dat.Host).Call(ctx, ipc.Request{Verb: ipc.SpareStart, Host: dat.Host, Dat: &dat})
	return err
}

func (s spares) sif(host string) *ipc.Client {
	return ipc.NewClient(s.p.dial(host), "pss", s.p.clock())
}

// Stop implements ops.Monitors.
func (s spares) Stop(ctx context.Context, host string) error {
	if _, ok := s.p.w.socket(host); ok {
		_, err := s.sif(host).Call(ctx, ipc.Request{Verb: ipc.SpareStop, Host: host})
		return err
	}
	return s.p.stopDBSS(ctx, host)
}

// Running implements ops.Monitors.
func (s spares) Running(host string) (bool, error) { return s.p.w.held(host), nil }
