package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strconv"
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
	Kind string   `arg:"" help:"service-stop, service-freeze, vm-restart, vm-shutdown, vm-crash, vm-hold, vm-release, network-cut, rs-restart, rs-shutdown, rs-freeze, partition, loss, busy."`
	What []string `arg:"" help:"M1, M1:postfix or RS1; loss: 5% management; busy: how many processors."`
}

func (f faultCmd) Run(ctx context.Context, c *command) error {
	switch {
	case f.Kind == "loss" && len(f.What) == 2:
		return lab.Lose(ctx, c.Dir, f.What[0], f.What[1])
	case f.Kind == "busy" && len(f.What) == 1:
		n, err := strconv.Atoi(f.What[0])
		if err != nil {
			return fmt.Errorf("cannot keep %q processors busy: not a number", f.What[0])
		}
		return lab.Busy(ctx, c.Dir, n)
	case f.Kind != "loss" && len(f.What) == 1:
		return lab.Fault(ctx, c.Dir, f.Kind, f.What[0])
	}
	return fmt.Errorf("cannot cause %s of %q: see --help", f.Kind, f.What)
}

type loadCmd struct {
	Group   string `arg:""`
	Percent int    `arg:""`
}

func (l loadCmd) Run(ctx context.Context, c *command) error {
	return lab.Load(ctx, c.Dir, l.Group, l.Percent)
}

// inside runs this command again in a network namespace of the lab, with what
// tells it that it is there; behind the words of a prefix.
func inside(dir, namespace string, prefix ...string) error {
	l, err := lab.Attach(dir)
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	argv := slices.Concat([]string{"netns", "exec", l.Namespace(namespace)}, prefix, []string{self}, os.Args[1:])
	cmd := exec.Command("ip", append(argv, "--inside")...) // an interrupt reaches it as it reaches us
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	return cmd.Run()
}

// greetCmd runs in the client's network namespace, where it goes first.
type greetCmd struct {
	Inside bool `hidden:""`
}

func (g greetCmd) Run(ctx context.Context, c *command) error {
	if !g.Inside {
		return inside(c.Dir, "client")
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	text, err := lab.Greetings(ctx)
	fmt.Print(text)
	return err
}

// awaitCmd runs in the management server's network namespace: it waits until a
// server's daemons answer.
type awaitCmd struct {
	IP      netip.Addr `arg:""`
	Daemons []string   `arg:""`
	For     time.Duration
}

func (a awaitCmd) Run(ctx context.Context, _ *command) error {
	ctx, cancel := context.WithTimeout(ctx, a.For)
	defer cancel()
	for _, d := range a.Daemons {
		for {
			err := probe.Prober{}.Greet(ctx, a.IP, d)
			if err == nil {
				break
			}
			select {
			case <-ctx.Done():
				return err
			case <-time.After(200 * time.Millisecond):
			}
		}
	}
	return nil
}

// clientCmd runs in the client's network namespace, where it goes first.
type clientCmd struct {
	Rate   int           `default:"10" help:"Questions a second to each group."`
	For    time.Duration `help:"How long; 0: until interrupted."`
	Inside bool          `hidden:""`
}

func (cl clientCmd) Run(ctx context.Context, c *command) error {
	if !cl.Inside {
		return inside(c.Dir, "client", "nice", "-n", strconv.Itoa(lab.ClientNice))
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

// watchCmd runs in the switch's network namespace, where it goes first.
type watchCmd struct {
	Inside bool `hidden:""`
}

func (w watchCmd) Run(ctx context.Context, c *command) error {
	if !w.Inside {
		return inside(c.Dir, "switch")
	}
	seen, err := lab.Watch(ctx)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(seen)
}

type downCmd struct{}

func (downCmd) Run(ctx context.Context, c *command) error { return lab.Clear(ctx, c.Dir) }
