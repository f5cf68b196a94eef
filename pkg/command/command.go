// Package command runs the command templates of the settings: argument lists,
// never a shell's text. A command that its caller gives up takes everything
// that it started with it, since a template may be a script around ssh.
package command

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// linger is how long the output of a command that has ended is waited for:
// what it left behind may keep its pipes open.
const linger = time.Second

// New is argv, not started yet, in a process group of its own that dies with ctx.
func New(ctx context.Context, argv []string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = linger
	return cmd
}

// Output runs argv and returns what it printed. A command that ended well and
// left something in the background is no failure.
func Output(ctx context.Context, argv []string) (stdout, stderr []byte, err error) {
	cmd := New(ctx, argv)
	out, errs := Limited{Max: maxOutput}, Limited{Max: maxOutput}
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err = cmd.Run(); errors.Is(err, exec.ErrWaitDelay) {
		err = nil
	}
	if err == nil && out.more {
		err = fmt.Errorf("it prints more than %d bytes", maxOutput)
	}
	return out.Bytes(), errs.Bytes(), err
}

// maxOutput bounds what is kept of what a command prints, in bytes: it runs
// where we do not know what else runs.
const maxOutput = 1 << 20

// Limited keeps the first Max bytes that are written to it and drops the others.
type Limited struct {
	Max  int
	b    []byte
	more bool // something was dropped
}

// Write implements io.Writer; it takes everything.
func (l *Limited) Write(p []byte) (int, error) {
	room := min(len(p), l.Max-len(l.b))
	l.b = append(l.b, p[:room]...)
	l.more = l.more || room < len(p)
	return len(p), nil
}

// Bytes are what was kept.
func (l *Limited) Bytes() []byte { return l.b }

// Expand replaces words such as {ip} in every argument of a template.
func Expand(argv []string, oldnew ...string) []string {
	r := strings.NewReplacer(oldnew...)
	out := make([]string, len(argv))
	for i, a := range argv {
		out[i] = r.Replace(a)
	}
	return out
}
