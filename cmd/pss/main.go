// Command pss is the power-saving server system and its tools (SPEC 2).
package main

import (
	"context"
	"os"

	"github.com/alecthomas/kong"

	"pss-msbs/pkg/daemon"
	"pss-msbs/pkg/sim/simcmd"
)

const description = `pss measures the virtual servers, gathers them on few real servers while the load is light, and
lets the others sleep.`

type command struct {
	daemon.Dirs

	Run    runCmd       `cmd:"" help:"Run the power-saving server system until SIGTERM."`
	Check  checkCmd     `cmd:"" help:"Read every file and print each fault as FILE:LINE: message."`
	Plan   planCmd      `cmd:"" help:"Print what a shift would do, in order, without touching anything."`
	Status statusCmd    `cmd:"" help:"Show groups, loads, VIPs, real servers, recoveries and missing monitors."`
	Replay replayCmd    `cmd:"" help:"Decide over a recorded trace: loads, classes, shifts, watt-hours."`
	Edit   editCmd      `cmd:"" help:"Edit one of the seven files safely ($EDITOR on a copy, check, install)."`
	Fleet  simcmd.Fleet `cmd:"" help:"The emulated fleet and its controls."`
	Stop   stopCmd      `cmd:"" help:"End the running pss."`
}

func main() {
	daemon.Main("pss", func(ctx context.Context) error {
		var c command
		k, err := daemon.Parse("pss", description, &c, os.Args[1:], kong.Vars(simcmd.Vars()))
		if err != nil {
			return err
		}
		k.BindTo(ctx, (*context.Context)(nil))
		return k.Run(c.Dirs, simcmd.Env{Dirs: c.Dirs, Out: os.Stdout})
	})
}

type stopCmd struct{}

// Run asks the running pss to end, and waits until it has.
func (stopCmd) Run(ctx context.Context, d daemon.Dirs) error {
	if err := d.Prepare(); err != nil {
		return err
	}
	return daemon.Stop(ctx, d, "pss", "")
}
