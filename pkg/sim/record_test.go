package sim_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/sim"
	"pss-msbs/pkg/sim/judge"
)

// takeover boots Mb and gives it M1's VIP, whoever else holds it.
func takeover(t *testing.T, ctx context.Context, m *sim.Model) {
	t.Helper()
	ok(t, m.Start(ctx, mb))
	until(t, func() bool { return pings(ctx, m, mb) })
	ok(t, m.AddVIP(ctx, mb, vip1))
}

func TestTwoHoldersIsAViolation(t *testing.T) {
	play(t, nil, func(t *testing.T, ctx context.Context, m *sim.Model) {
		takeover(t, ctx, m)
		time.Sleep(3 * time.Second)
		ok(t, m.DelVIP(ctx, m1, vip1))
		alone(t, m, judge.TwoHolders)
		if v := m.Violations()[0]; v.VIP != vip1 || v.Seconds < 3 || v.Seconds > 3.1 {
			t.Errorf("recorded %+v", v)
		}
	})
}

// Every way to fence M1 before the takeover leaves no violation.
func TestFencedHolderIsNoViolation(t *testing.T) {
	for name, fence := range map[string]func(context.Context, *sim.Model) error{
		"stripped":    func(ctx context.Context, m *sim.Model) error { return m.DelVIP(ctx, m1, vip1) },
		"link down":   func(ctx context.Context, m *sim.Model) error { return m.SetLink(ctx, m1, false) },
		"reset":       func(ctx context.Context, m *sim.Model) error { return m.Reset(ctx, m1) },
		"shut down":   fault(sim.VMShutdown, "M1"),
		"partitioned": fault(sim.Partition, "RS1"),
		"frozen":      fault(sim.RealFreeze, "RS1"),
	} {
		t.Run(name, func(t *testing.T) {
			play(t, nil, func(t *testing.T, ctx context.Context, m *sim.Model) {
				ok(t, fence(ctx, m))
				takeover(t, ctx, m)
				alone(t, m)
			})
		})
	}
}

// SPEC 10's one exception: the host was silent when it should have been fenced.
func TestHostThatWasSilentMayReturnWithItsVIP(t *testing.T) {
	for _, tc := range []struct {
		name     string
		fault    string
		stripped time.Duration // after the first answer
		want     []string
	}{
		{"stripped in time", sim.Partition, 500 * time.Millisecond, nil},
		{"too late", sim.Partition, 1500 * time.Millisecond, []string{judge.TwoHolders}},
		{"thawed", sim.RealFreeze, 500 * time.Millisecond, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			play(t, nil, func(t *testing.T, ctx context.Context, m *sim.Model) {
				ok(t, m.Inject(sim.Fault{Kind: tc.fault, Target: "RS1"}))
				takeover(t, ctx, m)
				ok(t, m.Heal("RS1"))
				time.Sleep(2 * time.Second) // nobody has asked it anything yet
				alone(t, m)
				ok(t, m.Ping(ctx, rs1))
				time.Sleep(tc.stripped - 60*time.Millisecond)
				ok(t, m.DelVIP(ctx, m1, vip1))
				alone(t, m, tc.want...)
				s, err := m.Status(ctx, sim.Query{})
				ok(t, err)
				if tc.want == nil && (len(s.Exceptions) != 1 || s.Exceptions[0].Seconds < 2.4 || s.Exceptions[0].AfterAnswer > 0.6) {
					t.Errorf("exceptions %+v", s.Exceptions)
				}
				if got := m.Holders(vip1); len(got) != 1 || got[0] != "Mb" {
					t.Errorf("held by %v", got)
				}
			})
		})
	}
}

// A VIP taken over long after the host answered again is no exception.
func TestExceptionNeedsSilenceAtTheTakeover(t *testing.T) {
	play(t, nil, func(t *testing.T, ctx context.Context, m *sim.Model) {
		ok(t, m.Inject(sim.Fault{Kind: sim.Partition, Target: "RS1", For: time.Second}))
		time.Sleep(2 * time.Second)
		ok(t, m.Ping(ctx, rs1))
		takeover(t, ctx, m)
		alone(t, m, judge.TwoHolders)
	})
}

// Clients that reach into a partition see both holders: the same exception,
// told while it lasts.
func TestPartitionThatSparesClients(t *testing.T) {
	play(t, func(s *sim.Spec) { s.PartitionSparesClients = true }, func(t *testing.T, ctx context.Context, m *sim.Model) {
		ok(t, m.Inject(sim.Fault{Kind: sim.Partition, Target: "RS1"}))
		if pings(ctx, m, m1) || len(m.Holders(vip1)) != 1 {
			t.Error("want M1 lost to the management server alone")
		}
		takeover(t, ctx, m)
		time.Sleep(10 * time.Second)
		s, err := m.Status(ctx, sim.Query{})
		ok(t, err)
		if len(m.Holders(vip1)) != 2 || len(s.Exceptions) != 1 || s.Exceptions[0].Seconds < 10 || s.Exceptions[0].AfterAnswer != 0 {
			t.Errorf("held by %v, exceptions %+v", m.Holders(vip1), s.Exceptions)
		}
		alone(t, m)
		ok(t, m.Heal("RS1"))
		ok(t, m.Ping(ctx, rs1))
		time.Sleep(2 * time.Second)
		alone(t, m, judge.TwoHolders)
	})
}

func TestOtherViolations(t *testing.T) {
	sleep := func(ctx context.Context, m *sim.Model) error {
		for _, g := range []cluster.Guest{f2, {Host: "W2", IP: ip(5), Real: rs3}} {
			if err := m.Destroy(ctx, g); err != nil {
				return err
			}
		}
		return m.SuspendReal(ctx, rs3)
	}
	for _, tc := range []struct {
		name string
		do   func(context.Context, *sim.Model) error
		want string
	}{
		{"suspend under a VIP", func(ctx context.Context, m *sim.Model) error {
			return errors.Join(m.DelVIP(ctx, f2, ip(106)), m.SuspendReal(ctx, rs3)) // W2 keeps its own
		}, judge.SuspendedHolder},
		{"suspend under a boot", func(ctx context.Context, m *sim.Model) error {
			return errors.Join(m.Reset(ctx, f2), m.Destroy(ctx, cluster.Guest{Host: "W2", IP: ip(5), Real: rs3}), m.SuspendReal(ctx, rs3))
		}, judge.SuspendedRecovery},
		{"start on a suspended host", func(ctx context.Context, m *sim.Model) error {
			if err := sleep(ctx, m); err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(ctx, time.Second)
			defer cancel()
			if err := m.Start(ctx, f2); !errors.Is(err, cluster.ErrHostSilent) {
				return errors.Join(errors.New("want silence"), err)
			}
			return nil
		}, judge.AsleepOperation},
		{"one guest on two hosts", func(ctx context.Context, m *sim.Model) error {
			return errors.Join(m.Start(ctx, fs), m.Start(ctx, fs.On(rs2)))
		}, judge.Twin},
		{"pause under a VIP", func(ctx context.Context, m *sim.Model) error { return m.Pause(ctx, m1) }, judge.PausedHolder},
		{"VIP with a stale clock", func(ctx context.Context, m *sim.Model) error {
			return errors.Join(m.DelVIP(ctx, m1, vip1), m.Pause(ctx, m1), m.Resume(ctx, m1), m.AddVIP(ctx, m1, vip1))
		}, judge.StaleClock},
	} {
		t.Run(tc.name, func(t *testing.T) {
			play(t, nil, func(t *testing.T, ctx context.Context, m *sim.Model) {
				ok(t, tc.do(ctx, m))
				alone(t, m, tc.want)
			})
		})
	}
}

// Done right, a sleep and a wake leave nothing: stripped before, clock set after.
func TestSleepAndWakeDoneRight(t *testing.T) {
	play(t, nil, func(t *testing.T, ctx context.Context, m *sim.Model) {
		w2 := cluster.Guest{Host: "W2", IP: ip(5), Real: rs3}
		for g, v := range map[cluster.Guest]int{f2: 106, w2: 105} {
			ok(t, m.DelVIP(ctx, g, ip(v)))
		}
		ok(t, m.SuspendReal(ctx, rs3))
		time.Sleep(time.Hour)
		ok(t, m.WakeReal(ctx, mac(3)))
		until(t, func() bool { return pings(ctx, m, f2) })
		ok(t, m.SetClock(ctx, f2))
		ok(t, m.AddVIP(ctx, f2, ip(106)))
		alone(t, m)
		ok(t, m.AddVIP(ctx, w2, ip(105)))
		alone(t, m, judge.StaleClock)
	})
}

// A guest that restarts by itself as its host is put to sleep is nobody's fault.
func TestRestartAsTheHostFallsAsleep(t *testing.T) {
	play(t, nil, func(t *testing.T, ctx context.Context, m *sim.Model) {
		for g, v := range map[cluster.Guest]int{f2: 106, {Host: "W2", IP: ip(5), Real: rs3}: 105} {
			ok(t, m.DelVIP(ctx, g, ip(v)))
		}
		ok(t, m.Inject(sim.Fault{Kind: sim.VMRestart, Target: "F2"}))
		ok(t, m.SuspendReal(ctx, rs3))
		alone(t, m)
	})
}

func TestKnobs(t *testing.T) {
	for _, tc := range []struct {
		kind, target string
		do           func(context.Context, *sim.Model) error // fails once or for ever
		healed       bool                                    // only Heal cures it
	}{
		{sim.SuspendFail, "RS3", func(ctx context.Context, m *sim.Model) error { return m.SuspendReal(ctx, rs3) }, false},
		{sim.WakeLost, "RS3", wake, false},
		{sim.WakeNever, "RS3", wake, true},
		{sim.RestoreFail, "Fs", restore, false},
		{sim.MigrateFail, "M1", func(ctx context.Context, m *sim.Model) error { return m.Migrate(ctx, m1, rs2) }, false},
		{sim.BootFail, "M1", reboot, false},
	} {
		t.Run(tc.kind, func(t *testing.T) {
			play(t, nil, func(t *testing.T, ctx context.Context, m *sim.Model) {
				ok(t, m.Inject(sim.Fault{Kind: tc.kind, Target: tc.target}))
				if tc.do(ctx, m) == nil {
					t.Error("it did not fail")
				}
				if tc.healed {
					if tc.do(ctx, m) == nil {
						t.Error("it did not fail again")
					}
					ok(t, m.Heal(tc.target))
				}
				ok(t, tc.do(ctx, m))
			})
		})
	}
}

// wake lets RS3 sleep if it does not, and wakes it.
func wake(ctx context.Context, m *sim.Model) error {
	if pings(ctx, m, cluster.Guest{IP: rs3}) {
		if err := m.SuspendReal(ctx, rs3); err != nil {
			return err
		}
	}
	if err := m.WakeReal(ctx, mac(3)); err != nil {
		return err
	}
	return awaitPing(ctx, m, cluster.Guest{IP: rs3})
}

func restore(ctx context.Context, m *sim.Model) error {
	if s, _ := m.GuestState(ctx, fs); s != cluster.GuestSaved {
		if err := errors.Join(m.Start(ctx, fs), awaitPing(ctx, m, fs), m.Save(ctx, fs)); err != nil {
			return err
		}
	}
	return m.Restore(ctx, fs)
}

func reboot(ctx context.Context, m *sim.Model) error {
	return errors.Join(m.Reset(ctx, m1), awaitPing(ctx, m, m1))
}

func awaitPing(ctx context.Context, m *sim.Model, g cluster.Guest) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for !pings(ctx, m, g) {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		time.Sleep(10 * time.Millisecond)
	}
	return nil
}

func TestFaultsThatCannotBe(t *testing.T) {
	play(t, nil, func(t *testing.T, ctx context.Context, m *sim.Model) {
		for _, f := range []sim.Fault{
			{Kind: "earthquake", Target: "RS1"}, {Kind: sim.VMCrash, Target: "M9"}, {Kind: sim.RealFreeze, Target: "M1"},
			{Kind: sim.ServiceStop, Target: "M1:httpd"}, {Kind: sim.RealFreeze, Target: "management"}, {Kind: sim.VMRestart, Target: "Fs"}, {Kind: sim.NetworkLost, Target: "RS1"},
		} {
			if m.Inject(f) == nil {
				t.Errorf("%+v was done", f)
			}
		}
		if m.Heal("M9") == nil || m.SetLoad("News", 1, 0, 0) == nil || m.SetLoad("Mail", 101, 0, 0) == nil {
			t.Error("healed or loaded what is not there")
		}
		if n, _ := sim.FaultKinds(), ctx; len(n) < 20 {
			t.Errorf("only %v", n)
		}
	})
}

func TestSlowCalls(t *testing.T) {
	play(t, nil, func(t *testing.T, ctx context.Context, m *sim.Model) {
		ok(t, m.Inject(sim.Fault{Kind: sim.SlowCalls, Target: "172.21.14.201", Delay: 2 * time.Second}))
		begin := time.Now()
		ok(t, m.HypervisorAlive(ctx, rs1))
		if d := time.Since(begin); !near(d, 2*time.Second) {
			t.Errorf("took %v", d)
		}
	})
}

func TestTimelineTellsTheStory(t *testing.T) {
	play(t, nil, func(t *testing.T, ctx context.Context, m *sim.Model) {
		time.Sleep(time.Second)
		mark := time.Now()
		ok(t, m.Inject(sim.Fault{Kind: sim.VMShutdown, Target: "M1"}))
		takeover(t, ctx, m)
		s, err := m.Status(ctx, sim.Query{Since: mark, Timeline: true})
		ok(t, err)
		var all []string
		for _, e := range s.Timeline {
			if e.At.Before(mark) {
				t.Errorf("%s: %s is from before", e.At, e.What)
			}
			all = append(all, e.What)
		}
		story := strings.Join(all, "\n")
		for _, want := range []string{"vm-shutdown M1", "M1 on RS1 off", "172.21.14.101 held by nobody", "Mb on management booting",
			"172.21.14.101 up: false", "Mb on management running", "172.21.14.101 held by Mb@management"} {
			i := strings.Index(story, want)
			if i < 0 {
				t.Fatalf("%q does not follow in:\n%s", want, strings.Join(all, "\n"))
			}
			story = story[i:]
		}
	})
}
