package daemon

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"pss-msbs/pkg/clock"
	"pss-msbs/pkg/diag"
)

func TestPrepareMakesThePrivateRunDirectory(t *testing.T) {
	d := testDirs(t)
	if err := os.Chmod(d.Run, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := d.Prepare(); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(d.Run)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("mode %v, %v, want 0700", info.Mode(), err)
	}
}

func TestPrepareRefusesARunDirectoryThatIsNotOurs(t *testing.T) {
	d := testDirs(t)
	link := d.Run + "x"
	if err := os.Symlink(d.Run, link); err != nil {
		t.Fatal(err)
	}
	d.Run = link
	if err := d.Prepare(); err == nil || !strings.Contains(err.Error(), "it is no directory") {
		t.Errorf("a symbolic link: %v", err)
	}
	if os.Getuid() != 0 {
		t.Skip("a directory of another user needs root")
	}
	d = testDirs(t)
	if err := os.Chown(d.Run, 65534, 65534); err != nil {
		t.Fatal(err)
	}
	if err := d.Prepare(); err == nil || !strings.Contains(err.Error(), "belongs to uid 65534") {
		t.Errorf("a directory of another user: %v", err)
	}
}

func TestListen(t *testing.T) {
	d := testDirs(t)
	path := d.SifSocket("M1")
	l, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(path); err == nil || !strings.Contains(err.Error(), "another process does") {
		t.Errorf("a second listener: %v", err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false) // as a killed process leaves it
	l.Close()
	if Listening(path) {
		t.Error("nobody listens at a stale socket")
	}
	l, err = Listen(path)
	if err != nil {
		t.Fatalf("over a stale socket: %v", err)
	}
	defer l.Close()
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("socket mode %v, %v", info.Mode(), err)
	}
	if _, err := Listen(filepath.Join(d.Run, strings.Repeat("x", maxSocketPath))); err == nil || !strings.Contains(err.Error(), "longer than 107 bytes") {
		t.Errorf("a long path: %v", err)
	}
}

func TestExitCodes(t *testing.T) {
	stopped, stop := context.WithCancel(t.Context())
	stop()
	for _, tc := range []struct {
		name   string
		ctx    context.Context
		err    error
		code   int
		stderr string
	}{
		{"done", t.Context(), nil, ExitDone, ""},
		{"failed", t.Context(), errors.New("cannot do it: why"), ExitFailed, "dbss: cannot do it: why\n"},
		{"usage", t.Context(), Usage(errors.New("unknown flag --x")), ExitInvalid, "dbss: unknown flag --x\n"},
		{"usage, wrapped", t.Context(), fmt.Errorf("cannot start: %w", Usage(errors.New("no"))), ExitInvalid, "dbss: cannot start: no\n"},
		{"invalid files", t.Context(), Invalid(&diag.List{{File: "M1.dat", Line: 3, Text: "bad IP"}}), ExitInvalid, "M1.dat:3: bad IP\n"},
		{"no file", t.Context(), Invalid(errors.New("cannot read M1.dat: why")), ExitInvalid, "dbss: cannot read M1.dat: why\n"},
		{"ended by a signal", stopped, fmt.Errorf("cannot go on: %w", context.Canceled), ExitDone, ""},
		{"failed while ending", stopped, errors.New("cannot strip"), ExitFailed, "dbss: cannot strip\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var b bytes.Buffer
			if code := exitCode(tc.ctx, "dbss", tc.err, &b); code != tc.code || b.String() != tc.stderr {
				t.Errorf("exit code %d, stderr %q, want %d, %q", code, b.String(), tc.code, tc.stderr)
			}
		})
	}
}

func TestLogLines(t *testing.T) {
	at := time.Date(2026, 11, 22, 14, 47, 49, 109_000_000, time.Local)
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(at)) // the bubble starts in 2000
		var b bytes.Buffer
		log := NewLoggerTo(&b, "dbss", "F1", "text", clock.Clock{})
		log.Info().Str("real", "172.21.14.202").Msg("network trouble detected")
		log.Info().Str(FieldStep, "A2").Int("n", 3).Strs("vips", []string{"a", "b"}).Msg("re-examined")
		log.Info().Str(FieldJob, JobBackground).Str(FieldStep, "A5").Msg("recovered")
		log.Error().Err(errors.New("cannot ping: \"no\"\nanswer")).Str("empty", "").Msg("two\nlines")
		log.Debug().Msg("not in the system log")
		log = NewLoggerTo(&b, "pss", "", "text", clock.Clock{})
		log.Info().Msg("cycle")
		log = NewLoggerTo(&b, "pss", "", "json", clock.Clock{})
		log.Info().Str("group", "Web").Msg("cycle")
		log = NewLoggerTo(&b, "dbss", "F1", "json", clock.Clock{})
		log.Info().Msg("cycle")
		want := `2026-11-22 14:47:49.10 F1 network trouble detected real=172.21.14.202
2026-11-22 14:47:49.10 F1 A2 re-examined n=3 vips=a,b
__2026-11-22 14:47:49.10 F1 A5 recovered
2026-11-22 14:47:49.10 F1 two lines level=error error="cannot ping: \"no\"\nanswer" empty=""
2026-11-22 14:47:49.10 pss cycle
{"level":"info","prog":"pss","group":"Web","time":"2026-11-22 14:47:49.10","message":"cycle"}
{"level":"info","prog":"dbss","target":"F1","time":"2026-11-22 14:47:49.10","message":"cycle"}
`
		if b.String() != want {
			t.Errorf("got\n%swant\n%s", b.String(), want)
		}
	})
}

func TestLogAppends(t *testing.T) {
	d := testDirs(t)
	t.Setenv(QuietEnv, "1")
	for range 2 {
		log, f, err := NewLogger(d, "dbss", "F1", "text", clock.Clock{Epoch: time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC), Speed: 60})
		if err != nil {
			t.Fatal(err)
		}
		log.Info().Msg("normal")
		f.Close()
	}
	b, err := os.ReadFile(d.Log + "/dbss-F1.log")
	if err != nil || bytes.Count(b, []byte("F1 normal\n")) != 2 {
		t.Errorf("log %q, %v", b, err)
	}
}

func FuzzTextLine(f *testing.F) {
	f.Add(`{"level":"info","time":"t","message":"m","k":["a"],"o":{"x":1}}`)
	f.Add(`{"step":"A2","job":"bg"}`)
	f.Add(`{"a":"\n__"}`)
	f.Fuzz(func(t *testing.T, event string) {
		line, err := textLine([]byte(event), "F1")
		if err == nil && bytes.IndexByte(line, '\n') != len(line)-1 {
			t.Errorf("%q became more than one line: %q", event, line)
		}
	})
}

func TestMonitorLock(t *testing.T) {
	d := testDirs(t)
	if _, held, err := In(d).Holder("M1"); held || err != nil {
		t.Fatalf("held before anybody took it: %v, %v", held, err)
	}
	l, err := In(d).Lock("M1")
	if err != nil {
		t.Fatal(err)
	}
	_, err = In(d).Lock("M1")
	if want := fmt.Sprintf("already monitored by pid %d", os.Getpid()); !errors.Is(err, ErrMonitored) || !strings.Contains(err.Error(), want) {
		t.Errorf("a second monitor: %v, want %q", err, want)
	}
	if pid, held, err := In(d).Holder("M1"); pid != os.Getpid() || !held || err != nil {
		t.Errorf("holder %d, %v, %v", pid, held, err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if pid, held, err := In(d).Holder("M1"); pid != 0 || held || err != nil {
		t.Errorf("after an end by intent: holder %d, %v, %v", pid, held, err)
	}
}

// 1. a hundred goroutines look for the holder; 2. one takes and gives the lock:
// a look must never make it fail.
func TestLookingForTheHolderDisturbsNobody(t *testing.T) {
	d := testDirs(t)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for ctx.Err() == nil {
				if _, _, err := In(d).Holder("M1"); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range 100 {
		l, err := In(d).Lock("M1")
		if err != nil {
			t.Fatal(err)
		}
		l.Close()
	}
	cancel()
	wg.Wait()
}

func TestAdoptingALockThatIsNotThere(t *testing.T) {
	d := testDirs(t)
	f, err := os.Create(filepath.Join(d.Run, "other"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if l, err := In(d).Lock("M1"); err != nil {
		t.Fatal(err)
	} else {
		defer l.Close()
	}
	fd, err := unix.Dup(int(f.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := (OS{Dirs: d, LockFD: fd}).Lock("M1"); err == nil || !strings.Contains(err.Error(), "is not") {
		t.Errorf("adopted another file: %v", err)
	}
}

func TestSlotsAreShared(t *testing.T) {
	for _, kind := range []Work{Boot, Migration, Waking} {
		t.Run(string(kind), func(t *testing.T) { testSlots(t, kind) })
	}
}

func testSlots(t *testing.T, kind Work) {
	e := In(Dirs{Run: t.TempDir()})
	synctest.Test(t, func(t *testing.T) {
		var release []func()
		for range 2 {
			r, err := e.Slot(t.Context(), kind, 2)
			if err != nil {
				t.Fatal(err)
			}
			release = append(release, r)
		}
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := e.Slot(short, kind, 2); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a third got a slot of two: %v", err)
		}
		if r, err := e.Slot(t.Context(), "other", 1); err != nil {
			t.Errorf("other work waits for it: %v", err)
		} else {
			r()
		}
		time.AfterFunc(5*time.Second, release[0])
		start := time.Now()
		r, err := e.Slot(t.Context(), kind, 2)
		if took := time.Since(start); err != nil || took < 5*time.Second || took > 5*time.Second+slotPoll {
			t.Errorf("waited %s, %v, want the 5 s until a slot was free", took, err)
		}
		r()
		release[1]()
	})
}

func TestStopWaitsForTheEnd(t *testing.T) {
	d := testDirs(t)
	if err := Stop(t.Context(), d, "dbss", "M1"); err == nil || !strings.Contains(err.Error(), "cannot stop dbss-M1: it is not running") {
		t.Errorf("stop of what does not run: %v", err)
	}
	stopped := make(chan struct{})
	c, err := In(d).ServeControl("dbss", "M1", func() { close(stopped) })
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- Stop(t.Context(), d, "dbss", "M1") }()
	<-stopped
	select {
	case err := <-done:
		t.Fatalf("Stop returned (%v) before the program had ended", err)
	default:
	}
	c.Close()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestControlRefusesOtherRequests(t *testing.T) {
	d := testDirs(t)
	c, err := In(d).ServeControl("pss", "", func() { t.Error("stopped") })
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	conn, err := net.Dial("unix", d.Run+"/pss.sock")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintln(conn, `{"verb":"dance"}`)
	b := make([]byte, 200)
	n, _ := conn.Read(b)
	if !strings.Contains(string(b[:n]), `"ok":false`) {
		t.Errorf("answered %q", b[:n])
	}
}
