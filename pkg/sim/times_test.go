package sim_test

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/sim"
)

// Table 4, row by row: start times, first and second, of each kind of server.
func TestStartTimesOfTable4(t *testing.T) {
	ws := cluster.Guest{Host: "Ws", IP: ip(52), Real: rs1}
	mb2 := cluster.Guest{Host: "Mb2", IP: ip(64), Real: mgmt}
	for _, tc := range []struct {
		name          string
		first, second cluster.Guest
		want          [2]time.Duration
	}{
		{"virtual", m1, w1, [2]time.Duration{25140 * time.Millisecond, 11340 * time.Millisecond}},
		{"backup", mb, mb2, [2]time.Duration{23490 * time.Millisecond, 11950 * time.Millisecond}},
		{"spare", fs, ws, [2]time.Duration{47380 * time.Millisecond, 29080 * time.Millisecond}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			play(t, nil, func(t *testing.T, ctx context.Context, m *sim.Model) {
				ok(t, m.Inject(sim.Fault{Kind: sim.RealRestart, Target: "RS1"})) // its disk cache is lost
				up := until(t, func() bool { return pings(ctx, m, cluster.Guest{IP: rs1}) })
				if !near(up, 48010*time.Millisecond) {
					t.Errorf("restart of a real server took %v", up)
				}
				for n, g := range []cluster.Guest{tc.first, tc.second} {
					ok(t, m.Start(ctx, g))
					is(t, ctx, m, g, cluster.GuestBooting)
					if d := until(t, func() bool { return pings(ctx, m, g) }); !near(d+20*time.Millisecond, tc.want[n]) {
						t.Errorf("start %d took %v, want %v", n+1, d, tc.want[n])
					}
					is(t, ctx, m, g, cluster.GuestRunning)
				}
				alone(t, m)
			})
		})
	}
}

func pings(ctx context.Context, m *sim.Model, g cluster.Guest) bool {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Millisecond)
	defer cancel()
	return m.Ping(ctx, g.IP) == nil
}

func TestRestartTimesOfTable4(t *testing.T) {
	for kind, want := range map[cluster.Guest]time.Duration{
		m1: 13570 * time.Millisecond, mb: 14070 * time.Millisecond, fs: 26570 * time.Millisecond,
	} {
		play(t, nil, func(t *testing.T, ctx context.Context, m *sim.Model) {
			ok(t, m.Start(ctx, kind))
			until(t, func() bool { return pings(ctx, m, kind) })
			ok(t, m.Reset(ctx, kind))
			is(t, ctx, m, kind, cluster.GuestBooting)
			if d := until(t, func() bool { return pings(ctx, m, kind) }); !near(d+30*time.Millisecond, want) {
				t.Errorf("restart of %s took %v, want %v", kind.Host, d, want)
			}
		})
	}
}

// Pause and activate (virtual and backup), save and restore (spare), suspend
// and wake (real server), migration, as Table 4 and the lab have them.
func TestOtherTimesOfTable4(t *testing.T) {
	play(t, nil, func(t *testing.T, ctx context.Context, m *sim.Model) {
		ok(t, m.Start(ctx, mb))
		ok(t, m.Start(ctx, fs))
		until(t, func() bool { return pings(ctx, m, mb) && pings(ctx, m, fs) })
		for _, tc := range []struct {
			name string
			do   func() error
			want time.Duration
		}{
			{"pause a backup", func() error { return m.Pause(ctx, mb) }, 2450 * time.Millisecond},
			{"activate a backup", func() error { return m.Resume(ctx, mb) }, 530 * time.Millisecond},
			{"suspend a spare", func() error { return m.Save(ctx, fs) }, 2320 * time.Millisecond},
			{"activate a spare", func() error { return m.Restore(ctx, fs.On(rs2)) }, 1090 * time.Millisecond},
			{"migrate", func() error { return m.Migrate(ctx, mb, rs1) }, 3700 * time.Millisecond},
			{"suspend a real server", func() error {
				ok(t, m.DelVIP(ctx, f2, ip(106)))
				ok(t, m.DelVIP(ctx, cluster.Guest{Host: "W2", IP: ip(5), Real: rs3}, ip(105)))
				return m.SuspendReal(ctx, rs3)
			}, 2470*time.Millisecond + 2*60*time.Millisecond},
			{"wake a real server", func() error {
				ok(t, m.WakeReal(ctx, mac(3)))
				until(t, func() bool { return pings(ctx, m, cluster.Guest{IP: rs3}) })
				return nil
			}, 8530 * time.Millisecond},
		} {
			begin := time.Now()
			ok(t, tc.do())
			if d := time.Since(begin); !near(d, tc.want) {
				t.Errorf("%s took %v, want %v", tc.name, d, tc.want)
			}
		}
		alone(t, m)
	})
}

func TestMagicPacketBootsAServerThatIsOff(t *testing.T) {
	play(t, nil, func(t *testing.T, ctx context.Context, m *sim.Model) {
		ok(t, m.Inject(sim.Fault{Kind: sim.RealShutdown, Target: "RS1"}))
		time.Sleep(time.Minute)
		if pings(ctx, m, cluster.Guest{IP: rs1}) {
			t.Error("a server that is off answers")
		}
		ok(t, m.WakeReal(ctx, mac(1)))
		if d := until(t, func() bool { return pings(ctx, m, cluster.Guest{IP: rs1}) }); !near(d, 47390*time.Millisecond) {
			t.Errorf("start took %v", d)
		}
		is(t, ctx, m, m1, cluster.GuestOff)
	})
}

func TestWattsOfTable4(t *testing.T) {
	play(t, nil, func(t *testing.T, ctx context.Context, m *sim.Model) {
		watts := func(want float64) {
			t.Helper()
			if s, err := m.Status(ctx, sim.Query{}); err != nil || s.Watts != want {
				t.Errorf("%g W (%v), want %g", s.Watts, err, want)
			}
		}
		watts(84)
		time.Sleep(time.Hour)
		s, _ := m.Status(ctx, sim.Query{})
		if s.EnergyWh < 83.99 || s.EnergyWh > 84.01 {
			t.Errorf("%g Wh in an hour at 84 W", s.EnergyWh)
		}
		for n, want := range []float64{59, 34} {
			real := []netip.Addr{rs3, rs2}[n]
			list, err := m.Guests(ctx, real)
			ok(t, err)
			for _, g := range list {
				ok(t, m.Destroy(ctx, cluster.Guest{Host: g.Host, Real: real}))
			}
			ok(t, m.SuspendReal(ctx, real))
			watts(want)
		}
		mark := time.Now()
		time.Sleep(time.Hour)
		if s, _ := m.Status(ctx, sim.Query{Since: mark}); s.EnergyWh < 33.99 || s.EnergyWh > 34.01 {
			t.Errorf("%g Wh in an hour at 34 W", s.EnergyWh)
		}
		alone(t, m)
	})
}
