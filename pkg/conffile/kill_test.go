package conffile

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/lockedfile"
)

// The child of TestKill: it edits all seven files of a directory and kills
// itself, as kill -9 does, before its N-th operation.
const (
	killDir = "PSS_TEST_KILL_DIR"
	killAt  = "PSS_TEST_KILL_AT"
	addDir  = "PSS_TEST_ADD_DIR" // the child of TestProcesses adds spares there
	addName = "PSS_TEST_ADD_NAME"
	adds    = 5
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(killDir); dir != "" {
		os.Exit(dieWhileUpdating(dir, os.Getenv(killAt)))
	}
	if dir := os.Getenv(addDir); dir != "" {
		os.Exit(addSpares(dir, os.Getenv(addName)))
	}
	os.Exit(m.Run())
}

func addSpares(dir, name string) int {
	d := Open(dir, Options{Wait: time.Minute})
	for i := range adds {
		err := d.Update(ctx, func(t *cluster.Tables) error {
			own := netip.AddrFrom4([4]byte{10, 0, 0, byte(len(t.Spares))})
			t.Spares = append(t.Spares, cluster.SpareRow{Group: "Web", Host: fmt.Sprintf("%s-%d", name, i), IP: own})
			return nil
		})
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	return 0
}

// Programs that write at the same time lose nothing of each other's.
func TestProcesses(t *testing.T) {
	dir := paper(t)
	const programs = 4
	var group sync.WaitGroup
	for i := range programs {
		group.Go(func() {
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), addDir+"="+dir, fmt.Sprintf("%s=S%d", addName, i))
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
	group.Wait()
	got, err := Open(dir, Options{}).View(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if want := 3 + programs*adds; len(got.Spares) != want {
		t.Errorf("%d spares, want %d", len(got.Spares), want)
	}
}

func dieWhileUpdating(dir, at string) int {
	last, err := strconv.Atoi(at)
	if err != nil {
		return 2
	}
	n := 0
	die := func(lockedfile.Step) error {
		if n++; n == last {
			if err := syscall.Kill(os.Getpid(), syscall.SIGKILL); err != nil {
				return err
			}
			select {}
		}
		return nil
	}
	if err := Open(dir, Options{Step: die}).Update(ctx, everyFile); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// kill runs the child and fails unless it was killed.
func kill(t *testing.T, dir string, at int) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), killDir+"="+dir, fmt.Sprintf("%s=%d", killAt, at))
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Fatalf("the child was not killed: %v\n%s", err, out)
	}
}

// steps are the operations of everyFile, and what the seven files say before
// and after it.
func steps(t *testing.T) (list []lockedfile.Step, before, after map[string]string) {
	t.Helper()
	dir := paper(t)
	before = saying(t, dir)
	record := func(s lockedfile.Step) error { list = append(list, s); return nil }
	if err := Open(dir, Options{Step: record}).Update(ctx, everyFile); err != nil {
		t.Fatal(err)
	}
	after = saying(t, dir)
	for name := range before {
		if before[name] == after[name] {
			t.Fatalf("%s does not change", name)
		}
	}
	return list, before, after
}

func saying(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, name := range Names() {
		out[name] = read(t, dir, name)
	}
	return out
}

// whole fails unless the seven files say all of before or all of after.
func whole(t *testing.T, dir string, before, after map[string]string) (isAfter bool) {
	t.Helper()
	got := saying(t, dir)
	isAfter = got[Operation] == after[Operation]
	want := before
	if isAfter {
		want = after
	}
	for name := range want {
		if got[name] != want[name] {
			t.Errorf("%s is torn from the others (after: %t):\n%s", name, isAfter, got[name])
		}
	}
	return isAfter
}

// kill -9 before every single operation of a transaction over all seven files:
// the next one to look finds them whole, and can write.
func TestKill(t *testing.T) {
	list, before, after := steps(t)
	committed := false
	for i, step := range list {
		t.Run(fmt.Sprintf("%d %s", i+1, step), func(t *testing.T) {
			dir := paper(t)
			kill(t, dir, i+1)
			d := Open(dir, Options{})
			tables, err := d.View(ctx)
			if err != nil {
				t.Fatal(err)
			}
			isAfter := whole(t, dir, before, after)
			if isAfter != (len(tables.Separation) == 1) {
				t.Error("the view is of another time than the files")
			}
			if committed && !isAfter {
				t.Error("a later kill undoes what an earlier one left done")
			}
			committed = isAfter
			err = d.Update(ctx, func(t *cluster.Tables) error { t.State[2].Condition = cluster.PS2; return nil })
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range Names() {
				if got, want := read(t, dir, filepath.Join(lockedfile.LastDir, name)), read(t, dir, name); got != want {
					t.Errorf("the last good copy of %s differs", name)
				}
			}
			stray, err := filepath.Glob(filepath.Join(dir, ".*.new"))
			if err != nil || len(stray) > 0 {
				t.Errorf("left behind: %v %v", stray, err)
			}
		})
	}
	if !committed {
		t.Error("no kill came after the commit")
	}
}

// Whoever finishes a journal may be killed as well, at every operation.
func TestKillWhileFinishing(t *testing.T) {
	list, before, after := steps(t)
	decided := 0
	for i, s := range list {
		if s.String() == "rename .journal" {
			decided = i + 2 // the first operation with the journal in place
		}
	}
	for at := 1; at <= len(list)-decided; at++ {
		t.Run(strconv.Itoa(at), func(t *testing.T) {
			dir := paper(t)
			kill(t, dir, decided)
			kill(t, dir, at)
			if _, err := Open(dir, Options{}).View(ctx); err != nil {
				t.Fatal(err)
			}
			if !whole(t, dir, before, after) {
				t.Error("what was decided is undone")
			}
		})
	}
}
