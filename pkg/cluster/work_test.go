package cluster_test

import (
	"math"
	"testing"
	"time"

	"pss-msbs/pkg/cluster"
)

func TestShares(t *testing.T) {
	const s = time.Second
	was := cluster.Work{Used: 100 * s, Cores: 2, Idle: 1000 * s, Total: 4000 * s, Processors: 4}
	later := func(used, idle, passed time.Duration) cluster.Work {
		w := was
		w.Used, w.Idle, w.Total = w.Used+used, w.Idle+idle, w.Total+4*passed
		return w
	}
	for _, tc := range []struct {
		name string
		now  cluster.Work
		want cluster.Shares
		ok   bool
	}{
		{"idle guest and host", later(0, 8*s, 2*s), cluster.Shares{Idle: 1, Room: 1}, true},
		{"busy guest", later(4*s, 4*s, 2*s), cluster.Shares{Guest: 1, Idle: 0.5, Room: 1}, true},
		{"busy host", later(s, 0, 2*s), cluster.Shares{Guest: 0.25, Room: 0.125}, true},
		{"its hypervisor works for it too", later(5*s, 3*s, 2*s), cluster.Shares{Guest: 1, Idle: 0.375, Room: 1}, true},
		{"idle time goes back a little", later(2*s, -s/100, 2*s), cluster.Shares{Guest: 0.5, Room: 0.25}, true},
		{"too close", later(s/10, 0, s/10), cluster.Shares{}, false},
		{"the guest was started anew", later(-99*s, 0, 2*s), cluster.Shares{}, false},
		{"the host too", later(s, 0, -20*s), cluster.Shares{}, false},
		{"nothing is known", cluster.Work{}, cluster.Shares{}, false},
	} {
		got, ok := tc.now.Since(was)
		near := func(a, b float64) bool { return math.Abs(a-b) < 1e-9 }
		if ok != tc.ok || !near(got.Guest, tc.want.Guest) || !near(got.Idle, tc.want.Idle) || !near(got.Room, tc.want.Room) {
			t.Errorf("%s: %+v %t, want %+v %t", tc.name, got, ok, tc.want, tc.ok)
		}
	}
}
