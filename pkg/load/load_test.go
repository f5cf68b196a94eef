package load

import (
	"testing"

	"pss-msbs/pkg/cluster"
)

var paperServer = Capacity{MemKB: 2097152, Cores: 1, NetKBs: 256000}

// TestPredict: equations (1)-(3) and their clamps.
func TestPredict(t *testing.T) {
	r := func(m, c, n float64) Reading { return Reading{MemKB: m, CPUPercent: c, NetKBs: n} }
	for _, c := range []struct {
		name      string
		now       Reading
		before    *Reading
		predicted Reading
	}{
		{"eq. (1)-(3) rising", r(1000, 30, 500), new(r(800, 20, 100)), r(1200, 40, 900)},
		{"eq. (1)-(3) falling", r(800, 20, 100), new(r(1000, 30, 150)), r(600, 10, 50)},
		{"not measured before", r(800, 20, 100), nil, r(800, 20, 100)},
		{"negative becomes zero", r(400, 10, 100), new(r(1000, 30, 900)), r(0, 0, 0)},
		{"no more than the server has", r(2000000, 90, 200000), new(r(1000000, 50, 100000)), r(2097152, 100, 256000)},
		{"not measured before, clamped too", r(3000000, 160, 300000), nil, r(2097152, 100, 256000)},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := Predict(c.now, c.before, paperServer); got != c.predicted {
				t.Errorf("got %+v, want %+v", got, c.predicted)
			}
		})
	}
}

// TestGroupLoads: equations (4)-(9) with numbers worked out by hand. W1 has one
// core and half its memory in use, W2 three cores and a quarter.
func TestGroupLoads(t *testing.T) {
	servers := []usage{
		{use: Reading{MemKB: 1048576, CPUPercent: 40, NetKBs: 64000}, max: Capacity{MemKB: 2097152, Cores: 1, NetKBs: 256000}},
		{use: Reading{MemKB: 524288, CPUPercent: 10, NetKBs: 32000}, max: Capacity{MemKB: 2097152, Cores: 3, NetKBs: 256000}},
	}
	for _, c := range []struct {
		name string
		kind cluster.Type
		ls   float64
	}{
		{"eq. (7) CPU", cluster.CPU, 27.625},
		{"eq. (8) NETWORK", cluster.Network, 28},
		{"eq. (9) CPU_NET", cluster.CPUNet, 27.8125},
	} {
		t.Run(c.name, func(t *testing.T) {
			want := Loads{Mem: 37.5, CPU: 17.5, Net: 18.75, Ls: c.ls}
			if got := groupLoads(servers, c.kind); got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
		})
	}
	if got := groupLoads(nil, cluster.CPU); got != (Loads{}) {
		t.Errorf("no server: %+v", got)
	}
}

func TestRatedKBs(t *testing.T) {
	if got := RatedKBs(1000); got != 256000 {
		t.Errorf("1000 Mbps: got %v, want 256000 (paper, section 2.5)", got)
	}
}

// TestClientAccesses: z - k*y of Fig. 6(c).
func TestClientAccesses(t *testing.T) {
	for _, c := range []struct {
		name       string
		z          int64
		k, y, want float64
		vips       int
	}{
		{"one VIP", 100, 1, 60, 40, 1},
		{"two VIPs", 130, 1, 60, 10, 2},
		{"fewer than the monitor's own", 100, 1, 60, 0, 2},
		{"nobody monitors", 7, 0, 60, 7, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := ClientAccesses(c.z, c.k, c.y, c.vips); got != c.want {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

// TestClassify: the loads (i)-(iv) of Fig. 6(a); a load on a threshold is in area ML.
func TestClassify(t *testing.T) {
	r := Rules{Light: 30, Moderate: 50}
	for _, c := range []struct {
		name string
		last cluster.Class
		ls   float64
		want cluster.Class
	}{
		{"Fig. 6(a)(i) from M to ML", cluster.ModerateLoad, 40, cluster.ModerateLoad},
		{"Fig. 6(a)(ii) from ML to L", cluster.ModerateLoad, 29.99, cluster.LightLoad},
		{"Fig. 6(a)(iii) from L to ML", cluster.LightLoad, 40, cluster.LightLoad},
		{"Fig. 6(a)(iv) from ML to M", cluster.LightLoad, 50.01, cluster.ModerateLoad},
		{"on the light threshold", cluster.ModerateLoad, 30, cluster.ModerateLoad},
		{"on the moderate threshold", cluster.LightLoad, 50, cluster.LightLoad},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := classify(c.ls, r, c.last); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}
