package pssrun

import (
	"context"
	"fmt"
	"time"

	"pss-msbs/pkg/ipc"
	"pss-msbs/pkg/mgmtdata"
	"pss-msbs/pkg/pss/ops"
	"pss-msbs/pkg/startup"
)

// monitors runs the sif and dbss of spares and of orphaned backups (paper,
// Fig. 10(b)): pss starts the sif, the sif starts the dbss.
type monitors struct{ *startup.Base }

var _ ops.Monitors = monitors{}

const retry = 200 * time.Millisecond

// Ensure implements ops.Monitors. A dbss that died comes back by its sif and a
// sif by its dbss, each within a second; so does this call, until ctx ends.
func (m monitors) Ensure(ctx context.Context, dat mgmtdata.Server) error {
	for {
		err := m.ensure(ctx, dat)
		if err == nil {
			return nil
		}
		if m.Clock.Sleep(ctx, retry) != nil {
			return fmt.Errorf("cannot start the monitor of %s: %w", dat.Host, err)
		}
	}
}

func (m monitors) ensure(ctx context.Context, dat mgmtdata.Server) error {
	running, err := m.Running(dat.Host)
	if err != nil || running {
		return err
	}
	if !m.Listening(m.Dirs.SifSocket(dat.Host)) {
		if err := m.StartSpareSif(ctx, dat.Host, 0); err != nil {
			return err
		}
	}
	_, err = m.Sif(dat.Host, "pss").Call(ctx, ipc.Request{Verb: ipc.SpareStart, Host: dat.Host, Dat: &dat})
	return err
}

// Stop implements ops.Monitors.
func (m monitors) Stop(ctx context.Context, host string) error {
	if m.Listening(m.Dirs.SifSocket(host)) {
		_, err := m.Sif(host, "pss").Call(ctx, ipc.Request{Verb: ipc.SpareStop, Host: host})
		return err
	}
	return m.End(ctx, host)
}

// Running implements ops.Monitors.
func (m monitors) Running(host string) (bool, error) { return m.Monitored(host) }
