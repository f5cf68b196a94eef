// Command sif is the system interface between one master and the seven PSS
// files (paper, section 3.3). It is started by dbss, dsrs and pss, never by hand.
package main

import (
	"context"
	"os"

	"pss-msbs/pkg/daemon"
	"pss-msbs/pkg/settings"
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
	set, setErr := settings.Read(c.Settings())
	if setErr != nil {
		set = settings.Default() // a typo never stops a takeover
		set.Fleet.Driver = ""
	}
	clk, err := startup.Clock(c.Dirs, set)
	if err != nil {
		return err
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
