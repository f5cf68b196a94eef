package sim_test

import (
	"context"
	"math"
	"slices"
	"testing"
	"time"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/sim"
)

// shares are those of g within the next d.
func shares(t *testing.T, ctx context.Context, m *sim.Model, g cluster.Guest, d time.Duration) cluster.Shares {
	t.Helper()
	was, err := m.Work(ctx, g)
	ok(t, err)
	time.Sleep(d)
	is, err := m.Work(ctx, g)
	ok(t, err)
	s, known := is.Since(was)
	if !known {
		t.Fatalf("no shares of %+v and %+v", was, is)
	}
	return s
}

// What a guest and its host do with their processors (8 of the host, 1 of a guest).
func TestWork(t *testing.T) {
	for _, tc := range []struct {
		name  string
		do    []step
		guest float64
		idle  float64
	}{
		{"as loaded", nil, 0.55, 1 - 2*0.55/8},
		{"at its limit", []step{fault(sim.Overload, "M1")}, 1, 1 - 1.55/8},
		{"works and says nothing", []step{fault(sim.VMJam, "M1")}, 1, 1 - 1.55/8},
		{"hangs in a loop", []step{fault(sim.VMLivelock, "M1")}, 1, 1 - 1.55/8},
		{"frozen", []step{fault(sim.VMFreeze, "M1")}, 0, 1 - 0.55/8},
		{"held", []step{stalled(0)}, 0, 1 - 0.55/8},
		{"off", []step{destroy(m1)}, 0, 1 - 0.55/8},
		{"boots", []step{reset(m1)}, 1, 0},
		{"its neighbour boots", []step{reset(w1)}, 0.55, 0},
		{"its host's processors are taken", []step{fault(sim.RealTaken, "RS1"), fault(sim.VMLivelock, "M1")}, 0.3, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			play(t, func(s *sim.Spec) { s.Load = 55 }, func(t *testing.T, ctx context.Context, m *sim.Model) {
				time.Sleep(time.Minute)
				for _, do := range tc.do {
					ok(t, do(ctx, m))
				}
				s := shares(t, ctx, m, m1, 5*time.Second)
				if math.Abs(s.Guest-tc.guest) > 0.01 || math.Abs(s.Idle-tc.idle) > 0.01 {
					t.Errorf("%+v, want guest %.2f, idle %.2f", s, tc.guest, tc.idle)
				}
			})
		})
	}
}

// A guest that is started anew has used nothing.
func TestWorkOfANewLife(t *testing.T) {
	play(t, nil, func(t *testing.T, ctx context.Context, m *sim.Model) {
		time.Sleep(time.Minute)
		was, err := m.Work(ctx, m1)
		ok(t, err)
		ok(t, m.Destroy(ctx, m1))
		ok(t, m.Start(ctx, m1))
		is, err := m.Work(ctx, m1)
		if ok(t, err); is.Continues(was) || is.Used > time.Second {
			t.Errorf("%+v after %+v", is, was)
		}
	})
}

// A guest that does nothing but work answers afterwards.
func TestJam(t *testing.T) {
	play(t, nil, func(t *testing.T, ctx context.Context, m *sim.Model) {
		ok(t, m.Inject(sim.Fault{Kind: sim.VMJam, Target: "M1", For: 15 * time.Second}))
		is(t, ctx, m, m1, cluster.GuestRunning)
		if pings(ctx, m, m1) || greets(ctx, m, m1.IP, "postfix") {
			t.Error("it answers in a jam")
		}
		if d := until(t, func() bool { return pings(ctx, m, m1) && greets(ctx, m, vip1, "postfix") }); d < 14*time.Second || d > 16*time.Second {
			t.Errorf("it answers after %v", d)
		}
	})
}

// The guests of a host whose processors are taken stand still again and again, and
// their boots take three times as long; all ends with it.
func TestTakenHost(t *testing.T) {
	play(t, nil, func(t *testing.T, ctx context.Context, m *sim.Model) {
		silence := func(g cluster.Guest, long time.Duration) (all, longest time.Duration) {
			var since time.Time
			for end := time.Now().Add(long); time.Now().Before(end); time.Sleep(90 * time.Millisecond) {
				switch brief, cancel := context.WithTimeout(ctx, 40*time.Millisecond); {
				case m.Ping(brief, g.IP) == nil:
					cancel()
					since = time.Time{}
				case since.IsZero():
					cancel()
					since = time.Now()
				default:
					cancel()
					all += 130 * time.Millisecond
					longest = max(longest, time.Since(since))
				}
			}
			return all, longest
		}
		ok(t, m.Inject(sim.Fault{Kind: sim.RealTaken, Target: "RS1"}))
		if all, longest := silence(m1, 5*time.Minute); all < time.Minute || all > 4*time.Minute || longest < 4*time.Second || longest > 9*time.Second {
			t.Errorf("silent for %v of 5 minutes, at most for %v", all, longest)
		}
		if all, _ := silence(f2, time.Minute); all > 0 {
			t.Errorf("on another host silent for %v", all)
		}
		ok(t, m.Reset(ctx, m1))
		if d := until(t, func() bool { return pings(ctx, m, m1) }); d < 35*time.Second {
			t.Errorf("booted within %v", d)
		}
		ok(t, m.Heal("RS1"))
		time.Sleep(10 * time.Second)
		if all, _ := silence(m1, time.Minute); all > 0 {
			t.Errorf("silent for %v when it is over", all)
		}
		ok(t, m.Inject(sim.Fault{Kind: sim.RealTaken, Target: "management"}))
		ok(t, m.Start(ctx, mb))
		until(t, func() bool { return pings(ctx, m, mb) })
		if all, _ := silence(mb, time.Minute); all < 5*time.Second {
			t.Errorf("a backup was silent for %v of a minute", all)
		}
		ok(t, m.Heal("management"))
		alone(t, m)
	})
}

// An overloaded server stands still now and then.
func TestOverloadedServerJams(t *testing.T) {
	play(t, nil, func(t *testing.T, ctx context.Context, m *sim.Model) {
		ok(t, m.Inject(sim.Fault{Kind: sim.Overload, Target: "M1"}))
		var waits []time.Duration
		for end := time.Now().Add(10 * time.Minute); time.Now().Before(end); time.Sleep(time.Second) {
			d, err := took(func() error {
				ctx, cancel := context.WithTimeout(ctx, time.Minute)
				defer cancel()
				return m.Ping(ctx, m1.IP)
			})
			if ok(t, err); d > time.Second {
				waits = append(waits, d)
			}
		}
		if n := len(waits); n < 10 || n > 40 || slices.Max(waits) < 7*time.Second {
			t.Errorf("it stood still %d times in ten minutes: %v", n, waits)
		}
		ok(t, m.Heal("M1"))
		for range 120 {
			if !pings(ctx, m, m1) {
				t.Fatal("it stands still when it is over")
			}
			time.Sleep(time.Second)
		}
	})
}
