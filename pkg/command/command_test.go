package command

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestOutput(t *testing.T) {
	out, errs, err := Output(t.Context(), []string{"sh", "-c", "echo out; echo err >&2; exit 3"})
	var exit *exec.ExitError
	if string(out) != "out\n" || string(errs) != "err\n" || !errors.As(err, &exit) || exit.ExitCode() != 3 {
		t.Errorf("%q, %q, %v", out, errs, err)
	}
	if _, _, err := Output(t.Context(), []string{"/nosuchcommand"}); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

// A command that prints without end costs no memory without end, and ends with
// its context.
func TestEndlessOutput(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	out, errs, err := Output(ctx, []string{"sh", "-c", "cat /dev/zero & exec cat /dev/zero >&2"})
	if len(out) > maxOutput || len(errs) > maxOutput || err == nil {
		t.Errorf("%d and %d bytes, %v", len(out), len(errs), err)
	}
	if _, _, err := Output(t.Context(), []string{"head", "-c", "2000000", "/dev/zero"}); err == nil || !strings.Contains(err.Error(), "more than") {
		t.Errorf("half an output: %v", err)
	}
}

// No argument is ever split, joined or expanded.
func TestArgumentsStayApart(t *testing.T) {
	out, _, err := Output(t.Context(), []string{"printf", "%s|", "a b", "it's", "$(reboot)", "*", ""})
	if want := "a b|it's|$(reboot)|*||"; string(out) != want || err != nil {
		t.Errorf("%q, %v; want %q", out, err, want)
	}
}

// running reports whether a process lives; one that nobody has waited for does not.
func running(pid int) bool {
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	_, state, _ := strings.Cut(string(stat), ") ")
	return err == nil && !strings.HasPrefix(state, "Z")
}

// A script that waits for another command is given up with it.
func TestGivenUpWithItsChildren(t *testing.T) {
	note := filepath.Join(t.TempDir(), "pid")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		_, _, err := Output(ctx, []string{"sh", "-c", `sleep 600 & echo $! > "$0.new"; mv "$0.new" "$0"; wait`, note})
		ended <- err
	}()
	var child int
	for child == 0 {
		b, err := os.ReadFile(note)
		switch {
		case err == nil:
			child, err = strconv.Atoi(strings.TrimSpace(string(b)))
			if err != nil {
				t.Fatal(err)
			}
		case !errors.Is(err, os.ErrNotExist):
			t.Fatal(err)
		default:
			time.Sleep(time.Millisecond)
		}
	}
	cancel()
	began := time.Now()
	if err := <-ended; err == nil {
		t.Error("a command that was given up did well")
	}
	if took := time.Since(began); took > linger/2 {
		t.Errorf("its end took %v: somebody kept its output open", took)
	}
	for end := time.Now().Add(5 * time.Second); running(child); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			_ = syscall.Kill(child, syscall.SIGKILL)
			t.Fatal("its child lives on")
		}
	}
}

// ssh may leave a process behind that shares a connection.
func TestLeavesSomethingBehind(t *testing.T) {
	out, _, err := Output(t.Context(), []string{"sh", "-c", "echo $$; sleep 30 & exit 0"})
	if err != nil {
		t.Error(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(out)))
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(-pid, syscall.SIGKILL); err != nil {
		t.Errorf("what was left behind is gone: %v", err)
	}
}

func TestExpand(t *testing.T) {
	template := []string{"ssh", "root@{ip}", "{ip}{ip}", "{host}"}
	got := Expand(template, "{ip}", "fd14::1")
	if want := []string{"ssh", "root@fd14::1", "fd14::1fd14::1", "{host}"}; !slices.Equal(got, want) || template[1] != "root@{ip}" {
		t.Errorf("%q of %q", got, template)
	}
}
