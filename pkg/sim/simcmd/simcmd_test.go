package simcmd_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/alecthomas/kong"

	"pss-msbs/pkg/clock"
	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/daemon"
	"pss-msbs/pkg/sim"
	"pss-msbs/pkg/sim/simcmd"
)

// bench is a served fleet and the commands on it.
type bench struct {
	t    *testing.T
	dirs daemon.Dirs
	stop func() error
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newBench(t *testing.T) *bench {
	t.Helper()
	dir, err := os.MkdirTemp("", "sim") // short: a socket's path is bounded
	ok(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	b := &bench{t: t, dirs: daemon.Dirs{Conf: filepath.Join(dir, "conf"), Run: filepath.Join(dir, "run"),
		State: filepath.Join(dir, "state"), Log: filepath.Join(dir, "log")}}
	ok(t, os.CopyFS(b.dirs.Conf, os.DirFS("../../../testdata/paper")))
	b.edit("settings.toml", "speed = 1 ", "speed = 50 ")
	return b
}

func (b *bench) edit(name, old, new string) {
	b.t.Helper()
	path := filepath.Join(b.dirs.Conf, name)
	text, err := os.ReadFile(path)
	ok(b.t, err)
	if !strings.Contains(string(text), old) {
		b.t.Fatalf("%s does not hold %q", name, old)
	}
	ok(b.t, os.WriteFile(path, []byte(strings.Replace(string(text), old, new, 1)), 0o600))
}

// do runs one `pss fleet` command as the command line has it.
func (b *bench) do(ctx context.Context, args ...string) (string, error) {
	b.t.Helper()
	var cli simcmd.Fleet
	k, err := kong.New(&cli, kong.Vars(simcmd.Vars()))
	ok(b.t, err)
	kctx, err := k.Parse(args)
	ok(b.t, err)
	kctx.BindTo(ctx, (*context.Context)(nil))
	var out bytes.Buffer
	err = kctx.Run(simcmd.Env{Dirs: b.dirs, Out: &out})
	return out.String(), err
}

// serve starts the fleet and waits for its readiness line.
func (b *bench) serve() {
	b.t.Helper()
	r, w, err := os.Pipe()
	ok(b.t, err)
	defer r.Close()
	fd, err := syscall.Dup(int(w.Fd())) // the command closes its own
	ok(b.t, err)
	ok(b.t, w.Close())
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		serve := simcmd.Serve{ReadyFD: fd, Load: sim.DefaultLoad}
		done <- serve.Run(ctx, simcmd.Env{Dirs: b.dirs, Out: os.Stdout})
	}()
	line := make([]byte, 16)
	if n, err := r.Read(line); n == 0 {
		b.t.Fatalf("not ready: %v, %v", err, <-done)
	}
	b.stop = func() error { cancel(); return <-done }
	b.t.Cleanup(cancel)
}

func (b *bench) status(args ...string) sim.Status {
	b.t.Helper()
	out, err := b.do(b.t.Context(), append([]string{"status", "--json"}, args...)...)
	ok(b.t, err)
	var s sim.Status
	ok(b.t, json.Unmarshal([]byte(out), &s))
	return s
}

func TestFleetCommands(t *testing.T) {
	b, ctx := newBench(t), t.Context()
	b.serve()
	clk, err := clock.Load(b.dirs.Run)
	if ok(t, err); clk.Speed != 50 {
		t.Errorf("published %+v", clk)
	}
	if s := b.status(); s.Watts != 84 || len(s.VIPs) != 6 || len(s.Guests) != 15 {
		t.Errorf("%g W, %d VIPs, %d servers", s.Watts, len(s.VIPs), len(s.Guests))
	}
	mark, err := b.do(ctx, "mark")
	ok(t, err)
	for _, args := range [][]string{{"load", "all", "5"}, {"load", "Mail", "70", "--accesses", "2"}, {"fault", "network-cut", "W2", "--for", "20s"}, {"fault", "vm-shutdown", "M1"},
		{"fault", "path", "hypervisor:RS1", "--loss", "5", "--loss-back", "5", "--jitter", "300ms", "--for", "20s"}, {"fault", "vm-stall", "W1", "--paused", "--for", "3s"}} {
		_, err = b.do(ctx, args...)
		ok(t, err)
	}
	s := b.status("--since", strings.TrimSpace(mark), "--timeline")
	story, err := json.Marshal(s.Timeline)
	ok(t, err)
	for _, want := range []string{"load of FTP to 5 %", "load of Mail to 70 %, 2 accesses/s", "network-cut W2", "M1 on RS1 off", "path hypervisor:RS1", "vm-stall W1"} {
		if !strings.Contains(string(story), want) {
			t.Errorf("the timeline does not tell %q: %s", want, story)
		}
	}
	for deadline := clk.After(time.Minute); len(holders(b.status("--since", "5s"), "172.21.14.105")) == 0; {
		select {
		case <-deadline:
			t.Fatal("W2's network did not heal by itself")
		default:
		}
	}
	text, err := b.do(ctx, "status")
	if ok(t, err); !strings.Contains(text, "172.21.14.101  Mail      up: false") || !strings.Contains(text, "violations: 0") || !strings.Contains(text, "harm: 0") {
		t.Errorf("status prints:\n%s", text)
	}
	_, err = b.do(ctx, "heal", "M1")
	ok(t, err)
	ok(t, b.stop())
	if _, err := os.Stat(filepath.Join(b.dirs.Run, clock.File)); !os.IsNotExist(err) {
		t.Errorf("the clock is still published: %v", err)
	}
	if _, err := b.do(ctx, "status"); err == nil || !strings.Contains(err.Error(), "cannot reach the emulated fleet") {
		t.Errorf("status of a fleet that ended: %v", err)
	}
	b.serve() // at the same socket
	ok(t, b.stop())
}

func holders(s sim.Status, vip string) []string {
	for _, v := range s.VIPs {
		if v.VIP.String() == vip {
			return v.Holders
		}
	}
	return nil
}

func TestBadCommands(t *testing.T) {
	b, ctx := newBench(t), t.Context()
	b.serve()
	for _, tc := range []struct {
		args []string
		exit int
	}{
		{[]string{"fault", "earthquake", "RS1"}, 2},
		{[]string{"fault", "vm-crash", "M9"}, 1},
		{[]string{"load", "Mail", "101"}, 2},
		{[]string{"load", "News", "10"}, 1},
		{[]string{"status", "--since", "yesterday"}, 2},
		{[]string{"heal", "M9"}, 1},
		{[]string{"serve"}, 1}, // another one does
	} {
		_, err := b.do(ctx, tc.args...)
		if got := exit(err); got != tc.exit {
			t.Errorf("%v: exit %d, %v", tc.args, got, err)
		}
	}
	ok(t, b.stop())
}

// exit is the exit code that an error makes (package daemon).
func exit(err error) int {
	if err == nil {
		return 0
	}
	for ; err != nil; err = unwrap(err) {
		if c, ok := err.(interface{ ExitCode() int }); ok {
			return c.ExitCode()
		}
	}
	return 1
}

func unwrap(err error) error {
	switch u := err.(type) {
	case interface{ Unwrap() error }:
		return u.Unwrap()
	case interface{ Unwrap() []error }:
		return u.Unwrap()[0]
	}
	return nil
}

func TestFaultyFilesAreNotServed(t *testing.T) {
	for name, tc := range map[string]struct{ file, old, new string }{
		"settings":        {"settings.toml", "speed = 50", "sped = 50"},
		"another driver":  {"settings.toml", `driver = "sim"`, `driver = "libvirt"`},
		"operation file":  {"operation.conf", "172.21.14.101", "172.21.14.999"},
		"management data": {"M1.dat", "172.21.14.1\n", "\n"},
	} {
		b := newBench(t)
		b.edit(tc.file, tc.old, tc.new)
		if _, err := b.do(t.Context(), "serve"); exit(err) != 2 {
			t.Errorf("%s: served, or %v", name, err)
		}
	}
}

func TestFaultOnTheCommandLine(t *testing.T) {
	for line, want := range map[string]sim.Fault{
		"path M1 --loss 5 --loss-out 10 --delay 20ms --jitter 300ms --for 10s": {Kind: sim.BadPath, Target: "M1", For: 10 * time.Second,
			Path: sim.Path{LossOut: 0.15, LossBack: 0.05, Delay: 20 * time.Millisecond, Jitter: 300 * time.Millisecond}},
		"slow-calls RS1 --delay 300ms":     {Kind: sim.SlowCalls, Target: "RS1", Delay: 300 * time.Millisecond},
		"vm-stall M1 --paused --for 1s":    {Kind: sim.VMStall, Target: "M1", For: time.Second, Says: cluster.GuestPaused},
		"overload M1":                      {Kind: sim.Overload, Target: "M1"},
		"service-stop M1:postfix --for 1m": {Kind: sim.ServiceStop, Target: "M1:postfix", For: time.Minute},
	} {
		var cli simcmd.Fleet
		k, err := kong.New(&cli, kong.Vars(simcmd.Vars()))
		ok(t, err)
		_, err = k.Parse(append([]string{"fault"}, strings.Fields(line)...))
		if ok(t, err); cli.Fault.Fault() != want {
			t.Errorf("%s: %+v, want %+v", line, cli.Fault.Fault(), want)
		}
	}
}
