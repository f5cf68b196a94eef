package sim_test

import (
	"context"
	"testing"
	"time"

	"pss-msbs/pkg/sim"
	"pss-msbs/pkg/sim/balancer"
)

func mail(t *testing.T, ctx context.Context, m *sim.Model, since time.Time) balancer.ClientStatus {
	t.Helper()
	s, err := m.Status(ctx, sim.Query{Since: since})
	ok(t, err)
	for _, c := range s.Clients {
		if c.Group == "Mail" {
			return c
		}
	}
	t.Fatal("no client of Mail")
	return balancer.ClientStatus{}
}

// One of two servers fails in every way of Table 5: no access fails, none is
// answered after the next one is due.
func TestRedundantGroupIsNeverDown(t *testing.T) {
	for _, tc := range []struct{ kind, target string }{
		{sim.ServiceStop, "M1"}, {sim.ServiceFreeze, "M1"}, {sim.VMRestart, "M1"}, {sim.VMShutdown, "M1"},
		{sim.RealRestart, "RS1"}, {sim.RealShutdown, "RS1"}, {sim.Partition, "RS1"},
	} {
		t.Run(tc.kind, func(t *testing.T) {
			play(t, nil, func(t *testing.T, ctx context.Context, m *sim.Model) {
				time.Sleep(5 * time.Second)
				mark := time.Now()
				ok(t, m.Inject(sim.Fault{Kind: tc.kind, Target: tc.target}))
				time.Sleep(30 * time.Second)
				c := mail(t, ctx, m, mark)
				if c.Asked != 30 || c.Failed != 0 || c.Delayed != 0 || c.Late != 0 || c.Longest >= 1 {
					t.Errorf("%+v", c)
				}
			})
		})
	}
}

func TestOutageIsMeasured(t *testing.T) {
	play(t, nil, func(t *testing.T, ctx context.Context, m *sim.Model) {
		ok(t, m.Inject(sim.Fault{Kind: sim.VMShutdown, Target: "M2"}))
		ok(t, m.Inject(sim.Fault{Kind: sim.ServiceStop, Target: "M1"}))
		time.Sleep(10 * time.Second)
		if c := mail(t, ctx, m, time.Time{}); !c.Down || c.Failed != 10 || c.Longest < 9 {
			t.Errorf("during the outage: %+v", c)
		}
		ok(t, m.RestartDaemon(ctx, m1, "dovecot"))
		time.Sleep(10 * time.Second)
		c := mail(t, ctx, m, time.Time{})
		if c.Down || c.Asked != 20 || c.Failed < 10 || c.Failed > 12 || c.Delayed != 1 || c.Longest < 10 || c.Longest > 13 || c.Late != c.Longest-1 {
			t.Errorf("after the outage: %+v", c)
		}
		if c := mail(t, ctx, m, time.Now().Add(-5*time.Second)); c.Asked != 5 || c.Failed != 0 || c.Longest > 1 {
			t.Errorf("a later window: %+v", c)
		}
	})
}

// z counts the balancer's k accesses per VIP and second, the client's one a
// second for the group, and the load's.
func TestAccesses(t *testing.T) {
	play(t, func(s *sim.Spec) { s.Balancer.PerSecond = 2 }, func(t *testing.T, ctx context.Context, m *sim.Model) {
		count := func(vips ...int) (n uint64) {
			t.Helper()
			all, err := m.Accesses(ctx)
			ok(t, err)
			for _, v := range vips {
				n += all[ip(v)]
			}
			return n
		}
		time.Sleep(10*time.Second + 100*time.Millisecond)
		before, web := count(101, 104), count(102)
		ok(t, m.SetLoad("Mail", 10, 3, 0))
		time.Sleep(60 * time.Second)
		if z := count(101, 104) - before; z != 60*(2*2+1+3) {
			t.Errorf("%d accesses to Mail in 60 s", z)
		}
		if z := count(102) - web; z != 60*2+30 {
			t.Errorf("%d accesses to W1 in 60 s", z)
		}
	})
}

func TestNoBalancerCountsNothing(t *testing.T) {
	play(t, func(s *sim.Spec) { s.Balancer.Off = true }, func(t *testing.T, ctx context.Context, m *sim.Model) {
		if _, err := m.Accesses(ctx); err == nil {
			t.Error("counted accesses without a balancer")
		}
	})
}
