package load

import (
	"testing"
	"time"

	"pss-msbs/pkg/cluster"
)

// looking is web with a look before the shift.
var looking = func() Rules {
	r := web
	r.Look = Look{On: true, Failure: 100, Urgent: 75, Lighter: 90 * time.Second, Heavier: 3 * time.Minute, Longest: 4 * time.Hour}
	return r
}()

func place(host string, from ...string) Place {
	p := Place{Host: host, Capacity: at(host, 0).Capacity}
	for _, f := range from {
		p.From = append(p.From, Part{Host: f, Share: 1})
	}
	return p
}

// pair is a group of two servers: PS1 has as many, PS2 has one of them.
func pair(c cluster.Condition, percent, accesses float64) Group {
	g := Group{Name: "Web", Condition: c, Rules: looking, Servers: []Server{at("W1", percent), at("W2", percent)}, Accesses: accesses, FullTime: true,
		Ahead: map[cluster.Condition]Layout{
			cluster.PS1: {Places: []Place{place("W1", "W1"), place("Ws", "W2")}},
			cluster.PS2: {Places: []Place{place("W1", "W1", "W2")}},
		}}
	if c == cluster.PS2 { // as a replay composes it
		g.Servers = []Server{at("W1", 2*percent)}
		g.Servers[0].Reading.MemKB = percent
		g.Ahead[cluster.PS1] = Layout{}
	}
	return g
}

// TestAhead: CPU in cores and network are added, memory is the greatest.
func TestAhead(t *testing.T) {
	half := place("W1", "W1", "W2")
	half.From[1].Share = 0.5
	big := place("W1", "W1", "W2")
	big.Capacity.Cores = 2
	nobody := place("W1", "W1")
	for _, c := range []struct {
		name   string
		places []Place
		want   Loads
	}{
		{"as it is", []Place{place("W1", "W1"), place("W2", "W2")}, Loads{Mem: 30, CPU: 30, Net: 30, Ls: 30}},
		{"both on one", []Place{place("W1", "W1", "W2")}, Loads{Mem: 40, CPU: 60, Net: 60, Ls: 50}},
		{"half of what another carries", []Place{half}, Loads{Mem: 40, CPU: 40, Net: 40, Ls: 40}},
		{"twice the cores", []Place{big}, Loads{Mem: 40, CPU: 30, Net: 60, Ls: 42.5}},
		{"one of them lost", []Place{nobody}, Loads{Mem: 20, CPU: 20, Net: 20, Ls: 20}},
	} {
		g := pair(cluster.Moderate, 0, 0)
		g.Servers = []Server{at("W1", 20), at("W2", 40)}
		if got := NewDecider().ahead(g, c.places); got != c.want {
			t.Errorf("%s: got %+v, want %+v", c.name, got, c.want)
		}
	}
}

// steps are cycles of ten seconds until the wanted condition, at most for an hour.
func steps(d *Decider, now *time.Time, g Group) (time.Duration, Decision) {
	begun := *now
	for {
		got := d.Cycle(*now, []Group{g})[0]
		*now = now.Add(10 * time.Second)
		if got.Shifts() || now.Sub(begun) > time.Hour {
			return now.Sub(begun), got
		}
	}
}

// TestLook: how long each load takes to open and to shut a gate.
func TestLook(t *testing.T) {
	const m, p1, p2 = cluster.Moderate, cluster.PS1, cluster.PS2
	for _, c := range []struct {
		name              string
		from              cluster.Condition
		percent, accesses float64
		took              time.Duration
		want              cluster.Condition
	}{
		{"light: four cycles, as published", m, 20, 99, 40 * time.Second, p1},
		{"not light, but it fits: 90 s / 0.2", m, 40, 99, 460 * time.Second, p1},
		{"just fits: 90 s / 0.02 are more than an hour", m, 49, 99, 0, m},
		{"moderate", m, 51, 99, 0, m},
		{"in PS1 with a load that fits", p1, 49, 99, 0, p1},
		{"in PS1 slightly too much: 180 s / 0.2", p1, 60, 99, 910 * time.Second, m},
		{"in PS1 far too much", p1, 80, 99, 10 * time.Second, m},
		{"quiet and light enough for one server", p1, 20, 0, 10 * time.Second, p2},
		{"quiet, but one server would be moderate: 60 %", p1, 40, 0, 0, p1},
		{"in PS2 a few accesses too many: 180 s / 0.5", p2, 20, 15, 370 * time.Second, p1},
		{"in PS2 far too many", p2, 20, 21, 10 * time.Second, p1},
		{"in PS2 too much load", p2, 60, 0, 10 * time.Second, m},
	} {
		d, now := NewDecider(), start
		took, got := steps(d, &now, pair(c.from, c.percent, c.accesses))
		if got.Want != c.want || got.Shifts() && took != c.took {
			t.Errorf("%s: %s after %s, want %s after %s", c.name, got.Want, took, c.want, c.took)
		}
	}
}

// TestRefusedAhead: a light group whose one server would be moderate stays.
func TestRefusedAhead(t *testing.T) {
	g := pair(cluster.PS1, 28, 0)
	g.Rules.Moderate = 35
	got := NewDecider().Cycle(start, []Group{g})[0]
	if got.Shifts() || got.Refused != "would be moderate: 42 %" {
		t.Errorf("got %+v", got)
	}
}

// TestFluctuation: a load that jumps around a mean that fits opens no gate again
// and again and shuts none.
func TestFluctuation(t *testing.T) {
	for _, c := range []cluster.Condition{cluster.PS1, cluster.Moderate} {
		d, now, shifts := NewDecider(), start, 0
		for i := range 6 * 60 * 24 {
			percent := []float64{38, 46, 54, 62, 46, 42}[i%6] // 48 on average
			got := d.Cycle(now, []Group{pair(c, percent, 99)})[0]
			if got.Shifts() {
				shifts, c = shifts+1, got.Want
			}
			now = now.Add(10 * time.Second)
		}
		if shifts > 1 || c != cluster.PS1 {
			t.Errorf("%d shifts, at last %s", shifts, c)
		}
	}
}

// TestBackOff: each light condition that does not last makes the next one take
// twice as long, and one that lasts half as long.
func TestBackOff(t *testing.T) {
	d, now := NewDecider(), start
	try := func(stay time.Duration) time.Duration {
		took, got := steps(d, &now, pair(cluster.Moderate, 25, 99))
		if got.Want != cluster.PS1 {
			t.Fatalf("after %s: %+v", took, got)
		}
		for end := now.Add(stay); now.Before(end); now = now.Add(10 * time.Second) {
			d.Cycle(now, []Group{pair(cluster.PS1, 25, 99)})
		}
		steps(d, &now, pair(cluster.PS1, 90, 99))
		return took
	}
	var got []time.Duration
	for _, stay := range []time.Duration{time.Minute, time.Minute, 3 * time.Hour, time.Minute} {
		got = append(got, try(stay).Round(time.Minute))
	}
	// 40 s by the streak; then the load is half of moderate: 2 x 90 s x 2, x 4, x 2.
	for i, want := range []time.Duration{time.Minute, 6 * time.Minute, 12 * time.Minute, 6 * time.Minute} {
		if got[i] != want {
			t.Errorf("entry %d took %s, want %s: %v", i+1, got[i], want, got)
		}
	}
}

// TestForced: a light condition that another one ended, as a failed server does,
// says nothing against the next one.
func TestForced(t *testing.T) {
	d, now := NewDecider(), start
	steps(d, &now, pair(cluster.Moderate, 20, 99))
	d.Cycle(now, []Group{pair(cluster.PS1, 20, 99)})
	now = now.Add(10 * time.Second)
	if took, got := steps(d, &now, pair(cluster.Moderate, 20, 99)); got.Want != cluster.PS1 || took > 40*time.Second {
		t.Errorf("after %s: %+v", took, got)
	}
}

// TestFragile: what the failure of a real server would leave of a group in PS1.
func TestFragile(t *testing.T) {
	all, one := []Place{place("Wb", "W1"), place("Ws", "W2")}, []Place{place("W1", "W1", "W2")}
	for _, c := range []struct {
		name    string
		percent float64
		loss    Loss
		want    string
	}{
		{"its backup serves", 49, Loss{Places: all, Later: all}, ""},
		{"one server for a moment", 49, Loss{Places: one, Later: all}, ""},
		{"one server for a moment, which is too much", 80, Loss{Places: one, Later: all}, "Web would be at 120 % without invalid IP"},
		{"one server for good", 40, Loss{Places: one, Later: one}, "Web would stay moderate without invalid IP: 60 %"},
		{"nobody", 1, Loss{}, "nobody would serve Web without invalid IP"},
	} {
		g := pair(cluster.Moderate, c.percent, 99)
		g.Rules.Look.Failure = 80
		l := g.Ahead[cluster.PS1]
		l.Losses = []Loss{c.loss}
		g.Ahead[cluster.PS1] = l
		if got := NewDecider().Cycle(start, []Group{g})[0].Fragile; got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}
