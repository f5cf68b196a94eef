package sim_test

import (
	"context"
	"math"
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
