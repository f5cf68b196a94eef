//go:build lab && libvirt_dlopen

package lab

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"
)

// inLab names the lab's directory to the process that runs the tests, which is
// in the management server's network namespace.
const inLab = "PSS_LAB_DIR"

// TestMain builds the lab, runs the tests in a child process inside it, and
// clears it away whatever became of that child.
func TestMain(m *testing.M) {
	flag.Parse()
	if os.Getenv(inLab) != "" {
		os.Exit(m.Run())
	}
	if err := supervise(); err != nil {
		fmt.Fprintln(os.Stderr, "test-lab FAILED:", err)
		os.Exit(1)
	}
}

func supervise() (err error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := prepare(ctx); err != nil {
		return fmt.Errorf("cannot run, so NOTHING WAS TESTED: %w", err)
	}
	dir, err := os.MkdirTemp("", "pss-lab-")
	if err != nil {
		return err
	}
	l, err := Up(ctx, Small(), dir)
	if err != nil {
		return fmt.Errorf("%w (its files are in %s)", err, dir)
	}
	defer func() {
		if derr := l.Down(context.Background()); err == nil {
			err = derr
		}
		if err == nil {
			err = os.RemoveAll(dir)
		} else {
			err = fmt.Errorf("%w (its files are in %s)", err, dir)
		}
	}()
	self, err := os.Executable()
	if err != nil {
		return err
	}
	return runTests(ctx, l, filepath.Clean(self))
}

// prepare installs the packages that the lab is made of, where they are missing.
func prepare(ctx context.Context) error {
	if Ready() != nil && os.Geteuid() == 0 {
		cmd := exec.CommandContext(ctx, "../../scripts/lab-deps.sh")
		cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("cannot install packages: %v", err)
		}
	}
	return Ready()
}

func runTests(ctx context.Context, l *Lab, self string) error {
	argv := append([]string{"netns", "exec", l.Namespace("mgmt"), self}, os.Args[1:]...)
	cmd := exec.CommandContext(ctx, "ip", argv...)
	cmd.Env = append(os.Environ(), inLab+"="+l.dir)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	return cmd.Run()
}
