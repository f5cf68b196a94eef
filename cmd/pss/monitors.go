package main

import (
	"context"
	"fmt"
	"time"

	"pss-msbs/pkg/clock"
	"pss-msbs/pkg/daemon"
	"pss-msbs/pkg/ipc"
	"pss-msbs/pkg/mgmtdata"
)

// monitors runs the sif and dbss of spares and of orphaned backups (paper,
// Fig. 10(b)): pss starts the sif, the sif starts the dbss.
type monitors struct {
	dirs daemon.Dirs
	clk  clock.Clock
}

const retry = 200 * time.Millisecond

// Ensure implements hands.Monitors. A dbss that died comes back by its sif and a
// sif by its dbss, each within a second; so does this call, until ctx ends.
func (m monitors) Ensure(ctx context.Context, dat mgmtdata.Server) error {
	for {
		err := m.ensure(ctx, dat)
		if err == nil {
			return nil
		}
		if m.clk.Sleep(ctx, retry) != nil {
			return fmt.Errorf("cannot start the monitor of %s: %w", dat.Host, err)
		}
	}
}

func (m monitors) ensure(ctx context.Context, dat mgmtdata.Server) error {
	running, err := m.Running(dat.Host)
	if err != nil || running {
		return err
	}
	if !daemon.Listening(m.dirs.SifSocket(dat.Host)) {
		if err := daemon.StartSpareSif(ctx, m.dirs, dat.Host, 0); err != nil {
			return err
		}
	}
	_, err = m.sif(dat.Host).Call(ctx, ipc.Request{Verb: ipc.SpareStart, Host: dat.Host, Dat: &dat})
	return err
}

func (m monitors) sif(host string) *ipc.Client {
	return ipc.NewClient(ipc.DialUnix(m.dirs.SifSocket(host)), "pss", m.clk)
}

// Stop implements hands.Monitors.
func (m monitors) Stop(ctx context.Context, host string) error {
	if daemon.Listening(m.dirs.SifSocket(host)) {
		_, err := m.sif(host).Call(ctx, ipc.Request{Verb: ipc.SpareStop, Host: host})
		return err
	}
	if running, err := m.Running(host); err != nil || !running {
		return err
	}
	return daemon.Stop(ctx, m.dirs, "dbss", host)
}

// Running implements hands.Monitors.
func (m monitors) Running(host string) (bool, error) {
	_, held, err := daemon.MonitorHolder(m.dirs.Run, host)
	return held, err
}
