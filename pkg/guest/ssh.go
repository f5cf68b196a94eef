package guest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"pss-msbs/pkg/cluster"
)

// SSH reaches guests by a command, for those without an agent.
type SSH struct {
	Command []string // argument list; {ip} is the guest's own address, the guest's command is appended
}

// sshFailed is ssh's own exit code; any other is the remote command's.
const sshFailed = 255

// Start runs argv in g. The remote side of ssh is a shell whatever one does, so
// every argument goes there quoted.
func (s SSH) Start(ctx context.Context, g cluster.Guest, argv []string) (Wait, error) {
	args := Expand(s.Command, "{ip}", g.IP.String())
	args = append(args, "env", "LC_ALL=C")
	for _, a := range argv {
		args = append(args, quote(a))
	}
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	cmd.WaitDelay = time.Second
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("cannot run %s: %v", args[0], err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	return func(ctx context.Context) ([]byte, error) {
		select {
		case err := <-ended:
			return out.Bytes(), sshError(g, argv, err, errs.Bytes())
		case <-ctx.Done():
			return nil, fmt.Errorf("cannot run %s in %s: %w", argv[0], g.Host, ctx.Err())
		}
	}, nil
}

func sshError(g cluster.Guest, argv []string, err error, stderr []byte) error {
	var exit *exec.ExitError
	if err == nil {
		return nil
	}
	if !errors.As(err, &exit) {
		return fmt.Errorf("cannot run %s in %s: %v", argv[0], g.Host, err)
	}
	if exit.ExitCode() == sshFailed || exit.ExitCode() < 0 {
		return fmt.Errorf("cannot run %s in %s: %s: %w", argv[0], g.Host, bytes.TrimSpace(stderr), cluster.ErrAgentSilent)
	}
	return commandError(g, argv, exit.ExitCode(), 0, stderr)
}

// quote makes one word of s for a POSIX shell.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// SetClock sets the clock of g to now, to the second.
func (s SSH) SetClock(ctx context.Context, g cluster.Guest, now func() time.Time) error {
	_, err := run(ctx, s, g, []string{"date", "-u", "-s", fmt.Sprintf("@%d", now().Unix())})
	return err
}
