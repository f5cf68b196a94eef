package guest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"time"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/command"
)

// SSH reaches guests by a command, for those without an agent.
type SSH struct {
	Command []string // argument list; {ip} is the guest's own address, the guest's command is appended
}

// sshFailed is ssh's own exit code; any other is the remote command's.
const sshFailed = 255

// Start runs argv in g. The remote side of ssh is a shell whatever one does, so
// every argument goes there quoted.
func (s SSH) Start(ctx context.Context, g cluster.Guest, argv []string, limit time.Duration) (Wait, error) {
	args := append(command.Expand(s.Command, "{ip}", g.IP.String()), "env")
	for _, a := range slices.Concat(environment, bounded(argv, limit)) {
		args = append(args, quote(a))
	}
	type result struct {
		out []byte
		err error
	}
	ended := make(chan result, 1)
	go func() {
		out, errs, err := command.Output(ctx, args)
		ended <- result{out, sshError(ctx, g, argv, err, errs)}
	}()
	return func(ctx context.Context) ([]byte, error) {
		select {
		case r := <-ended:
			return r.out, r.err
		case <-ctx.Done():
			return nil, sshError(ctx, g, argv, ctx.Err(), nil)
		}
	}, nil
}

// sshError tells a guest that ssh does not reach, or that does not answer in
// time, from a command that failed there.
func sshError(ctx context.Context, g cluster.Guest, argv []string, err error, stderr []byte) error {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return givenUp(ctx, g, argv)
	case !errors.As(err, &exit):
		return fmt.Errorf("cannot run %s in %s: %v", argv[0], g.Host, err)
	case exit.ExitCode() == sshFailed || exit.ExitCode() < 0: // also of a connection that was lost
		return cluster.Unknown(fmt.Errorf("cannot run %s in %s: %s: %w", argv[0], g.Host, bytes.TrimSpace(stderr), cluster.ErrAgentSilent))
	}
	return commandError(g, argv, exit.ExitCode(), 0, stderr)
}

// quote makes one word of s for a POSIX shell.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// SetClock sets the clock of g to now, to the second.
func (s SSH) SetClock(ctx context.Context, g cluster.Guest, now func() time.Time) error {
	_, err := run(ctx, s, g, []string{"date", "-u", "-s", fmt.Sprintf("@%d", now().Unix())}, left(ctx))
	return err
}
