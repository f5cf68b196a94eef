package sim_test

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/guest"
	"pss-msbs/pkg/sim"
	"pss-msbs/pkg/sim/judge"
)

var vip1 = ip(101)

// whoHas is the MACs that answer for at.
func whoHas(t *testing.T, ctx context.Context, m *sim.Model, at netip.Addr) []cluster.MAC {
	t.Helper()
	macs, err := m.WhoHas(ctx, at)
	ok(t, err)
	return macs
}

func TestHolderOfAVIPIsTheGuestWithItsMAC(t *testing.T) {
	play(t, nil, func(t *testing.T, ctx context.Context, m *sim.Model) {
		own := whoHas(t, ctx, m, m1.IP)
		if !slices.Equal(own, whoHas(t, ctx, m, vip1)) || len(own) != 1 {
			t.Errorf("M1 answers as %v, its VIP as %v", own, whoHas(t, ctx, m, vip1))
		}
		begin := time.Now()
		if macs := whoHas(t, ctx, m, ip(177)); len(macs) != 0 || time.Since(begin) != 500*time.Millisecond {
			t.Errorf("%v have an address nobody has, said after %v", macs, time.Since(begin))
		}
		if macs := whoHas(t, ctx, m, rs1); !slices.Equal(macs, []cluster.MAC{mac(1)}) {
			t.Errorf("RS1 answers as %v", macs)
		}
	})
}

// VIPs are run-time configuration: what a reset loses, a pause, a save and a
// migration keep.
func TestWhatKeepsAVIP(t *testing.T) {
	play(t, nil, func(t *testing.T, ctx context.Context, m *sim.Model) {
		has := func(g cluster.Guest, want bool) {
			t.Helper()
			addrs, err := m.Addrs(ctx, g)
			ok(t, err)
			if slices.Contains(addrs, vip1) != want {
				t.Errorf("%s has %v", g.Host, addrs)
			}
		}
		ok(t, m.Migrate(ctx, m1, rs2))
		has(m1.On(rs2), true)
		ok(t, m.Pause(ctx, m1.On(rs2)))
		if macs := whoHas(t, ctx, m, vip1); len(macs) != 0 {
			t.Errorf("a paused guest answers as %v", macs)
		}
		ok(t, m.Resume(ctx, m1.On(rs2)))
		has(m1.On(rs2), true)
		ok(t, m.Save(ctx, m1.On(rs2)))
		is(t, ctx, m, m1, cluster.GuestSaved)
		is(t, ctx, m, m1.On(rs2), cluster.GuestSaved)
		ok(t, m.Restore(ctx, m1))
		has(m1, true)
		is(t, ctx, m, m1.On(rs2), cluster.GuestAbsent)
		ok(t, m.Reset(ctx, m1))
		until(t, func() bool { return pings(ctx, m, m1) })
		has(m1, false)
		alone(t, m, judge.PausedHolder, judge.KeptVIP, judge.PausedHolder, judge.KeptVIP)
	})
}

// Link fence, cut, freeze, partition: who is reached, and whose agent answers.
func TestWhoIsReached(t *testing.T) {
	for _, tc := range []struct {
		name         string
		do           func(context.Context, *sim.Model) error
		ping, agent  bool
		why          error
		afterwards   func(context.Context, *sim.Model) error
		againAnswers bool
	}{
		{"link fence", func(ctx context.Context, m *sim.Model) error { return m.SetLink(ctx, m1, false) }, false, true, nil,
			func(ctx context.Context, m *sim.Model) error { return m.SetLink(ctx, m1, true) }, true},
		{"network cut", fault(sim.NetworkCut, "M1"), false, true, nil, heal("M1"), true},
		{"guest frozen", fault(sim.VMFreeze, "M1"), false, false, cluster.ErrAgentSilent, heal("M1"), true},
		{"agent dead", fault(sim.AgentDead, "M1"), true, false, cluster.ErrAgentSilent, heal("M1"), true},
		{"host frozen", fault(sim.RealFreeze, "RS1"), false, false, cluster.ErrHostSilent, heal("RS1"), true},
		{"host partitioned", fault(sim.Partition, "RS1"), false, false, cluster.ErrHostSilent, heal("RS1"), true},
		{"host off", fault(sim.RealShutdown, "RS1"), false, false, cluster.ErrHostSilent, heal("RS1"), false},
		{"hypervisor stopped", fault(sim.HypervisorStop, "RS1"), true, false, cluster.ErrHostSilent, restartHypervisor, true},
		{"hypervisor frozen", fault(sim.HypervisorFreeze, "RS1"), true, false, cluster.ErrHostSilent, restartHypervisor, true},
		{"own network lost", fault(sim.NetworkLost, "management"), false, false, cluster.ErrHostSilent, heal("management"), true},
		{"crashed", fault(sim.VMCrash, "M1"), false, false, cluster.ErrAgentSilent, heal("M1"), false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			play(t, nil, func(t *testing.T, ctx context.Context, m *sim.Model) {
				agent := func() error {
					ctx, cancel := context.WithTimeout(ctx, time.Second)
					defer cancel()
					_, err := m.Addrs(ctx, m1)
					return err
				}
				ok(t, tc.do(ctx, m))
				if got := pings(ctx, m, m1); got != tc.ping {
					t.Errorf("ping answered: %t", got)
				}
				if err := agent(); (err == nil) != tc.agent || !tc.agent && !errors.Is(err, tc.why) {
					t.Errorf("agent: %v, want %v", err, tc.why)
				}
				ok(t, tc.afterwards(ctx, m))
				if got := pings(ctx, m, m1) && agent() == nil; got != tc.againAnswers {
					t.Errorf("answers afterwards: %t", got)
				}
				alone(t, m)
			})
		})
	}
}

func fault(kind, target string) func(context.Context, *sim.Model) error {
	return func(_ context.Context, m *sim.Model) error { return m.Inject(sim.Fault{Kind: kind, Target: target}) }
}

func heal(target string) func(context.Context, *sim.Model) error {
	return func(_ context.Context, m *sim.Model) error { return m.Heal(target) }
}

func restartHypervisor(ctx context.Context, m *sim.Model) error {
	return m.RestartHypervisor(ctx, rs1)
}

func TestCallToASilentHostHangsUntilTheDeadline(t *testing.T) {
	play(t, nil, func(t *testing.T, ctx context.Context, m *sim.Model) {
		ok(t, m.Inject(sim.Fault{Kind: sim.RealFreeze, Target: "RS1"}))
		for _, call := range []func(context.Context) error{
			func(ctx context.Context) error { _, err := m.GuestState(ctx, m1); return err },
			func(ctx context.Context) error { return m.Start(ctx, m1) },
			func(ctx context.Context) error { return m.Pause(ctx, m1) },
			func(ctx context.Context) error { return m.DelVIP(ctx, m1, vip1) },
			func(ctx context.Context) error { return m.SuspendReal(ctx, rs1) },
			func(ctx context.Context) error { return m.RestartHypervisor(ctx, rs1) },
		} {
			begin := time.Now()
			ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
			err := call(ctx)
			cancel()
			if d := time.Since(begin); !errors.Is(err, cluster.ErrHostSilent) || d != 3*time.Second {
				t.Errorf("%v after %v", err, d)
			}
		}
	})
}

// A call already under way hangs with the host it went to.
func TestHostLostDuringACall(t *testing.T) {
	play(t, nil, func(t *testing.T, ctx context.Context, m *sim.Model) {
		ok(t, m.Start(ctx, mb))
		until(t, func() bool { return pings(ctx, m, mb) })
		time.AfterFunc(time.Second, func() { ok(t, m.Inject(sim.Fault{Kind: sim.RealShutdown, Target: "RS1"})) })
		begin := time.Now()
		err := func() error {
			ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
			defer cancel()
			return m.Migrate(ctx, m1, rs2)
		}()
		if d := time.Since(begin); !errors.Is(err, cluster.ErrHostSilent) || d != 10*time.Second {
			t.Errorf("migration from a lost host: %v after %v", err, d)
		}
		is(t, ctx, m, m1.On(rs2), cluster.GuestAbsent)
		if err := m.Migrate(ctx, mb, rs1); err == nil {
			t.Error("migrated to a host that is off")
		}
		is(t, ctx, m, mb, cluster.GuestRunning)
	})
}

func TestReferencesAnswerWhileOurNetworkIsWell(t *testing.T) {
	play(t, nil, func(t *testing.T, ctx context.Context, m *sim.Model) {
		ref := cluster.Guest{IP: ip(210)}
		if !pings(ctx, m, ref) {
			t.Error("a reference does not answer")
		}
		ok(t, m.Inject(sim.Fault{Kind: sim.NetworkLost, Target: "management", For: time.Minute}))
		if pings(ctx, m, ref) || len(m.Holders(vip1)) != 1 {
			t.Error("cut off, a reference answers or clients lose M1")
		}
		time.Sleep(time.Minute)
		if !pings(ctx, m, ref) {
			t.Error("the fault did not heal by itself")
		}
	})
}

func TestServiceFaults(t *testing.T) {
	play(t, nil, func(t *testing.T, ctx context.Context, m *sim.Model) {
		ok(t, m.Inject(sim.Fault{Kind: sim.ServiceStop, Target: "M1:postfix"}))
		if greets(ctx, m, m1.IP, "postfix") || !greets(ctx, m, m1.IP, "dovecot") || !pings(ctx, m, m1) {
			t.Error("want postfix alone stopped")
		}
		ok(t, m.RestartDaemon(ctx, m1, "postfix"))
		if !greets(ctx, m, m1.IP, "postfix") || !greets(ctx, m, vip1, "postfix") {
			t.Error("a restart does not cure a stopped service")
		}
		ok(t, m.Inject(sim.Fault{Kind: sim.ServiceFreeze, Target: "M1"}))
		ok(t, m.RestartDaemon(ctx, m1, "dovecot"))
		if greets(ctx, m, m1.IP, "dovecot") || !pings(ctx, m, m1) {
			t.Error("a restart cures a frozen service, or ping does not answer")
		}
		ok(t, m.Reset(ctx, m1))
		until(t, func() bool { return greets(ctx, m, m1.IP, "dovecot") })
		if err := m.RestartDaemon(ctx, m1, "httpd"); err == nil {
			t.Error("restarted a service that is not there")
		}
	})
}

func TestEventsComeWithTheLabsDelays(t *testing.T) {
	for _, tc := range []struct {
		fault string
		want  map[cluster.EventKind]time.Duration
	}{
		{sim.VMRestart, map[cluster.EventKind]time.Duration{cluster.EventAgentGone: 120 * time.Millisecond,
			cluster.EventRebooted: 190 * time.Millisecond, cluster.EventAgentUp: 13570 * time.Millisecond}},
		{sim.VMShutdown, map[cluster.EventKind]time.Duration{cluster.EventAgentGone: 120 * time.Millisecond, cluster.EventShutdown: 250 * time.Millisecond}},
		{sim.VMCrash, map[cluster.EventKind]time.Duration{cluster.EventCrashed: 100 * time.Millisecond}},
	} {
		play(t, nil, func(t *testing.T, ctx context.Context, m *sim.Model) {
			ctx, cancel := context.WithCancel(ctx)
			events, err := m.Events(ctx, rs1)
			ok(t, err)
			begin := time.Now()
			ok(t, m.Inject(sim.Fault{Kind: tc.fault, Target: "M1"}))
			for range tc.want {
				e := <-events
				if d, known := tc.want[e.Kind]; !known || e.At.Sub(begin) != d || e.Host != "M1" {
					t.Errorf("%s: %s of %s after %v", tc.fault, e.Kind, e.Host, e.At.Sub(begin))
				}
			}
			cancel()
			for range events { // closed once its context ends
			}
		})
	}
}

func TestSilenceOfAHostIsAnEvent(t *testing.T) {
	play(t, nil, func(t *testing.T, ctx context.Context, m *sim.Model) {
		events, err := m.Events(ctx, rs1)
		ok(t, err)
		begin := time.Now()
		ok(t, m.Inject(sim.Fault{Kind: sim.Partition, Target: "RS1"}))
		if e := <-events; e.Kind != cluster.EventDisconnected || e.At.Sub(begin) != 3200*time.Millisecond {
			t.Errorf("%s after %v", e.Kind, e.At.Sub(begin))
		}
		ok(t, m.Inject(sim.Fault{Kind: sim.VMRestart, Target: "M1"})) // nobody hears of it
		time.Sleep(time.Second)
		ok(t, m.Heal("RS1"))
		time.Sleep(time.Second)
		ok(t, m.Inject(sim.Fault{Kind: sim.VMShutdown, Target: "W1"}))
		if e := <-events; e.Host != "W1" {
			t.Errorf("%s of %s was heard through a partition", e.Kind, e.Host)
		}
	})
}

// What free and sar print is read by the parser that reads the real ones.
func TestReadings(t *testing.T) {
	play(t, nil, func(t *testing.T, ctx context.Context, m *sim.Model) {
		ok(t, m.SetLoad("Mail", 20, 0, 0))
		measure := func(memory int64, cpu, net float64) {
			t.Helper()
			begin := time.Now()
			r, err := guest.Measure(ctx, m, m1)
			ok(t, err)
			if d := time.Since(begin); d < time.Second || d > 2*time.Second {
				t.Errorf("measuring took %v", d)
			}
			if r.MaxMemoryKB != 2<<20 || r.MemoryKB != memory || r.CPU < cpu-.01 || r.CPU > cpu+.01 || r.NetworkKBs < net-1 || r.NetworkKBs > net+1 {
				t.Errorf("reading %+v, want %d KB, %g %%, %g KB/s", r, memory, cpu, net)
			}
		}
		measure(2<<20*20/100, 20, 256000*0.2)
		ok(t, m.AddVIP(ctx, m1, ip(104))) // serves for two
		measure(2<<20*20/100, 40, 256000*0.4)
		ok(t, m.SetLoad("Mail", 40, 0, 100*time.Second))
		time.Sleep(50*time.Second - time.Second)
		r, err := guest.Measure(ctx, m, cluster.Guest{Host: "M2", IP: ip(4), Real: rs2})
		if ok(t, err); r.CPU < 29.5 || r.CPU > 30.5 {
			t.Errorf("half way from 20 to 40 %% it reads %g %%", r.CPU)
		}
		ok(t, m.DelVIP(ctx, m1, vip1))
		ok(t, m.DelVIP(ctx, m1, ip(104)))
		measure(2<<20*6/100, 0.5, 0.2)
		for _, argv := range [][]string{{"reboot"}, {"sar", "-u"}, {"sar", "-x", "1", "1"}, {}, {"free", "-m"}} {
			if _, err := m.Run(ctx, m1, argv); err == nil {
				t.Errorf("ran %q", argv)
			}
		}
	})
}

func TestManyServers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := paperSpec()
		for n := range 300 {
			own := netip.AddrFrom4([4]byte{10, 0, byte(n / 200), byte(n%200 + 1)})
			vip := netip.AddrFrom4([4]byte{10, 1, byte(n / 200), byte(n%200 + 1)})
			s.Guests = append(s.Guests, sim.GuestSpec{Host: "V" + own.String(), IP: own, Group: "Web", Kind: sim.Virtual,
				Daemons: []string{"httpd"}, Home: ip(201 + n%3), On: ip(201 + n%3), VIPs: []netip.Addr{vip}, MemoryKB: 1 << 20, Cores: 1, NetworkMbps: 1000})
			s.VIPs = append(s.VIPs, sim.VIPSpec{VIP: vip, Group: "Web"})
		}
		m := newModel(t, s)
		defer m.Close()
		for n := range 300 {
			own := s.Guests[len(s.Guests)-300+n]
			go func() {
				for range 5 {
					_ = m.Ping(t.Context(), own.IP)
					_, _ = m.GuestState(t.Context(), cluster.Guest{Host: own.Host, IP: own.IP, Real: own.On})
				}
			}()
		}
		time.Sleep(time.Minute)
		st, err := m.Status(t.Context(), sim.Query{})
		if ok(t, err); len(st.VIPs) != 306 || len(st.Violations) != 0 {
			t.Errorf("%d VIPs, violations %v", len(st.VIPs), st.Violations)
		}
	})
}
