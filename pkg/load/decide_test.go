package load

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"pss-msbs/pkg/cluster"
)

var start = time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)

var web = Rules{Type: cluster.CPUNet, Light: 30, Moderate: 50, LightStreak: 4, ModerateStreak: 1, Accesses: 10, AccessStreak: 1}

// at is a server of capacity 100 at everything, all of it used to percent.
func at(host string, percent float64) Server {
	return Server{Host: host, Measured: true, Reading: Reading{MemKB: percent, CPUPercent: percent, NetKBs: percent},
		Capacity: Capacity{MemKB: 100, Cores: 1, NetKBs: 100}}
}

// cycle is one cycle of a group of one server: Ls wished for, accesses, and the
// condition in force; "?" measures nothing.
type cycle struct {
	ls        float64
	accesses  float64
	condition cluster.Condition
	class     cluster.Class
	want      cluster.Condition
}

const unmeasured = -1

// TestDecider runs cycles through the streaks of Fig. 6(b). The readings are
// chosen so that equation (1)-(3) predict the wished Ls.
func TestDecider(t *testing.T) {
	const (
		m, p1, p2 = cluster.Moderate, cluster.PS1, cluster.PS2
		L, M, U   = cluster.LightLoad, cluster.ModerateLoad, cluster.UnknownLoad
	)
	slow := web
	slow.ModerateStreak, slow.AccessStreak = 2, 2
	for _, c := range []struct {
		name   string
		rules  Rules
		cycles []cycle
	}{
		{"Fig. 6(b) light four times in a row", web, []cycle{
			{20, 99, m, L, m}, {20, 99, m, L, m}, {20, 99, m, L, m}, {20, 99, m, L, p1}}},
		{"the streak breaks", web, []cycle{
			{20, 99, m, L, m}, {20, 99, m, L, m}, {20, 99, m, L, m}, {51, 99, m, M, m}, {20, 99, m, L, m}}},
		{"area ML keeps the class and counts", web, []cycle{
			{20, 99, m, L, m}, {40, 99, m, L, m}, {40, 99, m, L, m}, {45, 99, m, L, p1}}},
		{"area ML at start is moderate", web, []cycle{
			{40, 99, m, M, m}, {40, 99, m, M, m}, {40, 99, m, M, m}, {40, 99, m, M, m}, {40, 99, m, M, m}}},
		{"a refused PS1 is wanted again", web, []cycle{
			{20, 99, m, L, m}, {20, 99, m, L, m}, {20, 99, m, L, m}, {20, 99, m, L, p1}, {20, 99, m, L, p1}}},
		{"unknown restarts the streak and keeps the class", web, []cycle{
			{20, 99, m, L, m}, {20, 99, m, L, m}, {20, 99, m, L, m}, {unmeasured, 99, m, U, m}, {40, 99, m, L, m},
			{40, 99, m, L, m}, {40, 99, m, L, m}, {40, 99, m, L, p1}}},
		{"PS2 from the cycle after PS1 began", web, []cycle{
			{20, 0, m, L, m}, {20, 0, m, L, m}, {20, 0, m, L, m}, {20, 0, m, L, p1}, {20, 0, p1, L, p1}, {20, 0, p1, L, p2}}},
		{"Fig. 6(c) x accesses are few enough, more are not", web, []cycle{
			{20, 11, p1, L, p1}, {20, 11, p1, L, p1}, {20, 10, p1, L, p2}}},
		{"no PS2 in the moderate class", slow, []cycle{
			{20, 0, p1, L, p1}, {51, 0, p1, M, p1}, {20, 0, p1, L, p1}, {20, 0, p1, L, p2}}},
		{"PS2 after two quiet cycles", slow, []cycle{
			{20, 0, p1, L, p1}, {20, 11, p1, L, p1}, {20, 0, p1, L, p1}, {20, 0, p1, L, p2}}},
		{"out of PS2 by accesses", web, []cycle{
			{20, 0, p2, L, p2}, {20, 10, p2, L, p2}, {20, 11, p2, L, p1}}},
		{"out of PS2 by load, whatever the accesses", web, []cycle{{20, 0, p2, L, p2}, {60, 11, p2, M, m}}},
		{"out of PS1 by load", web, []cycle{{20, 11, p1, L, p1}, {60, 11, p1, M, m}}},
		{"Moderate after two moderate cycles", slow, []cycle{{20, 11, p1, L, p1}, {60, 11, p1, M, p1}, {60, 11, p1, M, m}}},
		{"no want without measuring", web, []cycle{{20, 0, p2, L, p2}, {unmeasured, 11, p2, U, p2}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := NewDecider()
			before := float64(unmeasured)
			for i, y := range c.cycles {
				a := (y.ls + before) / 2 // 2 A_n - A_(n-1) = Ls
				if before == unmeasured {
					a = y.ls
				}
				s := at("W1", a)
				s.Measured = y.ls != unmeasured
				if before = a; !s.Measured {
					before = unmeasured
				}
				got := d.Cycle(start, []Group{{Name: "Web", Condition: y.condition, Rules: c.rules, Servers: []Server{s}, Accesses: y.accesses, FullTime: true}})[0]
				if got.Class != y.class || got.Want != y.want || got.Examined && got.Loads.Ls != y.ls {
					t.Errorf("cycle %d: got %+v, want Ls %v %s, want %s", i+1, got, y.ls, y.class, y.want)
				}
			}
		})
	}
}

// TestRefusedPS1FromPS2 asks for Moderate when nothing can be redundant.
func TestRefusedPS1FromPS2(t *testing.T) {
	got := NewDecider().Cycle(start, []Group{{Name: "Web", Condition: cluster.PS2, Rules: web, Servers: []Server{at("W1", 20)}, Accesses: 11}})[0]
	if got.Want != cluster.PS1 || got.IfRefused != cluster.Moderate || !got.Shifts() {
		t.Errorf("got %+v", got)
	}
}

// TestNoPS2BeforeAFullWindow: accesses counted for less than y seconds prove nothing.
func TestNoPS2BeforeAFullWindow(t *testing.T) {
	d := NewDecider()
	g := Group{Name: "Web", Condition: cluster.PS1, Rules: web, Servers: []Server{at("W1", 20)}}
	for range 3 {
		if got := d.Cycle(start, []Group{g})[0]; got.Shifts() {
			t.Fatalf("before a full window: %+v", got)
		}
	}
	g.FullTime = true
	if got := d.Cycle(start, []Group{g})[0]; got.Want != cluster.PS2 {
		t.Errorf("after a full window: %+v", got)
	}
}

// TestNotExamined: one group in trouble, its other server still counts as
// measured and the other groups go on (Fig. 8(c)).
func TestNotExamined(t *testing.T) {
	d := NewDecider()
	broken := at("F1", 0)
	broken.Measured = false
	first := d.Cycle(start, []Group{
		{Name: "Mail", Condition: cluster.Moderate, Rules: web, Servers: []Server{at("M1", 20)}, Separated: []netip.Addr{netip.MustParseAddr("172.21.14.104"), netip.MustParseAddr("172.21.14.101")}},
		{Name: "FTP", Condition: cluster.Moderate, Rules: web, Servers: []Server{broken, at("F2", 20)}},
		{Name: "Web", Condition: cluster.Moderate, Rules: web, Servers: []Server{at("W1", 20)}},
		{Name: "Empty", Condition: cluster.Moderate, Rules: web},
	})
	var whys []string
	for _, f := range first {
		whys = append(whys, string(f.Class)+": "+f.Why)
	}
	want := []string{"unknown: VIP 172.21.14.101 stands only in separation", "unknown: F1 could not be measured", "light: ", "unknown: no server in operation"}
	if diff := cmp.Diff(want, whys); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	second := d.Cycle(start, []Group{{Name: "FTP", Condition: cluster.Moderate, Rules: web, Servers: []Server{at("F1", 20), at("F2", 30)}}})[0]
	if second.Loads.Ls != 30 { // F1 is new: 20; F2 rises from 20: 2*30-20 = 40; (20+40)/2
		t.Errorf("got %+v, want Ls 30", second.Loads)
	}
}

// TestDistinctServers: a server that holds two VIPs counts once.
func TestDistinctServers(t *testing.T) {
	got := NewDecider().Cycle(start, []Group{{Name: "Web", Condition: cluster.PS2, Rules: web, Servers: []Server{at("W1", 10), at("W2", 40), at("W1", 10)}}})[0]
	if got.Loads.Ls != 25 {
		t.Errorf("got %+v, want Ls 25", got.Loads)
	}
}

// TestDeciderNeverJumps: whatever is measured, loads stay within [0, 100] and a
// want is a neighbour of what is recorded, or Moderate.
func TestDeciderNeverJumps(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		d := NewDecider()
		percent := rapid.Float64Range(0, 1000)
		for range rapid.IntRange(1, 12).Draw(rt, "cycles") {
			c := rapid.SampledFrom([]cluster.Condition{cluster.Moderate, cluster.PS1, cluster.PS2}).Draw(rt, "condition")
			g := Group{Name: "G", Condition: c, Rules: web, Accesses: percent.Draw(rt, "accesses"), FullTime: rapid.Bool().Draw(rt, "full")}
			for _, h := range strings.Fields("A B C") {
				s := at(h, percent.Draw(rt, h))
				s.Measured = rapid.IntRange(0, 9).Draw(rt, "measured") > 0
				g.Servers = append(g.Servers, s)
			}
			got := d.Cycle(start, []Group{g})[0]
			for _, l := range []float64{got.Loads.Mem, got.Loads.CPU, got.Loads.Net, got.Loads.Ls} {
				if !(l >= 0 && l <= 100.0000001) {
					rt.Fatalf("load out of range: %+v", got.Loads)
				}
			}
			if got.Want.Depth() > c.Depth()+1 || !got.Examined && got.Shifts() {
				rt.Fatalf("from %s: %+v", c, got)
			}
		}
	})
}
