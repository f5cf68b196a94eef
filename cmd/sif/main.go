// Command sif is the system interface between one master and the seven PSS
// files (paper, section 3.3). It is started by dbss, dsrs and pss, never by hand.
package main

import (
	"context"
	"os"

	"github.com/rs/zerolog"

	"pss-msbs/pkg/clock"
	"pss-msbs/pkg/conffile"
	"pss-msbs/pkg/daemon"
	"pss-msbs/pkg/ipc"
	"pss-msbs/pkg/mgmtdata"
	"pss-msbs/pkg/settings"
	"pss-msbs/pkg/sif"
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

func main() {
	daemon.Main("sif", func(ctx context.Context) error {
		var c command
		if _, err := daemon.Parse("sif", description, &c, os.Args[1:]); err != nil {
			return err
		}
		return c.run(ctx)
	})
}

func (c *command) run(ctx context.Context) error {
	if err := c.Prepare(); err != nil {
		return err
	}
	clk, err := clock.Load(c.Dirs.Run)
	if err != nil {
		return err
	}
	set, setErr := settings.Read(c.Settings())
	if setErr != nil {
		set = settings.Default() // a typo never stops a takeover
	}
	log, logFile, err := daemon.NewLogger(c.Dirs, "sif", c.Target, set.LogFormat, clk)
	if err != nil {
		return err
	}
	defer logFile.Close()
	if setErr != nil {
		log.Error().Err(setErr).Msg("alarm: settings.toml cannot be used, going on with the defaults")
	}
	ctx, cancel := daemon.WithLife(ctx, c.LifeFD)
	defer cancel()
	opt, err := c.options(set, clk, log)
	if err != nil {
		return err
	}
	l, err := daemon.Listen(c.SifSocket(c.Target))
	if err != nil {
		return err
	}
	if err := daemon.Ready(c.ReadyFD); err != nil {
		return err
	}
	return sif.New(opt).Serve(ctx, l)
}

func (c *command) options(set settings.Settings, clk clock.Clock, log zerolog.Logger) (sif.Options, error) {
	opt := sif.Options{
		Files:      conffile.Open(c.Conf, conffile.Options{Clock: clk, Wait: set.Lock.Wait.D(), Holder: "sif " + c.Target}),
		DatDir:     c.Conf,
		Management: set.Management.IP,
		Failed:     ipc.Failed{Dir: c.Dirs.Run},
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
