package main

import (
	"context"

	"github.com/rs/zerolog"

	"pss-msbs/pkg/clock"
	"pss-msbs/pkg/conffile"
	"pss-msbs/pkg/daemon"
	"pss-msbs/pkg/ipc"
	"pss-msbs/pkg/mgmtdata"
	"pss-msbs/pkg/settings"
	"pss-msbs/pkg/sif"
)

// options wires sif to the files, the monitor locks and, for a spare, its dbss.
func (c *command) options(set settings.Settings, clk clock.Clock, log zerolog.Logger) (sif.Options, error) {
	opt := sif.Options{
		Files:      conffile.Open(c.Conf, conffile.Options{Clock: clk, Wait: set.Lock.Wait.D(), Holder: "sif " + c.Target}),
		DatDir:     c.Conf,
		Management: set.Management.IP,
		Failed:     ipc.Failed{Dir: c.Dirs.Run},
		Moving:     c.Dirs.Moves(),
		Clock:      clk,
		Hold:       set.Lock.Hold.D(),
		Log:        log,
		Monitored: func(host string) (bool, error) {
			_, held, err := daemon.MonitorHolder(c.Dirs.Run, host)
			return held, err
		},
	}
	if !c.Spare {
		return opt, nil
	}
	opt.Spare = &sif.Spare{Clock: clk, Log: log, Start: func(ctx context.Context, dat mgmtdata.Server) (sif.Monitor, error) {
		return daemon.StartSpareMonitor(ctx, c.Dirs, dat)
	}}
	return opt, c.adopt(opt.Spare)
}

// adopt hands the dbss that runs already to the supervision.
func (c *command) adopt(s *sif.Spare) error {
	if c.Adopt == 0 {
		return nil
	}
	dat, err := mgmtdata.ReadServer(c.SpareDat(c.Target))
	if err != nil {
		return err
	}
	p, err := daemon.AdoptMonitor(c.Dirs, c.Target, c.Adopt)
	if err != nil {
		return err
	}
	s.Adopted, s.Dat = p, &dat
	return nil
}
