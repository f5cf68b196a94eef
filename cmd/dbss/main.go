// Command dbss monitors one virtual server and lets its backup stand in for it
// (paper, Fig. 9(a)).
package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"pss-msbs/pkg/daemon"
	"pss-msbs/pkg/mgmtdata"
)

const description = `dbss monitors the virtual server that M1.dat describes (8 lines: VIP, host, IP, group, daemons,
backup host, backup IP, real server), lets its backup take over when it fails, and brings it back.`

type command struct {
	daemon.Dirs
	Dat       string `arg:"" optional:"" help:"Management data of the virtual server." placeholder:"M1.dat"`
	Check     bool   `help:"Parse and print the data; exit 0 or 2."`
	Stop      string `help:"End the running dbss of this virtual server." placeholder:"NAME"`
	ReadyFD   int    `name:"ready-fd" hidden:"" help:"Descriptor to write a line to when it monitors."`
	LockFD    int    `name:"lock-fd" hidden:"" help:"Descriptor that carries the monitor lock, from dsrs."`
	Companion string `hidden:"" help:"Socket of the sif to use instead of one of its own."`
}

func main() {
	daemon.Main("dbss", func(ctx context.Context) error {
		var c command
		if _, err := daemon.Parse("dbss", description, &c, os.Args[1:]); err != nil {
			return err
		}
		return c.run(ctx)
	})
}

func (c *command) run(ctx context.Context) error {
	switch {
	case c.Stop != "":
		if err := c.Prepare(); err != nil {
			return err
		}
		return daemon.Stop(ctx, c.Dirs, "dbss", c.Stop)
	case c.Dat == "":
		return daemon.Usage(errors.New("cannot start: want the management data, M1.dat"))
	}
	target, err := mgmtdata.ReadServer(c.FindDat(c.Dat))
	if err != nil {
		return daemon.Invalid(err)
	}
	if c.Check {
		fmt.Print(string(mgmtdata.FormatServer(target)))
		return nil
	}
	return c.monitor(ctx, target)
}
