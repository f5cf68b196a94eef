package fleet

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pss-msbs/pkg/clock"
	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/settings"
)

var rs1 = netip.MustParseAddr("172.21.14.201")

// sleeper is a host that answers a number of pings.
func sleeper(answers int32) func(context.Context, netip.Addr) error {
	var n atomic.Int32
	return func(context.Context, netip.Addr) error {
		if n.Add(1) <= answers {
			return nil
		}
		return cluster.ErrNoAnswer
	}
}

func TestSuspendReal(t *testing.T) {
	for _, c := range []struct {
		name    string
		command []string
		answers int32
		limit   time.Duration
		want    string // of the error
	}{
		{name: "returns", command: []string{"true"}, answers: 2, limit: 20 * time.Second},
		{name: "hangs by its success", command: []string{"sleep", "600"}, answers: 1, limit: 20 * time.Second},
		{name: "fails", command: []string{"sh", "-c", "echo not allowed >&2; exit 1"}, answers: 1000, limit: 20 * time.Second, want: "not allowed"},
		{name: "no command", answers: 1000, limit: 20 * time.Second, want: "no command"},
		{name: "stays awake", command: []string{"true"}, answers: 100000, limit: 700 * time.Millisecond, want: "deadline"},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), c.limit)
			defer cancel()
			h := hosts{s: settings.Libvirt{SuspendCommand: c.command}, ping: sleeper(c.answers)}
			err := h.SuspendReal(ctx, rs1)
			if (err != nil) != (c.want != "") || (err != nil && !strings.Contains(err.Error(), c.want)) {
				t.Errorf("%v; want %q", err, c.want)
			}
		})
	}
}

// The same by a script around ssh: nothing of it hangs on for good.
func TestSuspendRealByScript(t *testing.T) {
	pids := filepath.Join(t.TempDir(), "pids")
	asleep := func(context.Context, netip.Addr) error {
		if b, err := os.ReadFile(pids); err != nil || len(b) == 0 {
			return nil // the script has not come so far
		}
		return cluster.ErrNoAnswer
	}
	h := hosts{ping: asleep, s: settings.Libvirt{
		SuspendCommand: []string{"sh", "-c", `sleep 600 & echo $! > "$0"; wait`, pids}}}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := h.SuspendReal(ctx, rs1); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(pids)
	if err != nil {
		t.Fatal(err)
	}
	stat := filepath.Join("/proc", strings.TrimSpace(string(b)), "stat")
	for {
		b, err := os.ReadFile(stat)
		if err != nil || strings.Contains(string(b), ") Z ") {
			return
		}
		if ctx.Err() != nil {
			t.Fatalf("it hangs on: %s", b)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// A restart that hangs ends at its deadline.
func TestRestartHypervisorHangs(t *testing.T) {
	h := hosts{s: settings.Libvirt{RestartCommand: []string{"sh", "-c", "sleep 600; true"}}}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	began := time.Now()
	if err := h.RestartHypervisor(ctx, rs1); err == nil || time.Since(began) > 5*time.Second {
		t.Errorf("after %v: %v", time.Since(began), err)
	}
}

func TestRestartHypervisor(t *testing.T) {
	h := hosts{s: settings.Libvirt{RestartCommand: []string{"test", "{ip}", "=", "172.21.14.201"}}}
	if err := h.RestartHypervisor(t.Context(), rs1); err != nil {
		t.Error(err)
	}
	if err := h.RestartHypervisor(t.Context(), netip.MustParseAddr("172.21.14.202")); err == nil {
		t.Error("a failing command is no error")
	}
}

func TestOpenFaults(t *testing.T) {
	s := settings.Default()
	s.Fleet.Driver = "paper"
	if _, err := Open(t.Context(), s, t.TempDir(), clock.Clock{}); err == nil || !strings.Contains(err.Error(), `unknown driver "paper"`) {
		t.Error(err)
	}
	s.Fleet.Driver = "sim"
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if _, err := Open(ctx, s, t.TempDir(), clock.Clock{}); err == nil || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("nobody serves: %v", err)
	}
}
