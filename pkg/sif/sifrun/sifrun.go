// Package sifrun is a running sif: what its server works on.
package sifrun

import (
	"context"

	"pss-msbs/pkg/conffile"
	"pss-msbs/pkg/daemon"
	"pss-msbs/pkg/mgmtdata"
	"pss-msbs/pkg/sif"
	"pss-msbs/pkg/startup"
)

const description = `sif reads and edits the seven PSS files for one dbss or dsrs, and runs the dbss of a spare for pss.

It is started by dbss, dsrs and pss, never by hand.`

type command struct {
	daemon.Dirs
	Target  string `required:"" help:"The server whose monitor asks." placeholder:"NAME"`
	ReadyFD int    `name:"ready-fd" help:"Descriptor to write a line to when it listens." placeholder:"N"`
	LifeFD  int    `name:"life-fd" help:"Descriptor whose end of file is the end of the master." placeholder:"N"`
	Spare   bool   `help:"Run the dbss of the target too, at the request of pss."`
	Adopt   int    `help:"With --spare: the pid of the dbss that runs already." placeholder:"PID"`
}

// Place is where a sif runs.
type Place struct {
	Start startup.Starter
	Files conffile.Opener
}

// Real is the place of real processes.
var Real = Place{Start: startup.StartAnyhow, Files: conffile.Open} // a typo never stops a takeover

// Main is sif with these arguments.
func Main(ctx context.Context, args []string, at Place) error {
	var c command
	if _, err := daemon.Parse("sif", description, &c, args); err != nil {
		return err
	}
	base, err := at.Start(daemon.OS{Dirs: c.Dirs, ReadyFD: c.ReadyFD}, "sif", c.Target)
	if err != nil {
		return err
	}
	defer base.Close()
	ctx, cancel := daemon.WithLife(ctx, c.LifeFD)
	defer cancel()
	opt, err := c.options(base, at.Files)
	if err != nil {
		return err
	}
	l, err := base.Listen(base.Dirs.SifSocket(c.Target))
	if err != nil {
		return err
	}
	if err := base.Ready(); err != nil {
		return err
	}
	return sif.New(opt).Serve(ctx, l)
}

// options wires sif to the files, the monitor locks and, for a spare, its dbss.
func (c *command) options(base *startup.Base, open conffile.Opener) (sif.Options, error) {
	set := base.Settings
	opt := sif.Options{
		Files:      open(base.Dirs.Conf, conffile.Options{Clock: base.Clock, Wait: set.Lock.Wait.D(), Holder: "sif " + c.Target}),
		DatDir:     base.Dirs.Conf,
		Dats:       base.Dats,
		Management: set.Management.IP,
		Failed:     base.Failed(),
		Moving:     base.Moves(),
		Clock:      base.Clock,
		Hold:       set.Lock.Hold.D(),
		Log:        base.Log,
		Monitored:  base.Monitored,
	}
	if !c.Spare {
		return opt, nil
	}
	opt.Spare = &sif.Spare{Clock: base.Clock, Log: base.Log, Start: func(ctx context.Context, dat mgmtdata.Server) (sif.Monitor, error) {
		return base.StartSpareMonitor(ctx, dat)
	}}
	return opt, c.adopt(base, opt.Spare)
}

// adopt hands the dbss that runs already to the supervision.
func (c *command) adopt(base *startup.Base, s *sif.Spare) error {
	if c.Adopt == 0 {
		return nil
	}
	dat, err := mgmtdata.ReadServer(base.Dirs.SpareDat(c.Target))
	if err != nil {
		return err
	}
	s.Dat = &dat
	s.Adopted, err = base.Adopt(c.Target, c.Adopt)
	return err
}
