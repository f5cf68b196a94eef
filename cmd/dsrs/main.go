// Command dsrs monitors one real server and brings it and its virtual servers
// back (paper, Fig. 9(b)).
package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"pss-msbs/pkg/daemon"
	"pss-msbs/pkg/mgmtdata"
)

const description = `dsrs monitors the real server that RS.dat describes (4 lines: IP, host, MAC, virtual servers),
wakes it when it is down, and gives its virtual servers their VIPs back.`

type command struct {
	daemon.Dirs
	Dat     string `arg:"" optional:"" help:"Management data of the real server." placeholder:"RS.dat"`
	Check   bool   `help:"Parse and print the data; exit 0 or 2."`
	Stop    string `help:"End the running dsrs of this real server." placeholder:"NAME"`
	ReadyFD int    `name:"ready-fd" hidden:"" help:"Descriptor to write a line to when it monitors."`
}

func main() {
	daemon.Main("dsrs", func(ctx context.Context) error {
		var c command
		if _, err := daemon.Parse("dsrs", description, &c, os.Args[1:]); err != nil {
			return err
		}
		return c.run(ctx)
	})
}

func (c *command) run(ctx context.Context) error {
	switch {
	case c.Stop != "":
		return c.stop(ctx)
	case c.Dat == "":
		return daemon.Usage(errors.New("cannot start: want the management data, RS.dat"))
	}
	data, err := mgmtdata.ReadReal(c.FindDat(c.Dat))
	if err != nil {
		return daemon.Invalid(err)
	}
	if c.Check {
		fmt.Print(string(mgmtdata.FormatReal(data)))
		return nil
	}
	return c.monitor(ctx, data)
}

func (c *command) stop(ctx context.Context) error {
	if err := c.Prepare(); err != nil {
		return err
	}
	return daemon.Stop(ctx, c.Dirs, "dsrs", c.Stop)
}
