package plan

import (
	"encoding/json"
	"net/netip"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"pss-msbs/pkg/cluster"
)

// lived draws a fleet and lets things happen to it.
func lived(rt *rapid.T) *world {
	w := drawWorld(rt)
	for range rapid.IntRange(0, 8).Draw(rt, "events") {
		w.step(rt)
		w.checkTables(rt)
	}
	return w
}

// checkTables is what must hold at any time: every VIP served once, every home
// server in exactly one of the three files, and known as the home of its VIP.
func (w *world) checkTables(rt *rapid.T) {
	if got, want := w.t.Operation.VIPs(), w.origin.Operation.VIPs(); len(w.t.Operation) != len(want) || !slices.Equal(got, want) {
		rt.Fatalf("VIPs in operation: %s", rows(w.t.Operation))
	}
	homes := w.t.Homes(w.known)
	for _, r := range w.origin.Operation {
		if homes[r.VIP] != r.Guest() {
			rt.Fatalf("home of %s is %v, was %v\noperation %s\naccess-stop %s\nseparation %s", r.VIP, homes[r.VIP], r.Guest(),
				rows(w.t.Operation), rows(w.t.AccessStop), rows(w.t.Separation))
		}
		in := 0
		for _, file := range []cluster.Rows{w.t.Operation, w.t.AccessStop, w.t.Separation} {
			if file.Has(r.Host) {
				in++
			}
		}
		if in != 1 {
			rt.Fatalf("%s stands in %d of the three files\noperation %s\naccess-stop %s\nseparation %s", r.Host, in,
				rows(w.t.Operation), rows(w.t.AccessStop), rows(w.t.Separation))
		}
	}
}

// TestPlanIsDone: a plan applied and planned again has nothing left to do.
func TestPlanIsDone(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := lived(rt)
		wants := w.drawWants(rt)
		p := Make(w.t, w.known, wants)
		w.t = Apply(w.t, w.known, p)
		w.checkTables(rt)
		again := Make(w.t, w.known, wants)
		if len(again) != len(again.Of(Refuse)) {
			rt.Fatalf("first %s\nagain %s", compact(p), compact(again))
		}
	})
}

// TestRowOrder: the rows of five of the files may stand in any order.
func TestRowOrder(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := lived(rt)
		wants := w.drawWants(rt)
		a, _ := json.Marshal(Make(w.t, w.known, wants))
		b, _ := json.Marshal(Make(shuffled(rt, w.t), w.known, wants))
		if string(a) != string(b) {
			rt.Fatalf("\n%s\n%s", a, b)
		}
	})
}

// TestNeededHostsStayAwake: no suspended real server hosts a VIP or a recovery,
// or is B1 of a group in PS2, and no shift to PS1 puts two VIPs on one host.
func TestNeededHostsStayAwake(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := lived(rt)
		p := Make(w.t, w.known, w.drawWants(rt))
		after := Apply(w.t, w.known, p)
		asleep := map[netip.Addr]bool{}
		for _, r := range after.Suspended {
			asleep[r.IP] = true
		}
		for _, r := range slices.Concat(after.Operation, after.Separation) {
			if asleep[r.Real] {
				rt.Fatalf("%s sleeps with %s: %s", r.Real, r.Host, compact(p))
			}
		}
		for _, s := range after.State {
			if s.Condition == cluster.PS2 && asleep[s.Bases[0]] {
				rt.Fatalf("B1 of %s sleeps: %s", s.Group, compact(p))
			}
		}
	})
}

// TestPS1IsRedundant: without trouble a group of two VIPs or more in PS1 is
// served from two real servers at least, all of them bases.
func TestPS1IsRedundant(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := drawWorld(rt)
		for range rapid.IntRange(1, 6).Draw(rt, "shifts") {
			w.t = Apply(w.t, w.known, Make(w.t, w.known, w.drawWants(rt)))
			w.checkTables(rt)
			for _, s := range w.t.State {
				var reals []netip.Addr
				n := 0
				for _, r := range w.t.Operation {
					if r.Group == s.Group {
						n++
						if !slices.Contains(reals, r.Real) {
							reals = append(reals, r.Real)
						}
					}
				}
				if s.Condition == cluster.PS1 && n > 1 && len(reals) < 2 {
					rt.Fatalf("%s is not redundant: %s", s.Group, rows(w.t.Operation))
				}
				if s.Condition == cluster.PS2 && (len(reals) != 1 || reals[0] != s.Bases[0]) {
					rt.Fatalf("%s in PS2 is not on B1: %s", s.Group, rows(w.t.Operation))
				}
			}
		}
	})
}

// TestAllModerateIsHome: once every recovery is over, all Moderate is exactly
// the layout the fleet began with.
func TestAllModerateIsHome(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := lived(rt)
		for len(w.t.Separation) > 0 {
			w.recovered(rt)
		}
		w.t.Real = append(w.t.Real, w.lost...)
		w.t = Apply(w.t, w.known, Make(w.t, w.known, want(w.t, "all=Moderate")))
		if got, want := rows(w.t.Operation), rows(w.origin.Operation); got != want {
			rt.Fatalf("\n got %s\nwant %s", got, want)
		}
		for _, r := range w.t.AccessStop {
			if !w.t.IsSpare(r.Host) || !w.t.IsAsleep(r.Real) {
				rt.Fatalf("in access-stop: %s", rows(w.t.AccessStop))
			}
		}
	})
}

// TestMovesOneByOne: moving the VIPs one transaction at a time, in any order,
// ends with the same rows as the whole plan.
func TestMovesOneByOne(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := lived(rt)
		p := Make(w.t, w.known, w.drawWants(rt))
		whole := Apply(w.t, w.known, p.Of(MoveVIP))
		parts := w.t
		for _, s := range rapid.Permutation(p.Of(MoveVIP)).Draw(rt, "order") {
			s.Move().Make(&parts, parts.Homes(w.known))
		}
		for _, f := range [][2]cluster.Rows{{whole.Operation, parts.Operation}, {whole.AccessStop, parts.AccessStop}, {whole.Separation, parts.Separation}} {
			slices.SortFunc(f[0], cluster.ServerRow.Compare)
			slices.SortFunc(f[1], cluster.ServerRow.Compare)
			if !slices.Equal(f[0], f[1]) {
				rt.Fatalf("\nwhole %s\nparts %s", rows(f[0]), rows(f[1]))
			}
		}
	})
}
