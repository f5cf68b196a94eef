package model

import (
	"slices"

	"pss-msbs/pkg/edits"
	"pss-msbs/pkg/handover"
	"pss-msbs/pkg/plan"
)

// chain is a group's part of a shift.
func (g *stepper) chain(p int8, group string) {
	me := g.s.procs[p]
	if me.pc == 0 || me.pc >= tOK {
		return
	}
	c := g.change(g.plans[me.plan], group)
	switch me.pc {
	case tBegin:
		g.receive(p, c)
	case tLock:
		g.checked(p, c)
	case tUndo:
		g.undoSpares(p, group)
	default:
		g.hand(g.moving(p, c))
	}
}

// moving is the handover of a group's change.
func (g *stepper) moving(p int8, c edits.Change) handing {
	move := func(vip int) edits.Move {
		return c.Moves[slices.IndexFunc(c.Moves, func(m edits.Move) bool { return g.vip(m.VIP) == vip })]
	}
	var shape handover.Shape
	for _, wave := range c.Waves(g.tables.all[g.s.files]) {
		var mask vips
		for _, m := range wave {
			mask |= g.mask1(m)
		}
		shape.Waves, shape.Returns = append(shape.Waves, set(uint8(mask))), shape.Returns.With(set(uint8(mask)))
	}
	return handing{p: p, base: tHand, shape: shape,
		from:  func(vip int) int8 { return g.guest(move(vip).From.Host) },
		to:    func(vip int) int8 { return g.guest(move(vip).To.Host) },
		begun: func(s *State) { s.moving |= vips(bitsOf(shape.Returns)) },
		undone: func(s *State) {
			for _, m := range c.Moves {
				if s.procs[p].moved != 0 && s.guests[g.guest(m.To.Host)].vips&g.mask1(m) == 0 {
					s.moving &^= g.mask1(m)
				}
			}
			s.lock, s.procs[p] = nobody, proc{pc: tUndo, plan: s.procs[p].plan}
		},
		commit: func(s State, _ handover.State) {
			t := g.tables.all[s.files].Clone()
			c.Make(&t, g.homes)
			g.commit(p, s, g.intern(t), s.failed, "commit, unlock", func(s *State) {
				s.lock, s.procs[p] = nobody, proc{pc: tOK, plan: s.procs[p].plan}
				for _, m := range c.Moves {
					s.moving &^= g.mask1(m)
				}
			})
		}}
}

// receive makes every receiver ready: wakes are waited for, spares restored.
func (g *stepper) receive(p int8, c edits.Change) {
	s, ok := g.open() // a boot looks at the files
	if !ok {
		return
	}
	fit := true
	for _, m := range c.Moves {
		h := g.host(m.To.Real)
		switch w := s.procs[g.powers[h]]; {
		case w.pc == tFailed:
			fit = false
		case w.pc != 0 && w.pc != tOK && w.n == 1:
			return // its real server is being woken
		}
		fit = fit && g.ready(&s, g.guest(m.To.Host), h)
	}
	s.procs[p].pc = tLock
	if !fit {
		s.procs[p].pc = tUndo
		g.add(p, "a receiver does not answer", s)
		return
	}
	g.add(p, "receivers answer", s)
}

// ready has guest x run on host h.
func (g *stepper) ready(s *State, x, h int8) bool {
	if s.hosts[h] != awake || h < 3 && g.view(s.files).reals[h] != "active" {
		return false
	}
	q := &s.guests[x]
	switch {
	case q.power == saved, q.power == off && q.at == h:
		*q = guest{at: h, power: up, vips: q.vips}
	case q.frozen && g.view(s.files).stopped&(1<<x) != 0:
		*q = guest{at: h, power: up} // booted again
	}
	return q.at == h && s.serves(x)
}

// checked takes the lock, re-checks the files and asks who holds the VIPs.
func (g *stepper) checked(p int8, c edits.Change) {
	s, ok := g.open()
	if !ok {
		return
	}
	s.lock = p
	if err := c.Check(g.seen(s.files)); err != nil && g.scope.Broken != NoCheck {
		s.lock, s.procs[p].pc = nobody, tUndo
		g.add(p, "lock, refused: "+err.Error(), s)
		return
	}
	g.begin(g.moving(p, c), s)
}

func (g *stepper) mask1(m edits.Move) vips { return 1 << g.vip(m.VIP) }

// undoSpares saves the spares that the shift started and nobody uses.
func (g *stepper) undoSpares(p int8, group string) {
	s, ok := g.open()
	if !ok {
		return
	}
	for _, st := range g.plans[s.procs[p].plan].steps.Of(plan.StartSpare) {
		if st.Group == group {
			g.rest(&s, g.guest(st.Spare))
		}
	}
	s.procs[p].pc = tFailed
	g.add(p, "undone", s)
}

// rest saves a spare that no row uses.
func (g *stepper) rest(s *State, x int8) {
	if g.view(s.files).used&(1<<x) == 0 && s.obeys(x) {
		s.guests[x].power, s.guests[x].vips = saved, 0
	}
}

// stop puts a spare to rest behind its group's change.
func (g *stepper) stop(p, x int8) {
	me := g.s.procs[p]
	switch me.pc {
	case tBegin:
		switch g.s.procs[g.chains[x-spares]].pc {
		case 0, tOK:
		case tFailed:
			s := g.s
			s.procs[p].pc = tFailed
			g.add(p, "is not stopped", s)
			return
		default:
			return
		}
		s, ok := g.open()
		if !ok {
			return
		}
		v := g.view(s.files)
		s.procs[p].pc = tRow
		if g.serving(v, x) || g.separated(s.files, x) || s.guests[x].power == up && !s.obeys(x) {
			s.procs[p].pc = tFailed
			g.add(p, "is in use", s)
			return
		}
		if s.guests[x].power == up {
			s.guests[x].power, s.guests[x].vips = saved, 0
		}
		if me.n == 1 {
			s.procs[p].pc = tOK
		}
		g.add(p, "saved", s)
	case tRow:
		s, ok := g.open()
		if !ok {
			return
		}
		t := g.tables.all[s.files]
		edits.StopSpare(&t, g.guests[x].Host)
		g.commit(p, s, g.intern(t), s.failed, "[rows out]", func(s *State) { s.procs[p].pc = tOK })
	}
}

func (g *stepper) serving(v *view, x int8) bool { return slices.Contains(v.holder[:], x) }

func (g *stepper) separated(files int16, x int8) bool {
	return g.tables.all[files].Separation.Has(g.guests[x].Host)
}
