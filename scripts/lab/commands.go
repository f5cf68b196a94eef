package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"

	"pss-msbs/pkg/lab"
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

type downCmd struct{}

func (downCmd) Run(ctx context.Context, c *command) error { return lab.Clear(ctx, c.Dir) }
