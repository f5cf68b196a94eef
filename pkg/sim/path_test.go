package sim_test

import (
	"context"
	"errors"
	"math"
	"slices"
	"testing"
	"time"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/sim"
)

// bad is a path fault.
func bad(target string, p sim.Path, d time.Duration) sim.Fault {
	return sim.Fault{Kind: sim.BadPath, Target: target, Path: p, For: d}
}

// Which questions a part of a path is part of.
func TestPartsOfPaths(t *testing.T) {
	dead := sim.Path{LossBack: 1}
	looks := map[string]func(context.Context, *sim.Model) error{
		"ping M1":        func(ctx context.Context, m *sim.Model) error { return m.Ping(ctx, m1.IP) },
		"greet M1":       func(ctx context.Context, m *sim.Model) error { return m.Greet(ctx, m1.IP, "postfix") },
		"agent of M1":    func(ctx context.Context, m *sim.Model) error { _, err := m.Addrs(ctx, m1); return err },
		"ping W1":        func(ctx context.Context, m *sim.Model) error { return m.Ping(ctx, w1.IP) },
		"ping RS1":       func(ctx context.Context, m *sim.Model) error { return m.Ping(ctx, rs1) },
		"hypervisor RS1": func(ctx context.Context, m *sim.Model) error { return m.HypervisorAlive(ctx, rs1) },
		"hypervisor RS2": func(ctx context.Context, m *sim.Model) error { return m.HypervisorAlive(ctx, rs2) },
		"ping 210":       func(ctx context.Context, m *sim.Model) error { return m.Ping(ctx, ip(210)) },
		"ping 220":       func(ctx context.Context, m *sim.Model) error { return m.Ping(ctx, ip(220)) },
		"hypervisor":     func(ctx context.Context, m *sim.Model) error { return m.HypervisorAlive(ctx, mgmt) },
	}
	for target, want := range map[string][]string{
		"M1":             {"greet M1", "ping M1"},
		"RS1":            {"agent of M1", "greet M1", "hypervisor RS1", "ping M1", "ping RS1", "ping W1"},
		"hypervisor:RS1": {"agent of M1", "hypervisor RS1"},
		"172.21.14.210":  {"ping 210"},
		"references":     {"ping 210", "ping 220"},
		"management": {"agent of M1", "greet M1", "hypervisor RS1", "hypervisor RS2", "ping 210", "ping 220",
			"ping M1", "ping RS1", "ping W1"},
	} {
		t.Run(target, func(t *testing.T) {
			play(t, nil, func(t *testing.T, ctx context.Context, m *sim.Model) {
				silent := func() []string {
					var out []string
					for name, look := range looks {
						ctx, cancel := context.WithTimeout(ctx, time.Second)
						if look(ctx, m) != nil {
							out = append(out, name)
						}
						cancel()
					}
					slices.Sort(out)
					return out
				}
				ok(t, m.Inject(bad(target, dead, time.Minute)))
				if got := silent(); !slices.Equal(got, want) {
					t.Errorf("silent: %q, want %q", got, want)
				}
				time.Sleep(time.Minute)
				if got := silent(); len(got) > 0 {
					t.Errorf("silent after its end: %q", got)
				}
				ok(t, m.Inject(bad(target, dead, 0)))
				ok(t, m.Heal(target))
				if got := silent(); len(got) > 0 {
					t.Errorf("silent though healed: %q", got)
				}
			})
		})
	}
}

func TestFaultsThatCannotBeOfAPath(t *testing.T) {
	play(t, nil, func(t *testing.T, ctx context.Context, m *sim.Model) {
		for _, f := range []sim.Fault{bad("M1", sim.Path{}, 0), bad("M1", sim.Path{LossOut: 1.5}, 0), bad("M1", sim.Path{Delay: -1}, 0),
			bad("nobody", sim.Path{LossOut: 1}, 0), bad("hypervisor:M1", sim.Path{LossOut: 1}, 0), bad("172.21.14.9", sim.Path{LossOut: 1}, 0)} {
			if m.Inject(f) == nil {
				t.Errorf("took %+v", f)
			}
		}
	})
}

// course is what pings and greetings of M1 come to for a while.
func lossyCourse(t *testing.T, seed uint64) (out []time.Duration) {
	play(t, func(s *sim.Spec) {
		s.Seed, s.Path = seed, sim.Path{LossOut: 0.1, LossBack: 0.1, Jitter: 50 * time.Millisecond}
	},
		func(t *testing.T, ctx context.Context, m *sim.Model) {
			for range 200 {
				begin := time.Now()
				ctx, cancel := context.WithTimeout(ctx, 400*time.Millisecond)
				both := make(chan time.Duration, 2)
				for _, look := range []func() error{func() error { return m.Ping(ctx, m1.IP) }, func() error { return m.Greet(ctx, m1.IP, "postfix") }} {
					go func() {
						if look() != nil {
							both <- -1
						} else {
							both <- time.Since(begin)
						}
					}()
				}
				two := []time.Duration{<-both, <-both}
				slices.Sort(two)
				out = append(out, two...)
				cancel()
				time.Sleep(time.Second)
			}
		})
	return out
}

func TestTheSeedDecidesTheFateOfPackets(t *testing.T) {
	first := lossyCourse(t, 7)
	if again := lossyCourse(t, 7); !slices.Equal(first, again) {
		t.Error("the same seed gives another course")
	}
	if slices.Equal(first, lossyCourse(t, 8)) {
		t.Error("another seed gives the same course")
	}
	lost := 0
	for _, d := range first {
		if d < 0 {
			lost++
		}
	}
	if lost < 40 || lost > 140 { // 0.19 of 200 pings, about as many greetings
		t.Errorf("%d of 400 lost", lost)
	}
}

// Two questions of one kind within an instant have each their own luck.
func TestTwinsWithinAnInstantHaveTheirOwnLuck(t *testing.T) {
	play(t, func(s *sim.Spec) { s.Path = sim.Path{LossOut: 0.5} }, func(t *testing.T, ctx context.Context, m *sim.Model) {
		alike := 0
		for range 100 {
			ctx, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
			both := make(chan bool, 2)
			for range 2 {
				go func() { both <- m.Ping(ctx, m1.IP) == nil }()
			}
			first, second := <-both, <-both
			if first == second {
				alike++
			}
			cancel()
			time.Sleep(time.Second)
		}
		if alike < 30 || alike > 70 {
			t.Errorf("%d of 100 pairs have one fate", alike)
		}
	})
}

func TestEventsOverABadPathArriveLateAndInOrder(t *testing.T) {
	play(t, func(s *sim.Spec) { s.Path = sim.Path{LossBack: 0.5, Delay: 30 * time.Millisecond} }, func(t *testing.T, ctx context.Context, m *sim.Model) {
		ctx, cancel := context.WithCancel(ctx)
		events, err := m.Events(ctx, rs1)
		ok(t, err)
		late := false
		for range 20 {
			begin := time.Now()
			ok(t, m.Inject(sim.Fault{Kind: sim.VMRestart, Target: "M1"}))
			gone, rebooted := <-events, <-events
			if gone.Kind != cluster.EventAgentGone || rebooted.Kind != cluster.EventRebooted || time.Since(begin) < 220*time.Millisecond {
				t.Errorf("%s, then %s after %v", gone.Kind, rebooted.Kind, time.Since(begin))
			}
			late = late || time.Since(begin) > 400*time.Millisecond
			<-events // its agent is up
		}
		if !late {
			t.Error("no event had to be sent again")
		}
		cancel()
		for range events { // closed once its context ends
		}
	})
}

func TestLossMakesCallsOfAHypervisorLateNotLost(t *testing.T) {
	play(t, func(s *sim.Spec) { s.Path = sim.Path{LossOut: 0.1, LossBack: 0.1} }, func(t *testing.T, ctx context.Context, m *sim.Model) {
		late := 0
		for range 200 {
			begin := time.Now()
			if is(t, ctx, m, m1, cluster.GuestRunning); time.Since(begin) >= 200*time.Millisecond {
				late++
			}
		}
		if late < 20 || late > 60 {
			t.Errorf("%d of 200 calls had to be sent again", late)
		}
		ok(t, m.Inject(bad("RS1", sim.Path{LossOut: 1}, 0)))
		ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
		defer cancel()
		if _, err := m.GuestState(ctx, m1); !errors.Is(err, cluster.ErrHostSilent) {
			t.Errorf("through a dead path: %v", err)
		}
	})
}

func TestLostARPIsAskedAgain(t *testing.T) {
	play(t, func(s *sim.Spec) { s.Path = sim.Path{LossOut: 0.5} }, func(t *testing.T, ctx context.Context, m *sim.Model) {
		took := map[time.Duration]int{}
		for range 400 {
			begin := time.Now()
			whoHas(t, ctx, m, vip1)
			took[time.Since(begin)]++
			time.Sleep(time.Second)
		}
		for d, share := range map[time.Duration]float64{2: 0.5, 152: 0.25, 302: 0.125, 452: 1.0 / 16, 500: 1.0 / 16} {
			if got := float64(took[d*time.Millisecond]) / 400; math.Abs(got-share) > 0.07 {
				t.Errorf("after %d ms in %.3f, want %.3f (%v)", d, got, share, took)
			}
		}
	})
}

func TestLossTakesMagicPackets(t *testing.T) {
	play(t, nil, func(t *testing.T, ctx context.Context, m *sim.Model) {
		ok(t, m.Inject(sim.Fault{Kind: sim.RealShutdown, Target: "RS1"}))
		ok(t, m.Inject(bad("RS1", sim.Path{LossOut: 1}, 0)))
		ok(t, m.WakeReal(ctx, mac(1)))
		time.Sleep(time.Minute)
		ok(t, m.Heal("RS1"))
		if pings(ctx, m, cluster.Guest{IP: rs1}) {
			t.Error("a lost magic packet booted it")
		}
		ok(t, m.WakeReal(ctx, mac(1)))
		until(t, func() bool { return pings(ctx, m, cluster.Guest{IP: rs1}) })
	})
}
