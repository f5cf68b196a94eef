package budget

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
)

func newResets(dir string) Resets {
	return Resets{Dir: dir, Limit: 3, Window: 10 * time.Minute, Pause: 2 * time.Minute}
}

// TestMain lets this test binary be one of several programs that reset servers.
func TestMain(m *testing.M) {
	if dir := os.Getenv("BUDGET_TEST_DIR"); dir != "" {
		os.Exit(compete(dir, os.Getenv("BUDGET_TEST_GROUP")))
	}
	os.Exit(m.Run())
}

// compete asks for permits, each for another server, as fast as it can, and
// prints a line for each that it is given.
func compete(dir, group string) int {
	var start [1]byte
	_, _ = os.Stdin.Read(start[:]) // all begin together
	for i := range 20 {
		g := group
		if g == "" {
			g = fmt.Sprintf("G%d-%d", os.Getpid(), i)
		}
		target := fmt.Sprintf("S%d-%d", os.Getpid(), i)
		due, err := newResets(dir).Permit(context.Background(), target, g)
		switch {
		case err != nil:
			fmt.Println("error:", err)
		case due.IsZero():
			fmt.Println("permit")
		}
	}
	return 0
}

// Processes that compete for permits get so many together as one alone.
func TestProcessesCompete(t *testing.T) {
	for name, c := range map[string]struct {
		group string
		want  int
	}{
		"each a group of its own": {"", 3},
		"all of one group":        {"Mail", 1},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			outs := make([]*strings.Builder, 2)
			var all []*exec.Cmd
			hold, start, err := os.Pipe()
			must(t, err)
			defer hold.Close()
			for i := range outs {
				outs[i] = &strings.Builder{}
				cmd := exec.Command(os.Args[0])
				cmd.Env = append(os.Environ(), "BUDGET_TEST_DIR="+dir, "BUDGET_TEST_GROUP="+c.group)
				cmd.Stdin, cmd.Stdout, cmd.Stderr = hold, outs[i], outs[i]
				must(t, cmd.Start())
				all = append(all, cmd)
			}
			must(t, start.Close()) // end of file for both
			said := ""
			for i, cmd := range all {
				must(t, cmd.Wait())
				said += outs[i].String()
			}
			if n := strings.Count(said, "permit\n"); n != c.want || strings.Contains(said, "error") {
				t.Errorf("%d permits, want %d:\n%s", n, c.want, said)
			}
		})
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// ask is one Permit; due is how long it is to wait.
func ask(t *testing.T, r Resets, target, group string) time.Duration {
	t.Helper()
	due, err := r.Permit(t.Context(), target, group)
	must(t, err)
	if due.IsZero() {
		return 0
	}
	return r.Clock.Now().Sub(due).Abs()
}

func TestResetsWithinWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newResets(t.TempDir())
		if left, _, err := r.Left(); left != 3 || err != nil {
			t.Errorf("%d left, %v", left, err)
		}
		for i, target := range []string{"M1", "W1", "F1"} {
			if wait := ask(t, r, target, target); wait != 0 {
				t.Fatalf("reset %d waits %v", i, wait)
			}
			time.Sleep(time.Minute)
		}
		if wait := ask(t, r, "X1", "X"); wait != 7*time.Minute {
			t.Errorf("the fourth waits %v, want 7m", wait)
		}
		if left, due, err := r.Left(); left != 0 || time.Until(due) != 7*time.Minute || err != nil {
			t.Errorf("%d left, due %v, %v", left, due, err)
		}
		time.Sleep(7 * time.Minute)
		if wait := ask(t, r, "X1", "X"); wait != 0 {
			t.Errorf("waits %v though the first has left the window", wait)
		}
		if wait := ask(t, r, "Y1", "Y"); wait != time.Minute {
			t.Errorf("the next waits %v, want 1m", wait)
		}
	})
}

func TestNeverTwoOfAGroup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newResets(t.TempDir())
		ask(t, r, "M1", "Mail")
		time.Sleep(10 * time.Second)
		if wait := ask(t, r, "M2", "Mail"); wait != 110*time.Second {
			t.Errorf("M2 waits %v, want 1m50s", wait)
		}
		if wait := ask(t, r, "W1", "Web"); wait != 0 {
			t.Errorf("another group waits %v", wait)
		}
		must(t, r.Answered(t.Context(), "F1"))
		if wait := ask(t, r, "M2", "Mail"); wait == 0 {
			t.Error("F1 has answered, and M2 may be reset")
		}
		must(t, r.Answered(t.Context(), "M1"))
		if wait := ask(t, r, "M2", "Mail"); wait != 0 {
			t.Errorf("M2 waits %v though M1 has answered", wait)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		r := newResets(t.TempDir())
		ask(t, r, "M1", "Mail")
		if wait := ask(t, r, "M1", "Mail"); wait != 0 {
			t.Errorf("a second try waits %v for the first", wait)
		}
		time.Sleep(r.Pause)
		if wait := ask(t, r, "M2", "Mail"); wait != 0 {
			t.Errorf("M2 waits %v though M1 had its time", wait)
		}
	})
}

// Who never reset anything writes nothing when its target answers.
func TestAnsweredWithoutReset(t *testing.T) {
	r := newResets(t.TempDir())
	must(t, r.Answered(t.Context(), "M1"))
	if entries, err := os.ReadDir(r.Dir); err != nil || len(entries) != 0 {
		t.Errorf("%v, %v", entries, err)
	}
}

func TestBrokenLedger(t *testing.T) {
	r := newResets(t.TempDir())
	must(t, os.WriteFile(r.file(), []byte("{"), 0o600))
	if _, _, err := r.Left(); err == nil {
		t.Error("a broken ledger was read")
	}
	if due, err := r.Permit(t.Context(), "M1", "Mail"); err == nil {
		t.Errorf("a reset was permitted by a broken ledger: %v", due)
	}
	if wait := ask(t, r, "M1", "Mail"); wait != 0 {
		t.Errorf("waits %v: a broken ledger forbids for ever", wait)
	}
	r.Dir = filepath.Join(r.Dir, "none")
	if due, err := r.Permit(t.Context(), "M1", "Mail"); err == nil {
		t.Errorf("a reset was permitted without a ledger: %v", due)
	}
}

// A clock that was wrong for a while forbids for no longer than the window.
func TestResetsOfTheFuture(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newResets(t.TempDir())
		future := time.Now().Add(24 * 365 * time.Hour)
		must(t, store(nil, r.file(), ledger{[]Reset{{"M1", "Mail", future, time.Time{}}, {"W1", "Web", future, time.Time{}}, {"F1", "FTP", future, time.Time{}}}}))
		if wait := ask(t, r, "X1", "X"); wait != r.Window {
			t.Errorf("waits %v, want the window", wait)
		}
		time.Sleep(r.Window)
		if wait := ask(t, r, "X1", "X"); wait != 0 {
			t.Errorf("waits %v after the window", wait)
		}
	})
}

// A program that was stopped with the ledger in its hands keeps nobody waiting.
func TestStuckHolder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newResets(t.TempDir())
		f, err := os.Create(filepath.Join(r.Dir, "resets.lock"))
		must(t, err)
		defer f.Close()
		must(t, unix.Flock(int(f.Fd()), unix.LOCK_EX))
		begun := time.Now()
		if _, err := r.Permit(t.Context(), "M1", "Mail"); err == nil || time.Since(begun) > 2*time.Second {
			t.Errorf("%v after %v", err, time.Since(begun))
		}
	})
}
