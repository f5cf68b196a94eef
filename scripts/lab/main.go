// Command lab is the paper's whole system on one machine, with real parts:
// three real servers and a management server, each a network namespace with a
// libvirtd of its own, QEMU guests with real services, HAProxy and a client.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
)

type command struct {
	Dir string `default:"/var/lib/pss-msbs-lab" help:"Everything the lab writes, but for cached images."`

	Up     upCmd     `cmd:"" help:"Build the lab, start the programs, and return."`
	Room   roomCmd   `cmd:"" hidden:"" help:"The process that is the lab."`
	Power  powerCmd  `cmd:"" help:"Switch a real server's power: suspend, wake, off, restart, freeze, thaw, partition, heal."`
	Status statusCmd `cmd:"" help:"Real servers and what pss says of the system."`
	Run    runCmd    `cmd:"" help:"Run a command on the management server."`
	Fault  faultCmd  `cmd:"" help:"Make something go wrong: KIND with M1, M1:postfix or RS1; loss 5% management (0% heals); busy 2 (0 ends)."`
	Load   loadCmd   `cmd:"" help:"Fill the memory of a group's servers to a percentage."`
	Greet  greetCmd  `cmd:"" help:"Ask every service once through the load balancer, and print what it says."`
	Await  awaitCmd  `cmd:"" hidden:"" help:"Wait until a server's daemons answer."`
	Client clientCmd `cmd:"" help:"Ask every group through the load balancer, and count what is late or fails."`
	Watch  watchCmd  `cmd:"" help:"Watch the switch until interrupted: whoever holds one VIP beside another, and how regularly servers are pinged."`
	Down   downCmd   `cmd:"" help:"End the lab; only logs remain."`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	var c command
	k := kong.Parse(&c, kong.Name("lab"), kong.UsageOnError())
	k.BindTo(ctx, (*context.Context)(nil))
	if err := k.Run(&c); err != nil {
		fmt.Fprintln(os.Stderr, "lab:", err)
		stop()
		os.Exit(1)
	}
}
