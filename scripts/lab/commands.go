package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"time"

	"pss-msbs/pkg/lab"
	"pss-msbs/pkg/probe"
)

type powerCmd struct {
	Verb string `arg:"" help:"What to do."`
	Host string `arg:"" help:"Name or address of a real server."`
}

func (p powerCmd) Run(ctx context.Context, c *command) error {
	_, err := lab.Power(ctx, c.Dir, p.Verb, p.Host)
	return err
}

type statusCmd struct{}

func (statusCmd) Run(ctx context.Context, c *command) error {
	text, err := lab.Power(ctx, c.Dir, "status", "")
	if err != nil {
		return err
	}
	fmt.Print(text)
	return runCmd{Args: []string{"pss", "status"}}.Run(ctx, c)
}

// runCmd runs a command where the programs run; the four of them by their
// names alone, on the lab's directories.
type runCmd struct {
	Args []string `arg:"" passthrough:"" help:"The command."`
}

func (r runCmd) Run(ctx context.Context, c *command) error {
	l, err := lab.Attach(c.Dir)
	if err != nil {
		return err
	}
	argv := l.OnManagement(r.Args)
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	return cmd.Run()
}

type faultCmd struct {
	Kind   string `arg:"" help:"service-stop, service-freeze, vm-restart, vm-shutdown, vm-crash, network-cut, rs-restart, rs-shutdown, rs-freeze, partition."`
	Target string `arg:""`
}

func (f faultCmd) Run(ctx context.Context, c *command) error {
	return lab.Fault(ctx, c.Dir, f.Kind, f.Target)
}

type loadCmd struct {
	Group   string `arg:""`
	Percent int    `arg:""`
}

func (l loadCmd) Run(ctx context.Context, c *command) error {
	return lab.Load(ctx, c.Dir, l.Group, l.Percent)
}

// clientCmd runs in the client's network namespace, where it goes first.
type clientCmd struct {
	Rate   int           `default:"10" help:"Questions a second to each group."`
	For    time.Duration `help:"How long; 0: until interrupted."`
	Inside bool          `hidden:""`
}

func (cl clientCmd) Run(ctx context.Context, c *command) error {
	if !cl.Inside {
		l, err := lab.Attach(c.Dir)
		if err != nil {
			return err
		}
		argv := append([]string{"netns", "exec", l.Namespace("client")}, os.Args...)
		cmd := exec.Command("ip", append(argv, "--inside")...) // an interrupt reaches it as it reaches us
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		return cmd.Run()
	}
	if cl.For > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, cl.For)
		defer cancel()
	}
	for _, t := range (lab.Client{Rate: cl.Rate, Greet: probe.Prober{}.Greet, Log: os.Stdout}).Run(ctx) {
		fmt.Printf("%-5s %d asked, %d failed, %d late, longest %.2f s\n", t.Group, t.Asked, t.Failed, t.Late, t.Longest.Seconds())
	}
	return nil
}

type downCmd struct{}

func (downCmd) Run(ctx context.Context, c *command) error { return lab.Clear(ctx, c.Dir) }
