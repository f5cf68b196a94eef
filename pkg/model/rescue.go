package model

import (
	"math/bits"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/edits"
)

// rescues gives VIPs that are pss's to a server that serves, or to a spare.
func (g *stepper) rescues() {
	p := g.rescue
	switch me := g.s.procs[p]; me.pc {
	case 0:
		s, ok := g.open()
		if !ok || s.failed == 0 && g.scope.Broken != TakeAnything {
			return
		}
		for i := range g.vips {
			if g.ours(&s, i) {
				g.rescueVIP(s, i)
			}
		}
	case tRow:
		s := g.s
		i, to := int(me.n), int8(bits.TrailingZeros8(uint8(me.a)))
		if me.b != 0 {
			to += 8
		}
		t := g.tables.all[s.files]
		edits.Move{VIP: g.vips[i], To: g.place(&s, to)}.Make(&t, t.Homes(g.homes))
		g.commit(p, s, g.intern(t), s.failed, "commit, unlock", func(s *State) {
			s.lock, s.procs[p] = nobody, proc{}
			s.moving &^= 1 << i
			s.wants[g.groupOf(i)] = uint8(len(g.scope.Wants[g.groups[g.groupOf(i)]]))
		})
	}
}

func (g *stepper) groupOf(vip int) int { return vip / 2 }

func (g *stepper) place(s *State, x int8) cluster.Guest {
	return g.guests[x].On(g.hosts[s.guests[x].at])
}

func (g *stepper) ours(s *State, i int) bool {
	var abandoned []string
	for x, k := range g.guests {
		if s.failed&(1<<x) != 0 {
			abandoned = append(abandoned, k.Host)
		}
	}
	if g.scope.Broken == TakeAnything {
		abandoned = nil
		for _, r := range g.tables.all[s.files].Separation {
			abandoned = append(abandoned, r.Host)
		}
	}
	return g.tables.all[s.files].LeftToPSS(g.vips[i], abandoned)
}

// rescueVIP takes the lock and puts VIP i on the first that can take it: one of
// the group that serves, else its spare, else its home.
func (g *stepper) rescueVIP(s State, i int) {
	v := g.view(s.files)
	group := g.groupOf(i)
	var to []int8
	for _, x := range []int8{int8(2 * group), int8(2*group + 1), int8(spares + group)} {
		if g.serving(v, x) {
			to = append(to, x)
		}
	}
	if len(to) == 0 {
		to = append(to, int8(spares+group), int8(2*group), int8(2*group+1))
	}
	for _, x := range to {
		t := s
		if x >= spares && t.guests[x].power == saved && v.reals[0] == "active" && t.hosts[0] == awake && !g.separated(t.files, x) {
			t.guests[x] = guest{at: 0, power: up}
		}
		if !t.serves(x) || edits.Receivable(g.tables.all[t.files], g.place(&t, x)) != nil || g.holders(&t, i)&^(1<<x) != 0 {
			continue
		}
		t.lock = g.rescue
		t.moving |= 1 << i
		t.guests[x].vips |= 1 << i
		t.procs[g.rescue] = proc{pc: tRow, n: uint8(i), a: 1 << (x % 8), b: vips(yes(x >= 8))}
		g.add(g.rescue, "lock, "+g.vips[i].String()+" on "+g.guests[x].Host, t)
		return
	}
}
