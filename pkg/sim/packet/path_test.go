package packet_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pss-msbs/pkg/sim/packet"
)

func TestPathOfNoLossTakesNoTimeAndNoLuck(t *testing.T) {
	var p packet.Path
	if rtt, lost := p.Ping(nil); rtt != 0 || lost {
		t.Errorf("ping: %v, lost %t", rtt, lost)
	}
	if d := p.Connect(nil) + p.Exchange(nil, 9); d != 0 {
		t.Errorf("connect and exchange take %v", d)
	}
}

func TestPingsAreLostAsOftenAsThePathSays(t *testing.T) {
	for _, p := range []packet.Path{{LossOut: 0.05, LossBack: 0.05}, {LossOut: 0.1}, {LossBack: 0.3, Delay: 20 * time.Millisecond}, {LossOut: 1}} {
		rnd, n, lost := rand.New(rand.NewPCG(1, 2)), 100000, 0
		for range n {
			if _, gone := p.Ping(rnd); gone {
				lost++
			}
		}
		if got := float64(lost) / float64(n); math.Abs(got-p.Loss()) > 0.005 {
			t.Errorf("%+v: %.4f lost, want %.4f", p, got, p.Loss())
		}
	}
}

// The times of lost packets are those of Linux: 1, 3, 7, 15 s for a SYN; 0.2,
// 0.6, 1.4 s in all for data.
func TestLostPacketsAreSentAgain(t *testing.T) {
	for _, tc := range []struct {
		name string
		take func(*rand.Rand) time.Duration
		want []time.Duration
	}{
		{"connect", func(rnd *rand.Rand) time.Duration { return packet.Path{LossOut: 0.5}.Connect(rnd) },
			[]time.Duration{0, time.Second, 3 * time.Second, 7 * time.Second, 15 * time.Second}},
		{"answer to it", func(rnd *rand.Rand) time.Duration { return packet.Path{LossBack: 0.5}.Connect(rnd) },
			[]time.Duration{0, time.Second, 3 * time.Second, 7 * time.Second, 15 * time.Second}},
		{"exchange", func(rnd *rand.Rand) time.Duration { return packet.Path{LossOut: 0.5}.Exchange(rnd, 1) },
			[]time.Duration{0, 200 * time.Millisecond, 600 * time.Millisecond, 1400 * time.Millisecond, 3 * time.Second}},
		{"with delay", func(rnd *rand.Rand) time.Duration {
			return packet.Path{LossBack: 0.5, Delay: 50 * time.Millisecond}.Exchange(rnd, 1)
		}, []time.Duration{100 * time.Millisecond, 400 * time.Millisecond, time.Second}},
	} {
		rnd, seen := rand.New(rand.NewPCG(3, 4)), map[time.Duration]int{}
		for range 10000 {
			seen[tc.take(rnd)]++
		}
		for n, d := range tc.want {
			if share, want := float64(seen[d])/10000, math.Pow(0.5, float64(n+1)); math.Abs(share-want) > 0.02 {
				t.Errorf("%s: %v in %.3f of all, want %.3f", tc.name, d, share, want)
			}
		}
	}
}

func TestJitterIsAddedEachWay(t *testing.T) {
	p := packet.Path{Delay: 10 * time.Millisecond, Jitter: 300 * time.Millisecond}
	rnd := rand.New(rand.NewPCG(5, 6))
	var all []time.Duration
	for range 10000 {
		rtt, _ := p.Ping(rnd)
		all = append(all, rtt)
	}
	slices.Sort(all)
	if all[0] < 20*time.Millisecond || all[9999] > 620*time.Millisecond || (all[5000]-320*time.Millisecond).Abs() > 20*time.Millisecond {
		t.Errorf("round trips from %v over %v to %v", all[0], all[5000], all[9999])
	}
}

func TestPathsAddUp(t *testing.T) {
	a, b := packet.Path{LossOut: 0.5, Delay: time.Second}, packet.Path{LossOut: 0.5, LossBack: 1, Jitter: time.Second}
	if got, want := a.Then(b), (packet.Path{LossOut: 0.75, LossBack: 1, Delay: time.Second, Jitter: time.Second}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if got := a.Then(packet.Path{}); got != a {
		t.Errorf("%+v through nothing is %+v", a, got)
	}
}
