package daemon

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"pss-msbs/pkg/clock"
	"pss-msbs/pkg/mgmtdata"
)

func TestStartReportsWhyItFailed(t *testing.T) {
	for _, tc := range []struct {
		mode, want string
		within     time.Duration
	}{
		{"dies", "cannot start sif-M1: it ended before it was ready: exit status 1: sif: cannot do it: no luck", 10 * time.Second},
		{"silent", "cannot start sif-M1: it was not ready in time", 200 * time.Millisecond},
	} {
		t.Run(tc.mode, func(t *testing.T) {
			d := testDirs(t)
			programs(t, tc.mode)
			ctx, cancel := context.WithTimeout(t.Context(), tc.within)
			defer cancel()
			_, err := Start(ctx, Command{Program: "sif", Name: "M1", Dirs: d, Life: true})
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want %q", err, tc.want)
			}
		})
	}
	t.Run("no such program", func(t *testing.T) {
		t.Setenv("PATH", t.TempDir())
		if _, err := Start(t.Context(), Command{Program: "sif", Dirs: testDirs(t)}); err == nil || !strings.Contains(err.Error(), "cannot find sif") {
			t.Errorf("error %v", err)
		}
	})
}

func TestCompanionIsRestartedAndEndsWithUs(t *testing.T) {
	d := testDirs(t)
	programs(t, "listens")
	c, err := In(d).StartSif(t.Context(), "M1")
	if err != nil {
		t.Fatal(err)
	}
	if !Listening(c.Socket) {
		t.Error("ready, but nobody listens")
	}
	first := pidOf(t, "sif", d)
	kill(t, first)
	eventually(t, "another sif listens", func() bool { return Listening(c.Socket) && pidOf(t, "sif", d) != first })
	second := pidOf(t, "sif", d)
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if alive(second) {
		t.Error("the sif outlived its master's Close")
	}
}

func TestHangingSifIsReplaced(t *testing.T) {
	d := testDirs(t)
	programs(t, "listens")
	fast := In(d)
	fast.Clock = clock.Clock{Epoch: time.Now(), Speed: 20}
	c, err := fast.StartSif(t.Context(), "M1")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	first := pidOf(t, "sif", d)
	if err := syscall.Kill(first, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	eventually(t, "another sif answers", func() bool {
		_, hangs := hanging(t.Context(), c.Socket, time.Second)
		return !hangs && Listening(c.Socket) && pidOf(t, "sif", d) != first
	})
	if alive(first) {
		t.Error("the sif that hangs is still there")
	}
}

// A monitor that was killed while its sif hung leaves that sif behind.
func TestSifOfADeadMasterIsEvicted(t *testing.T) {
	d := testDirs(t)
	programs(t, "listens")
	left, err := Start(t.Context(), Command{Program: "sif", Name: "M1", Args: []string{"--target", "M1"}, Dirs: d, Detached: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(left.PID, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	c, err := In(d).StartSif(t.Context(), "M1")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	<-left.Done()
	if !Listening(c.Socket) {
		t.Error("nobody listens")
	}
}

// pidOf finds the one process with this test's run directory and that name.
func pidOf(t *testing.T, program string, d Dirs) int {
	t.Helper()
	pid := 0
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		b, err := os.ReadFile("/proc/" + e.Name() + "/cmdline")
		argv := strings.Split(string(b), "\x00")
		if err != nil || !strings.HasSuffix(argv[0], "/"+program) || !strings.Contains(string(b), "\x00"+d.Run+"\x00") {
			continue
		}
		if n, err := strconv.Atoi(e.Name()); err == nil && alive(n) {
			pid = n
		}
	}
	return pid
}

// alive reports whether pid runs; a zombie does not.
func alive(pid int) bool {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	return !strings.HasPrefix(rest, "Z")
}

func kill(t *testing.T, pid int) {
	t.Helper()
	if pid == 0 {
		t.Fatal("no process to kill")
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the killed process is gone", func() bool { return !alive(pid) })
}

func TestMonitorLockIsHandedToTheChild(t *testing.T) {
	d := testDirs(t)
	programs(t, "monitors")
	lock, err := In(d).Lock("M1")
	if err != nil {
		t.Fatal(err)
	}
	child, err := In(d).StartMonitor(t.Context(), "M1", lock)
	if err != nil {
		t.Fatal(err)
	}
	if err := lock.Close(); err != nil {
		t.Fatal(err)
	}
	if holder, held, err := In(d).Holder("M1"); holder != child.(*Process).PID || !held || err != nil {
		t.Errorf("holder %d, %v, %v, want the child %+v", holder, held, err, child)
	}
	if err := Stop(t.Context(), d, "dbss", "M1"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the lock is free", func() bool {
		holder, held, err := In(d).Holder("M1")
		return holder == 0 && !held && err == nil
	})
}

func msDat() mgmtdata.Server {
	a := netip.MustParseAddr
	return mgmtdata.Server{VIP: a("172.21.14.104"), Host: "M1", IP: a("172.21.14.51"), Group: "Mail", Daemons: []string{"postfix"}, Real: a("172.21.14.201")}
}

func TestSpareMonitorIsStartedAdoptedAndFollowed(t *testing.T) {
	for _, tc := range []struct {
		name string
		end  func(p *Process) error
		died bool
	}{
		{"ended by a signal that it does not handle", func(p *Process) error { return p.Stop(context.Background()) }, true},
		{"an end by intent", nil, false},
		{"killed", func(p *Process) error { return p.Signal(syscall.SIGKILL) }, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := testDirs(t)
			programs(t, "monitors")
			first, err := In(d).StartSpareMonitor(t.Context(), msDat())
			if err != nil {
				t.Fatal(err)
			}
			child, err := In(d).StartSpareMonitor(t.Context(), msDat()) // from another sif
			if err != nil {
				t.Fatal(err)
			}
			again := child.(*Process)
			if want := first.(*Process).PID; again.PID != want {
				t.Fatalf("a second start: %+v, want pid %d adopted", again, want)
			}
			if got, err := mgmtdata.ReadServer(d.SpareDat("M1")); err != nil || got.IP != msDat().IP {
				t.Errorf("the data for dbss: %+v, %v", got, err)
			}
			if tc.end == nil {
				err = Stop(t.Context(), d, "dbss", "M1")
			} else {
				err = tc.end(again)
			}
			if err != nil {
				t.Fatal(err)
			}
			<-again.Done()
			if got := again.Err() != nil; got != tc.died {
				t.Errorf("adopted: %v, want died %v", again.Err(), tc.died)
			}
		})
	}
}

func TestAdoptingWhatDoesNotMonitor(t *testing.T) {
	d := testDirs(t)
	if _, err := In(d).Adopt("M1", os.Getpid()); err == nil || !strings.Contains(err.Error(), "it does not monitor M1") {
		t.Errorf("adopted: %v", err)
	}
}

func TestSpareSifIsReplacedByOneThatAdopts(t *testing.T) {
	d := testDirs(t)
	programs(t, "listens")
	if err := In(d).StartSpareSif(t.Context(), "Ms", 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if pid := pidOf(t, "sif", d); pid != 0 {
			kill(t, pid)
		}
	})
	c := In(d).KeepSpareSif(t.Context(), "Ms")
	defer c.Close()
	first := pidOf(t, "sif", d)
	kill(t, first)
	eventually(t, "another sif adopts this process", func() bool {
		b, err := os.ReadFile(d.Run + "/args")
		return err == nil && string(b) == fmt.Sprint("true ", os.Getpid()) && Listening(c.Socket)
	})
}

func TestEndMonitor(t *testing.T) {
	for name, before := range map[string]func(pid int) error{
		"runs":  func(int) error { return nil },
		"hangs": func(pid int) error { return syscall.Kill(pid, syscall.SIGSTOP) },
	} {
		t.Run(name, func(t *testing.T) {
			d := testDirs(t)
			programs(t, "monitors")
			if err := In(d).End(t.Context(), "M1"); err != nil {
				t.Errorf("none runs: %v", err)
			}
			child, err := In(d).StartMonitor(t.Context(), "M1", nil)
			if err != nil {
				t.Fatal(err)
			}
			pid := child.(*Process).PID
			if err := before(pid); err != nil {
				t.Fatal(err)
			}
			if err := In(d).End(t.Context(), "M1"); err != nil {
				t.Errorf("it did not end: %v", err)
			}
			eventually(t, "the monitor has ended", func() bool { return !alive(pid) })
		})
	}
}
