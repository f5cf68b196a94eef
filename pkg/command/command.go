// Package command runs the command templates of the settings: argument lists,
// never a shell's text. A command that its caller gives up takes everything
// that it started with it, since a template may be a script around ssh.
package command

import (
	"bytes"
	"context"
	"errors"
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
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err = cmd.Run(); errors.Is(err, exec.ErrWaitDelay) {
		err = nil
	}
	return out.Bytes(), errs.Bytes(), err
}

// Expand replaces words such as {ip} in every argument of a template.
func Expand(argv []string, oldnew ...string) []string {
	r := strings.NewReplacer(oldnew...)
	out := make([]string, len(argv))
	for i, a := range argv {
		out[i] = r.Replace(a)
	}
	return out
}
