package sim_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/sim"
	"pss-msbs/pkg/sim/judge"
	"pss-msbs/pkg/sim/world"
)

// step is something that is done to the paper's system.
type step = func(context.Context, *sim.Model) error

var w1 = cluster.Guest{Host: "W1", IP: ip(2), Real: rs1}

func del(g cluster.Guest) step {
	return func(ctx context.Context, m *sim.Model) error { return m.DelVIP(ctx, g, vip1) }
}

func add(g cluster.Guest) step {
	return func(ctx context.Context, m *sim.Model) error { return m.AddVIP(ctx, g, vip1) }
}

func link(g cluster.Guest, up bool) step {
	return func(ctx context.Context, m *sim.Model) error { return m.SetLink(ctx, g, up) }
}

func reset(g cluster.Guest) step {
	return func(ctx context.Context, m *sim.Model) error { return m.Reset(ctx, g) }
}

func destroy(g cluster.Guest) step {
	return func(ctx context.Context, m *sim.Model) error { return m.Destroy(ctx, g) }
}

func after(d time.Duration) step {
	return func(context.Context, *sim.Model) error { time.Sleep(d); return nil }
}

func wrong(f sim.Fault) step {
	return func(_ context.Context, m *sim.Model) error { return m.Inject(f) }
}

func stalled(d time.Duration) step { return wrong(sim.Fault{Kind: sim.VMStall, Target: "M1", For: d}) }

// What is harm, and what looks like it and is none. Mb is a backup that runs,
// M2 serves for another VIP.
func TestHarm(t *testing.T) {
	m2 := cluster.Guest{Host: "M2", IP: ip(4), Real: rs2}
	long := after(10 * time.Second)
	for _, tc := range []struct {
		name   string
		steps  []step
		want   []string
		unseen []string
	}{
		{name: "takeover of a sound server", steps: []step{del(m1), add(mb)}, want: []string{judge.HarmTakeover}},
		{name: "its link goes down", steps: []step{link(m1, false), add(mb)}, want: []string{judge.HarmCutOff}},
		{name: "reset", steps: []step{reset(m1)}, want: []string{judge.HarmReset}},
		{name: "reset after a takeover", steps: []step{link(m1, false), add(mb), reset(m1)}, want: []string{judge.HarmCutOff, judge.HarmReset}},
		{name: "stripped, reset, taken over", steps: []step{del(m1), reset(m1), add(mb)}, want: []string{judge.HarmTakeover}},
		{name: "destroyed", steps: []step{destroy(m1)}, want: []string{judge.HarmDestroy}},
		{name: "paused", steps: []step{func(ctx context.Context, m *sim.Model) error { return m.Pause(ctx, m1) }}, want: []string{judge.HarmPause}},
		{name: "overloaded", steps: []step{fault(sim.Overload, "M1"), long, link(m1, false)}, want: []string{judge.HarmCutOff}},
		{name: "held for a moment", steps: []step{stalled(4 * time.Second), link(m1, false)}, want: []string{judge.HarmCutOff}},
		{name: "was held for a moment", steps: []step{stalled(time.Second), after(2 * time.Second), del(m1), add(mb)}, want: []string{judge.HarmTakeover}},
		{name: "lossy", steps: []step{wrong(bad("M1", sim.Path{LossOut: 0.3, LossBack: 0.3}, 0)), long, link(m1, false)}, want: []string{judge.HarmCutOff}},
		{name: "well again for long", steps: []step{fault(sim.NetworkCut, "M1"), heal("M1"), long, reset(m1)}, want: []string{judge.HarmReset}},
		{name: "its agent is dead", steps: []step{fault(sim.AgentDead, "M1"), long, reset(m1)}, want: []string{judge.HarmReset}},

		{name: "moved by plan", steps: []step{del(m1), add(m2)}},
		{name: "moved by plan and back", steps: []step{del(m1), add(m2), del(m2), add(m1)}},
		{name: "given back", steps: []step{fault(sim.NetworkCut, "M1"), link(m1, false), add(mb), heal("M1"), del(m1), link(m1, true), long, del(mb), add(m1)}},
		{name: "given back from a backup that does not obey", steps: []step{fault(sim.NetworkCut, "M1"), add(mb), long, del(m1), link(mb, false), destroy(mb), heal("M1"), add(m1)}},
		{name: "a give-back is undone", steps: []step{fault(sim.NetworkCut, "M1"), del(m1), add(mb), heal("M1"), long, del(mb), add(m1), del(m1), add(mb)}},
		{name: "stale beside its holder", steps: []step{fault(sim.NetworkCut, "M1"), add(mb), heal("M1"), long, link(m1, false), del(m1), link(m1, true)}},
		{name: "a reset without VIP", steps: []step{del(m1), add(m2), long, reset(m1)}},
		{name: "frozen", steps: []step{fault(sim.VMFreeze, "M1"), link(m1, false), add(mb), reset(m1)}},
		{name: "crashed", steps: []step{fault(sim.VMCrash, "M1"), add(mb)}},
		{name: "a daemon hangs", steps: []step{fault(sim.ServiceFreeze, "M1"), del(m1), add(mb), reset(m1)}},
		{name: "cut off", steps: []step{fault(sim.NetworkCut, "M1"), link(m1, false), add(mb)}},
		{name: "well again just now", steps: []step{fault(sim.NetworkCut, "M1"), after(time.Second), heal("M1"), after(time.Second), link(m1, false), add(mb)}},
		{name: "held for longer than a client waits", steps: []step{stalled(20 * time.Second), after(time.Second), link(m1, false), add(mb)}},
		{name: "moved away, then the receiver's backup", steps: []step{del(m1), fault(sim.VMCrash, "M1"), add(mb)}},
		{name: "boots", steps: []step{fault(sim.VMRestart, "M1"), add(mb), reset(m1)}},
		{name: "no longer who it was", steps: []step{del(m1), fault(sim.VMRestart, "M1"), long, long, long, add(mb)}},

		{name: "no packet comes through to us", steps: []step{wrong(bad("M1", sim.Path{LossOut: 1}, 0)), long, link(m1, false), add(mb)}, unseen: []string{judge.HarmCutOff}},
		{name: "the partition spares clients", steps: []step{fault(sim.Partition, "RS1"), add(mb), heal("RS1"), link(m1, false), del(m1)}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			play(t, func(s *sim.Spec) { s.PartitionSparesClients = tc.name == "the partition spares clients" }, func(t *testing.T, ctx context.Context, m *sim.Model) {
				ok(t, m.Start(ctx, mb))
				until(t, func() bool { return pings(ctx, m, mb) })
				for n, do := range tc.steps {
					if err := do(ctx, m); err != nil {
						t.Fatalf("step %d: %v", n+1, err)
					}
				}
				s, err := m.Status(ctx, sim.Query{})
				ok(t, err)
				if got := kinds(s.Harms); !slices.Equal(got, tc.want) || !slices.Equal(kinds(m.Harms()), tc.want) {
					t.Errorf("harm %v, want %v", got, tc.want)
				}
				if got := kinds(s.Unseen); !slices.Equal(got, tc.unseen) {
					t.Errorf("unseen harm %v, want %v", got, tc.unseen)
				}
			})
		})
	}
}

func kinds(all []judge.Harm) (out []string) {
	for _, h := range all {
		out = append(out, h.Kind)
	}
	return out
}

// A backup takes over from its own target only: from another server a VIP goes
// to it by somebody's plan.
func TestHarmIsToTheTargetOfABackup(t *testing.T) {
	for backup, want := range map[string]int{"Mb": 1, "Mb2": 0, "": 1} {
		play(t, func(s *sim.Spec) {
			for n := range s.Guests {
				if s.Guests[n].Host == "M1" {
					s.Guests[n].Backup = backup
				}
			}
		}, func(t *testing.T, ctx context.Context, m *sim.Model) {
			ok(t, m.Start(ctx, mb))
			until(t, func() bool { return pings(ctx, m, mb) })
			ok(t, m.DelVIP(ctx, m1, vip1))
			ok(t, m.AddVIP(ctx, mb, vip1))
			if got := len(m.Harms()); got != want {
				t.Errorf("with backup %q: %d harms, want %d", backup, got, want)
			}
		})
	}
}

// How long a client waits decides whether a slow server would have answered.
func TestPatienceDecidesWhatIsHarm(t *testing.T) {
	for patience, want := range map[time.Duration]int{time.Second: 0, 3 * time.Second: 1, 0: 1} {
		play(t, func(s *sim.Spec) { s.Patience = patience }, func(t *testing.T, ctx context.Context, m *sim.Model) {
			ok(t, m.Inject(sim.Fault{Kind: sim.Overload, Target: "M1"})) // greets after 2.75 s in the mean
			time.Sleep(10 * time.Second)
			ok(t, m.Reset(ctx, m1))
			if got := len(m.Harms()); got != want {
				t.Errorf("patience %v: %d harms, want %d", patience, got, want)
			}
		})
	}
}

func TestHarmSaysWhat(t *testing.T) {
	play(t, nil, func(t *testing.T, ctx context.Context, m *sim.Model) {
		time.Sleep(time.Minute)
		mark := time.Now()
		ok(t, m.SetLink(ctx, m1, false))
		ok(t, m.Reset(ctx, w1))
		h := m.Harms()
		if len(h) != 2 || h[0].Guest != "M1" || h[0].VIP != vip1 || h[0].What != "M1 on RS1 would have answered its clients at 172.21.14.101" || h[0].At.Before(mark) {
			t.Fatalf("recorded %+v", h)
		}
		s, err := m.Status(ctx, sim.Query{Since: h[1].At, Timeline: true})
		if ok(t, err); len(s.Harms) != 1 || s.Harms[0].Guest != "W1" || !slices.ContainsFunc(s.Timeline, func(e world.Entry) bool { return e.Kind == "harm" }) {
			t.Errorf("since the second: %+v", s.Harms)
		}
	})
}
