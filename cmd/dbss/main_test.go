package main

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"pss-msbs/pkg/clock"
	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/conffile"
	"pss-msbs/pkg/daemon"
	"pss-msbs/pkg/mgmtdata"
	"pss-msbs/pkg/settings"
	"pss-msbs/pkg/sim"
	"pss-msbs/pkg/sim/remote"
)

const paper = "../../testdata/paper"

// bin holds dbss and its sif.
var bin string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "dbss-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	bin = dir
	for _, program := range []string{"dbss", "sif"} {
		out, err := exec.Command("go", "build", "-race", "-tags", "libvirt_dlopen", "-o", filepath.Join(dir, program), "../"+program).CombinedOutput()
		if err != nil {
			panic(string(out))
		}
	}
	return m.Run()
}

// system is the paper's files and an emulated fleet, ten times as fast as the
// wall clock, with the directories of the programs (short paths for sockets).
type system struct {
	t    *testing.T
	dirs daemon.Dirs
	m    *sim.Model
}

func newSystem(t *testing.T) *system {
	t.Helper()
	root, err := os.MkdirTemp("", "dbss-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(root) })
	s := &system{t: t, dirs: daemon.Dirs{Conf: filepath.Join(root, "conf"), Run: filepath.Join(root, "run"),
		State: filepath.Join(root, "state"), Log: filepath.Join(root, "log")}}
	s.ok(os.CopyFS(s.dirs.Conf, os.DirFS(paper)))
	s.ok(s.dirs.Prepare())
	return s
}

func (s *system) ok(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// fleet serves the emulated fleet in this process.
func (s *system) fleet() {
	s.t.Helper()
	clk := clock.Clock{Epoch: time.Now(), Speed: 10}
	s.ok(clk.Publish(s.dirs.Run))
	set, err := settings.Read(s.dirs.Settings())
	s.ok(err)
	tables, err := conffile.Open(s.dirs.Conf, conffile.Options{}).View(s.t.Context())
	s.ok(err)
	dats, err := mgmtdata.ReadDir(s.dirs.Conf)
	s.ok(err)
	var servers []mgmtdata.Server
	for _, d := range dats.Servers {
		servers = append(servers, d)
	}
	spec, err := sim.FromTables(tables, servers, slices.Collect(maps.Values(dats.Reals)), set)
	s.ok(err)
	s.m, err = sim.New(spec, clk)
	s.ok(err)
	l, err := daemon.Listen(filepath.Join(s.dirs.Run, "fleet.sock"))
	s.ok(err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- remote.NewServer(s.m).Serve(ctx, l) }()
	s.t.Cleanup(func() {
		cancel()
		<-done
		_ = s.m.Close()
	})
}

// start starts dbss for M1 and kills it at the end of the test.
func (s *system) start() *exec.Cmd {
	s.t.Helper()
	cmd := exec.Command(filepath.Join(bin, "dbss"), append(s.dirs.Args(), filepath.Join(s.dirs.Conf, "M1.dat"))...)
	s.ok(cmd.Start())
	s.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return cmd
}

// program runs dbss to its end.
func (s *system) program(args ...string) (code int, stdout, stderr string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(bin, "dbss"), append(s.dirs.Args(), args...)...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		s.t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

// logged waits until the log of M1 has n lines with text.
func (s *system) logged(text string, n int) {
	s.t.Helper()
	var b []byte
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if b, _ = os.ReadFile(s.dirs.LogFile("dbss", "M1")); strings.Count(string(b), text) >= n {
			return
		}
	}
	s.t.Fatalf("the log does not say %q %d times:\n%s", text, n, b)
}

// TestRealProcesses is one life of a monitor with its real sif: a takeover, a
// kill -9 in the middle, the successor's give-back, the refusal of a second
// monitor, and the end by --stop.
func TestRealProcesses(t *testing.T) {
	s := newSystem(t)
	s.fleet()
	first := s.start()
	s.logged("backup server paused", 1)
	s.ok(s.m.Inject(sim.Fault{Kind: sim.VMShutdown, Target: "M1"}))
	s.logged("server function recovered", 1)
	s.ok(first.Process.Kill())
	_ = first.Wait()
	s.start()
	s.logged("target server recovered", 1)
	s.logged("backup server paused", 2)

	code, _, stderr := s.program(filepath.Join(s.dirs.Conf, "M1.dat"))
	if code != 1 || !strings.Contains(stderr, "already monitored by pid") {
		t.Errorf("a second monitor: exit %d: %s", code, stderr)
	}
	if code, _, stderr := s.program("--stop", "M1"); code != 0 {
		t.Errorf("--stop: exit %d: %s", code, stderr)
	}
	if _, held, err := daemon.In(s.dirs).Holder("M1"); held || err != nil {
		t.Errorf("after --stop the monitor lock is held: %t, %v", held, err)
	}
	if v := s.m.Violations(); len(v) > 0 {
		t.Errorf("violations: %+v", v)
	}
}

// sif is the pid of M1's sif.
func (s *system) sif() int {
	s.t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	s.ok(err)
	for _, f := range files {
		b, _ := os.ReadFile(f)
		if args := string(b); strings.HasPrefix(args, filepath.Join(bin, "sif")+"\x00") && strings.Contains(args, s.dirs.Run+"\x00") {
			pid, err := strconv.Atoi(filepath.Base(filepath.Dir(f)))
			s.ok(err)
			return pid
		}
	}
	s.t.Fatal("no sif runs")
	return 0
}

// TestHangingSif: a sif that is stopped stops no takeover, nor does one that a
// killed monitor left behind in that state.
func TestHangingSif(t *testing.T) {
	s := newSystem(t)
	s.fleet()
	first := s.start()
	s.logged("backup server paused", 1)
	s.ok(syscall.Kill(s.sif(), syscall.SIGSTOP))
	s.ok(s.m.Inject(sim.Fault{Kind: sim.VMShutdown, Target: "M1"}))
	s.logged("target server recovered", 1)
	s.logged("backup server paused", 2)
	s.ok(syscall.Kill(s.sif(), syscall.SIGSTOP))
	s.ok(first.Process.Kill())
	_ = first.Wait()
	s.start()
	s.ok(s.m.Inject(sim.Fault{Kind: sim.VMCrash, Target: "M1"}))
	s.logged("target server recovered", 2)
	if v := s.m.Violations(); len(v) > 0 {
		t.Errorf("violations: %+v", v)
	}
}

// lines are the log of M1 so far.
func (s *system) lines() int {
	s.t.Helper()
	b, err := os.ReadFile(s.dirs.LogFile("dbss", "M1"))
	s.ok(err)
	return strings.Count(string(b), "\n")
}

// A launcher that starts dbss again after its hand-over: while the real server
// is dead it waits, without the lock, which the dsrs needs, and says so once;
// it monitors again when the files place its target.
func TestStartedAgainWhileDsrsOwnsTheRestore(t *testing.T) {
	s := newSystem(t)
	s.fleet()
	files := conffile.Open(s.dirs.Conf, conffile.Options{})
	before, err := files.View(t.Context())
	s.ok(err)
	first := s.start()
	s.logged("backup server paused", 1)
	s.ok(s.m.Inject(sim.Fault{Kind: sim.RealShutdown, Target: "RS1"}))
	s.ok(files.Update(t.Context(), func(tab *cluster.Tables) error { // B3 of its dsrs
		tab.Real = slices.DeleteFunc(tab.Real, func(r cluster.RealRow) bool { return r.IP == before.Operation[0].Real })
		return nil
	}))
	s.logged("monitoring handed over", 1)
	t.Cleanup(func() { s.ok(daemon.In(s.dirs).End(context.Background(), "Mb")) })
	if err := first.Wait(); err != nil {
		t.Fatalf("after the hand-over: %v", err)
	}
	again := s.start()
	s.logged("left to the dsrs", 1)
	n := s.lines()
	free := 0
	for range 100 { // five seconds, fifty of the fleet's
		if _, held, err := daemon.In(s.dirs).Holder("M1"); err == nil && !held {
			free++
		}
		time.Sleep(50 * time.Millisecond)
	}
	if more := s.lines() - n; more > 0 {
		t.Errorf("%d more lines while it waits", more)
	}
	if free < 10 { // an interval is a second here, and a busy machine may need as long for a look
		t.Errorf("the monitor lock was free in %d of 100 looks", free)
	}
	if err := again.Process.Signal(syscall.Signal(0)); err != nil {
		t.Errorf("it has ended: %v", err)
	}
	lock, err := daemon.In(s.dirs).Lock("M1") // the dsrs, for longer than an interval
	for ; err != nil; lock, err = daemon.In(s.dirs).Lock("M1") {
		time.Sleep(time.Millisecond)
	}
	time.Sleep(2 * time.Second)
	s.ok(files.Update(t.Context(), func(tab *cluster.Tables) error { *tab = before; return nil }))
	s.ok(lock.Close())
	s.logged("network trouble detected", 2) // it monitors: the host is off
}
