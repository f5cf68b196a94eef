package sim_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/guest"
	"pss-msbs/pkg/sim"
)

// took is how long do takes, in virtual time.
func took(do func() error) (time.Duration, error) {
	begin := time.Now()
	err := do()
	return time.Since(begin), err
}

// A guest that its hypervisor holds says nothing, and then all goes on: whoever
// still waits is answered.
func TestHeldGuestAnswersAfterwards(t *testing.T) {
	for says, want := range map[cluster.GuestState]cluster.GuestState{"": cluster.GuestRunning, cluster.GuestPaused: cluster.GuestPaused} {
		play(t, nil, func(t *testing.T, ctx context.Context, m *sim.Model) {
			begin := time.Now()
			ok(t, m.Inject(sim.Fault{Kind: sim.VMStall, Target: "M1", For: 3 * time.Second, Says: says}))
			is(t, ctx, m, m1, want)
			if pings(ctx, m, m1) || greets(ctx, m, m1.IP, "postfix") || len(whoHas(t, ctx, m, vip1)) != 0 {
				t.Error("it answers while it is held")
			}
			brief, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
			err := m.SetClock(brief, m1)
			if !errors.Is(err, cluster.ErrAgentSilent) || errors.Is(err, cluster.ErrAgentGone) || (brief.Err() == nil) != (says == cluster.GuestPaused) {
				t.Errorf("agent of a guest that is %s: %v", want, err)
			}
			cancel()
			if err := m.Ping(ctx, m1.IP); err != nil || time.Since(begin) < 3*time.Second {
				t.Errorf("ping after %v: %v", time.Since(begin), err)
			}
			ok(t, m.SetClock(ctx, m1))
			is(t, ctx, m, m1, cluster.GuestRunning)
			if !greets(ctx, m, vip1, "postfix") {
				t.Error("it lost its VIP")
			}
			alone(t, m)
		})
	}
}

func TestWhatEndsAStall(t *testing.T) {
	for name, end := range map[string]func(context.Context, *sim.Model) error{
		"heal":  heal("M1"),
		"reset": func(ctx context.Context, m *sim.Model) error { return m.Reset(ctx, m1) },
		"destroy": func(ctx context.Context, m *sim.Model) error {
			return errors.Join(m.Destroy(ctx, m1), m.Start(ctx, m1))
		},
	} {
		t.Run(name, func(t *testing.T) {
			play(t, nil, func(t *testing.T, ctx context.Context, m *sim.Model) {
				ok(t, m.Inject(sim.Fault{Kind: sim.VMStall, Target: "M1"}))
				if m.Inject(sim.Fault{Kind: sim.VMStall, Target: "M1"}) == nil {
					t.Error("held twice")
				}
				time.Sleep(time.Minute)
				if pings(ctx, m, m1) {
					t.Error("a stall without end ended")
				}
				ok(t, end(ctx, m))
				until(t, func() bool { return pings(ctx, m, m1) })
			})
		})
	}
}

func TestAStallEndsAloneAndLeavesOtherFaults(t *testing.T) {
	play(t, nil, func(t *testing.T, ctx context.Context, m *sim.Model) {
		ok(t, m.Inject(sim.Fault{Kind: sim.NetworkCut, Target: "M1"}))
		ok(t, m.Inject(sim.Fault{Kind: sim.VMStall, Target: "M1", For: time.Second}))
		ok(t, m.Inject(sim.Fault{Kind: sim.Overload, Target: "M1", For: time.Second}))
		ok(t, m.Inject(bad("M1", sim.Path{LossOut: 0.1}, time.Second)))
		time.Sleep(2 * time.Second)
		if pings(ctx, m, m1) {
			t.Error("the end of one fault healed another")
		}
		if m.Inject(sim.Fault{Kind: sim.VMStall, Target: "M1", Says: cluster.GuestOff}) == nil {
			t.Error("a held guest may be said to be off")
		}
	})
}

// An overloaded server answers all the same, later; its CPU shows why.
func TestOverloadedServerGreetsLate(t *testing.T) {
	play(t, nil, func(t *testing.T, ctx context.Context, m *sim.Model) {
		ok(t, m.Inject(sim.Fault{Kind: sim.Overload, Target: "M1", For: 10 * time.Minute}))
		ctx, cancel := context.WithTimeout(ctx, time.Hour)
		defer cancel()
		for name, c := range map[string]struct {
			do       func() error
			from, to time.Duration
		}{
			"greeting": {func() error { return m.Greet(ctx, m1.IP, "postfix") }, time.Second, 4600 * time.Millisecond},
			"agent":    {func() error { return m.SetClock(ctx, m1) }, 260 * time.Millisecond, 1300 * time.Millisecond},
			"ping":     {func() error { return m.Ping(ctx, m1.IP) }, time.Millisecond, 32 * time.Millisecond},
		} {
			var all []time.Duration
			for range 50 {
				d, err := took(c.do)
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				all = append(all, d)
			}
			slices.Sort(all)
			least, most := all[0], all[35] // some wait for the end of a jam
			if least < c.from || most > c.to || most-least < (c.to-c.from)/2 {
				t.Errorf("%s takes %v to %v", name, least, most)
			}
		}
		r, err := guest.Measure(ctx, m, m1)
		if ok(t, err); r.CPU != 100 {
			t.Errorf("CPU %g %%", r.CPU)
		}
		time.Sleep(10 * time.Minute)
		if d, err := took(func() error { return m.Greet(ctx, m1.IP, "postfix") }); err != nil || d != 3*time.Millisecond {
			t.Errorf("greets after %v (%v) when it is over", d, err)
		}
	})
}

func TestNewerOverloadOutlastsAnOlder(t *testing.T) {
	play(t, nil, func(t *testing.T, ctx context.Context, m *sim.Model) {
		for _, d := range []time.Duration{10 * time.Second, time.Minute} {
			ok(t, m.Inject(sim.Fault{Kind: sim.Overload, Target: "M1", For: d}))
		}
		time.Sleep(30 * time.Second)
		if greets(ctx, m, m1.IP, "postfix") {
			t.Error("the end of the older overload ended the newer")
		}
		ok(t, m.Reset(ctx, m1))
		until(t, func() bool { return greets(ctx, m, m1.IP, "postfix") })
	})
}

// Greetings take longer where there is much load, or guests boot beside.
func TestGreetingsGrowWithLoadAndBoots(t *testing.T) {
	slow := func(s *sim.Spec) { s.Times.BusyGreet, s.Times.BootGreet = 4*time.Second, 800*time.Millisecond }
	play(t, slow, func(t *testing.T, ctx context.Context, m *sim.Model) {
		longest := func() (most time.Duration) {
			for range 50 {
				d, err := took(func() error { return m.Greet(ctx, m1.IP, "postfix") })
				ok(t, err)
				most = max(most, d)
			}
			return most
		}
		for _, tc := range []struct {
			load     float64
			from, to time.Duration
		}{{60, 3 * time.Millisecond, 3 * time.Millisecond}, {85, 700 * time.Millisecond, 1100 * time.Millisecond}, {100, 3 * time.Second, 4100 * time.Millisecond}} {
			ok(t, m.SetLoad("Mail", tc.load, 0, 0))
			if d := longest(); d < tc.from || d > tc.to {
				t.Errorf("at %g %% within %v", tc.load, d)
			}
		}
		ok(t, m.SetLoad("Mail", 20, 0, 0))
		ok(t, m.Start(ctx, fs)) // on the same real server
		if d := longest(); d < 500*time.Millisecond || d > 900*time.Millisecond {
			t.Errorf("beside a boot within %v", d)
		}
		until(t, func() bool { return pings(ctx, m, fs) })
		if d := longest(); d != 3*time.Millisecond {
			t.Errorf("after the boot within %v", d)
		}
	})
}

// An agent whose channel is closed is refused at once; one that is silent keeps
// its caller waiting.
func TestClosedAgentIsToldFromASilentOne(t *testing.T) {
	for _, tc := range []struct {
		fault string
		gone  bool
	}{
		{sim.VMShutdown, true}, {sim.VMCrash, true}, {sim.VMRestart, true}, {sim.AgentDead, true},
		{sim.VMFreeze, false}, {sim.VMStall, false}, {sim.AgentHung, false},
	} {
		t.Run(tc.fault, func(t *testing.T) {
			play(t, nil, func(t *testing.T, ctx context.Context, m *sim.Model) {
				ok(t, m.Inject(sim.Fault{Kind: tc.fault, Target: "M1"}))
				time.Sleep(2 * time.Second)
				ctx, cancel := context.WithTimeout(ctx, time.Second)
				defer cancel()
				d, err := took(func() error { return m.SetClock(ctx, m1) })
				if !errors.Is(err, cluster.ErrAgentSilent) || errors.Is(err, cluster.ErrAgentGone) != tc.gone || (d < 50*time.Millisecond) != tc.gone {
					t.Errorf("%v after %v, want gone: %t", err, d, tc.gone)
				}
			})
		})
	}
}

func TestClientsOfAnOverloadedServerWait(t *testing.T) {
	slow := func(s *sim.Spec) { s.VIPs = s.VIPs[:1]; s.Balancer.AskInterval = 10 * time.Second }
	play(t, slow, func(t *testing.T, ctx context.Context, m *sim.Model) {
		ok(t, m.Inject(sim.Fault{Kind: sim.Overload, Target: "M1"}))
		time.Sleep(10 * time.Minute)
		s, err := m.Status(ctx, sim.Query{})
		if c := s.Clients[0]; err != nil || c.Failed > c.Asked/3 || c.Longest < 3.5 || c.Longest > 40 {
			t.Errorf("%+v (%v)", c, err)
		}
	})
}

// Whoever waits in a stall that the hypervisor does not speak of is answered at its end.
func TestWhoWaitsIsAnsweredAtTheEndOfAStall(t *testing.T) {
	for name, look := range map[string]func(context.Context, *sim.Model) error{
		"ping":     func(ctx context.Context, m *sim.Model) error { return m.Ping(ctx, m1.IP) },
		"greeting": func(ctx context.Context, m *sim.Model) error { return m.Greet(ctx, m1.IP, "postfix") },
		"agent":    func(ctx context.Context, m *sim.Model) error { return m.SetClock(ctx, m1) },
	} {
		play(t, nil, func(t *testing.T, ctx context.Context, m *sim.Model) {
			ok(t, m.Inject(sim.Fault{Kind: sim.VMStall, Target: "M1", For: 2 * time.Second}))
			if d, err := took(func() error { return look(ctx, m) }); err != nil || d < 2*time.Second || d > 2100*time.Millisecond {
				t.Errorf("%s after %v: %v", name, d, err)
			}
		})
	}
}

func TestAPauseIsReported(t *testing.T) {
	play(t, nil, func(t *testing.T, ctx context.Context, m *sim.Model) {
		ctx, cancel := context.WithCancel(ctx)
		events, err := m.Events(ctx, rs1)
		ok(t, err)
		ok(t, m.Inject(sim.Fault{Kind: sim.VMStall, Target: "M1", For: time.Second}))
		time.Sleep(2 * time.Second)
		ok(t, m.Inject(sim.Fault{Kind: sim.VMStall, Target: "W1", For: time.Second, Says: cluster.GuestPaused}))
		for _, want := range []cluster.EventKind{cluster.EventPaused, cluster.EventResumed} {
			if e := <-events; e.Kind != want || e.Host != "W1" {
				t.Errorf("%s of %s, want %s of W1", e.Kind, e.Host, want)
			}
		}
		cancel()
		for range events { // closed once its context ends
		}
	})
}

// A crash is the hypervisor's word 0.1 s after it, not before; the agent's channel
// is closed at once.
func TestTheHypervisorTellsOfACrash(t *testing.T) {
	play(t, nil, func(t *testing.T, ctx context.Context, m *sim.Model) {
		ok(t, m.Inject(sim.Fault{Kind: sim.VMCrash, Target: "M1"}))
		is(t, ctx, m, m1, cluster.GuestRunning)
		if err := m.SetClock(ctx, m1); !errors.Is(err, cluster.ErrAgentGone) {
			t.Errorf("agent: %v", err)
		}
		time.Sleep(100 * time.Millisecond)
		is(t, ctx, m, m1, cluster.GuestCrashed)
	})
}
