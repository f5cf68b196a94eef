package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"pss-msbs/pkg/clock"
	"pss-msbs/pkg/daemon"
	"pss-msbs/pkg/ipc"
	"pss-msbs/pkg/mgmtdata"
)

// bin holds the real sif, built once, and this test binary as dbss.
var bin string

func TestMain(m *testing.M) {
	switch filepath.Base(os.Args[0]) {
	case "dbss":
		daemon.Main("dbss", fakeDbss)
	case "master":
		daemon.Main("master", fakeMaster)
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	var err error
	if bin, err = os.MkdirTemp("", "psb"); err != nil {
		return fail(err)
	}
	defer os.RemoveAll(bin)
	build := exec.Command("go", "build", "-o", filepath.Join(bin, "sif"), ".")
	if out, err := build.CombinedOutput(); err != nil {
		return fail(fmt.Errorf("cannot build sif: %v\n%s", err, out))
	}
	self, err := os.Executable()
	if err != nil {
		return fail(err)
	}
	for _, name := range []string{"dbss", "master"} {
		if err := os.Symlink(self, filepath.Join(bin, name)); err != nil {
			return fail(err)
		}
	}
	os.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	return m.Run()
}

func fail(err error) int {
	fmt.Fprintln(os.Stderr, err)
	return 1
}

// childFlags are those of a fake dbss or master.
type childFlags struct {
	daemon.Dirs
	ReadyFD   int    `name:"ready-fd"`
	Companion string `name:"companion"`
	Dat       string `arg:""`
}

// fakeDbss monitors nothing, but has dbss's manners.
func fakeDbss(ctx context.Context) error {
	var f childFlags
	if _, err := daemon.Parse("dbss", "", &f, os.Args[1:]); err != nil {
		return err
	}
	dat, err := mgmtdata.ReadServer(f.Dat)
	if err != nil {
		return err
	}
	lock, err := daemon.In(f.Dirs).Lock(dat.Host)
	if err != nil {
		return err
	}
	defer lock.Close()
	keep := daemon.In(f.Dirs).KeepSpareSif(ctx, dat.Host)
	defer keep.Close()
	if err := daemon.Ready(f.ReadyFD); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

// fakeMaster starts a sif and waits to be killed.
func fakeMaster(ctx context.Context) error {
	var f childFlags
	if _, err := daemon.Parse("master", "", &f, os.Args[1:]); err != nil {
		return err
	}
	c, err := daemon.In(f.Dirs).StartSif(ctx, f.Dat)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := daemon.Ready(f.ReadyFD); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

// fleetDirs are directories with a copy of the paper's system; what still runs
// there at the end of the test is killed.
func fleetDirs(t *testing.T) daemon.Dirs {
	t.Helper()
	root, err := os.MkdirTemp("", "ps")
	if err != nil {
		t.Fatal(err)
	}
	d := daemon.Dirs{Conf: root + "/c", Run: root + "/r", State: root + "/s", Log: root + "/l"}
	t.Cleanup(func() {
		for pids := pidsIn(d); len(pids) > 0; pids = pidsIn(d) {
			for _, pid := range pids {
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
		}
		os.RemoveAll(root)
	})
	if err := os.CopyFS(d.Conf, os.DirFS("../../testdata/paper")); err != nil {
		t.Fatal(err)
	}
	if err := d.Prepare(); err != nil {
		t.Fatal(err)
	}
	return d
}

// pidsIn are the running processes of our programs with d's run directory, by name.
func pidsIn(d daemon.Dirs) map[string]int {
	out := map[string]int{}
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		b, err := os.ReadFile("/proc/" + e.Name() + "/cmdline")
		name, _, _ := strings.Cut(string(b), "\x00")
		if err == nil && strings.HasPrefix(name, bin) && strings.Contains(string(b), "\x00"+d.Run+"\x00") && !zombie(pid) {
			out[filepath.Base(name)] = pid
		}
	}
	return out
}

func zombie(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, rest, _ := strings.Cut(string(b), ") ")
	return err != nil || strings.HasPrefix(rest, "Z")
}

func killed(t *testing.T, d daemon.Dirs, program string) (pid int) {
	t.Helper()
	pid = pidsIn(d)[program]
	if pid == 0 {
		t.Fatalf("no %s runs", program)
	}
	kill(pid)
	return pid
}

// kill kills a process that may have ended.
func kill(pid int) {
	if pid != 0 {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
}

// eventually waits until ok, or fails after 10 s.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := (clock.Clock{}).Poll(ctx, 10*time.Millisecond, ok); err != nil {
		t.Fatalf("not within 10 s: %s", what)
	}
}

func clientOf(d daemon.Dirs, target string) *ipc.Client {
	return ipc.NewClient(ipc.DialUnix(d.SifSocket(target)), "test", clock.Clock{})
}
