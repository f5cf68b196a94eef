package sim_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/sim"
)

var m2 = cluster.Guest{Host: "M2", IP: ip(4), Real: rs2}

// late has some of what is given up come true all the same.
func late(share float64) func(*sim.Spec) { return func(s *sim.Spec) { s.Late = share } }

// inVain does a command with a deadline that it misses, and wants it to say so.
func inVain(t *testing.T, ctx context.Context, limit time.Duration, do func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if err := do(ctx); !errors.Is(err, cluster.ErrUnknown) {
		t.Errorf("a command that missed its deadline: %v", err)
	}
}

func addVIP(m *sim.Model) func(context.Context) error {
	return func(ctx context.Context) error { return m.AddVIP(ctx, m2, vip1) }
}

func has(t *testing.T, ctx context.Context, m *sim.Model, g cluster.Guest) bool {
	t.Helper()
	addrs, err := m.Addrs(ctx, g)
	ok(t, err)
	return slices.Contains(addrs, vip1)
}

// A command in a guest whose caller has gone comes true within a second, or never.
func TestLateInAGuest(t *testing.T) {
	for share, want := range map[float64]bool{0: false, 1: true} {
		play(t, late(share), func(t *testing.T, ctx context.Context, m *sim.Model) {
			ok(t, m.DelVIP(ctx, m1, vip1))
			inVain(t, ctx, 30*time.Millisecond, addVIP(m))
			if has(t, ctx, m, m2) && !want {
				t.Error("it has come true")
			}
			time.Sleep(time.Second)
			if has(t, ctx, m, m2) != want {
				t.Errorf("share %g: it has come true: %v", share, !want)
			}
		})
	}
}

// A guest that stands still does it when it goes on; one that boots never does.
func TestLateInAHeldGuest(t *testing.T) {
	for name, c := range map[string]struct {
		end  func(context.Context, *sim.Model) error
		want bool
	}{
		"goes on": {heal("M2"), true},
		"boots":   {func(ctx context.Context, m *sim.Model) error { return m.Reset(ctx, m2) }, false},
	} {
		play(t, late(1), func(t *testing.T, ctx context.Context, m *sim.Model) {
			ok(t, m.DelVIP(ctx, m1, vip1))
			ok(t, m.Inject(sim.Fault{Kind: sim.VMStall, Target: "M2"}))
			inVain(t, ctx, time.Second, addVIP(m))
			time.Sleep(time.Minute)
			if held := m.Holders(vip1); len(held) > 0 {
				t.Errorf("%s: held by %v", name, held)
			}
			ok(t, c.end(ctx, m))
			until(t, func() bool { _, err := m.Addrs(ctx, m2); return err == nil })
			time.Sleep(time.Second)
			if has(t, ctx, m, m2) != c.want {
				t.Errorf("%s: it has come true: %v", name, !c.want)
			}
		})
	}
}

// What a hypervisor has not heard it does when it is back, unless it starts anew.
func TestLateOnAHypervisor(t *testing.T) {
	for name, c := range map[string]struct {
		fault string
		end   func(context.Context, *sim.Model) error
		want  bool
	}{
		"back":    {sim.Partition, heal("RS2"), true},
		"goes on": {sim.HypervisorFreeze, heal("RS2"), true},
		"anew":    {sim.HypervisorFreeze, func(ctx context.Context, m *sim.Model) error { return m.RestartHypervisor(ctx, rs2) }, false},
	} {
		play(t, late(1), func(t *testing.T, ctx context.Context, m *sim.Model) {
			ok(t, m.Inject(sim.Fault{Kind: c.fault, Target: "RS2"}))
			inVain(t, ctx, time.Second, func(ctx context.Context) error { return m.SetLink(ctx, m2, false) })
			inVain(t, ctx, time.Second, addVIP(m))
			time.Sleep(time.Minute)
			ok(t, c.end(ctx, m))
			time.Sleep(time.Second)
			if cut := !pings(ctx, m, m2); cut != c.want || has(t, ctx, m, m2) != c.want {
				t.Errorf("%s: cut off: %v, has the VIP: %v, want %v", name, cut, has(t, ctx, m, m2), c.want)
			}
		})
	}
}

// A job that lasts is begun late, too.
func TestLateJob(t *testing.T) {
	play(t, late(1), func(t *testing.T, ctx context.Context, m *sim.Model) {
		ok(t, m.DelVIP(ctx, m1, vip1))
		inVain(t, ctx, time.Millisecond, func(ctx context.Context) error { return m.Pause(ctx, m1) })
		is(t, ctx, m, m1, cluster.GuestRunning)
		time.Sleep(time.Second)
		is(t, ctx, m, m1, cluster.GuestPaused)
	})
}

// The fault keeps callers waiting and does all they asked for, of one server or of
// all on a real server; what was refused, or not begun, is known.
func TestLateFault(t *testing.T) {
	for _, target := range []string{"M2", "RS2"} {
		play(t, nil, func(t *testing.T, ctx context.Context, m *sim.Model) {
			ok(t, m.DelVIP(ctx, m1, vip1))
			ok(t, m.Inject(sim.Fault{Kind: sim.Late, Target: target, For: 10 * time.Second}))
			if took, err := took(func() error { inVain(t, ctx, 3*time.Second, addVIP(m)); return nil }); err != nil || took != 3*time.Second {
				t.Errorf("it took %v, %v", took, err)
			}
			time.Sleep(time.Second)
			if !has(t, ctx, m, m2) {
				t.Error("it has not come true")
			}
			gone, cancel := context.WithCancel(ctx)
			cancel()
			if err := m.DelVIP(gone, m2, vip1); err == nil || errors.Is(err, cluster.ErrUnknown) {
				t.Errorf("a command that was not begun: %v", err)
			}
			time.Sleep(10 * time.Second)
			ok(t, m.DelVIP(ctx, m2, vip1))
			ok(t, m.Destroy(ctx, m2))
			if err := addVIP(m)(ctx); !errors.Is(err, cluster.ErrAgentGone) || errors.Is(err, cluster.ErrUnknown) {
				t.Errorf("a command that was refused: %v", err)
			}
		})
	}
}
