package model

import (
	"slices"

	"pss-msbs/pkg/edits"
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
	case tOff:
		g.moveOff(p, c)
	case tOn:
		g.moveOn(p, c)
	case tRow:
		s := g.s
		t := g.tables.all[s.files].Clone()
		c.Make(&t, g.homes)
		g.commit(p, s, g.intern(t), s.failed, "commit, unlock", func(s *State) {
			s.lock, s.procs[p].pc = nobody, tOK
			for _, m := range c.Moves {
				s.moving &^= g.mask1(m)
			}
		})
	case tBack:
		g.takeBack(p, c)
	case tUndo:
		g.undoSpares(p, group)
	}
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
	for _, m := range c.Moves {
		from, to := g.guest(m.From.Host), g.guest(m.To.Host)
		if !s.reachable(to) || g.holders(&s, g.vip(m.VIP))&^(1<<from|1<<to) != 0 {
			s.lock, s.procs[p].pc = nobody, tUndo
			g.add(p, "lock, refused: who answers does not fit", s)
			return
		}
	}
	for _, m := range c.Moves {
		s.moving |= g.mask1(m)
	}
	s.procs[p].pc, s.procs[p].n = tOff, 0
	if len(c.Moves) == 0 {
		s.procs[p].pc = tRow
	}
	if g.scope.Broken == OnBeforeOff && len(c.Moves) > 0 {
		s.procs[p].pc = tOn
	}
	g.add(p, "lock, the files fit", s)
}

// moveOff takes the VIPs of a wave off their holders.
func (g *stepper) moveOff(p int8, c edits.Change) {
	s := g.s
	s.procs[p].pc = tOn
	for _, m := range c.Waves(g.tables.all[s.files])[s.procs[p].n] {
		from := g.guest(m.From.Host)
		if !s.obeys(from) {
			s.procs[p].pc = tBack
			g.add(p, m.From.Host+" does not give "+m.VIP.String(), s)
			return
		}
		s.guests[from].vips &^= g.mask1(m)
	}
	if g.scope.Broken == OnBeforeOff {
		s.procs[p].pc = tRow
	}
	g.add(p, "VIPs off", s)
}

func (g *stepper) mask1(m edits.Move) vips { return 1 << g.vip(m.VIP) }

// moveOn puts the VIPs of a wave on their receivers and asks who answers.
func (g *stepper) moveOn(p int8, c edits.Change) {
	s := g.s
	waves := c.Waves(g.tables.all[s.files])
	fit := true
	for _, m := range waves[s.procs[p].n] {
		to := g.guest(m.To.Host)
		if fit = fit && s.obeys(to); fit {
			s.guests[to].vips |= g.mask1(m)
			fit = g.scope.Broken == OnBeforeOff || g.holders(&s, g.vip(m.VIP)) == 1<<to
		}
	}
	s.procs[p].n++
	switch {
	case !fit:
		s.procs[p].pc = tBack
	case int(s.procs[p].n) < len(waves):
		s.procs[p].pc = tOff
	case g.scope.Broken == OnBeforeOff:
		s.procs[p].pc, s.procs[p].n = tOff, 0
	default:
		s.procs[p].pc = tRow
	}
	g.add(p, "VIPs on", s)
}

// takeBack undoes all address changes and gives the lock back.
func (g *stepper) takeBack(p int8, c edits.Change) {
	s := g.s
	for _, m := range c.Moves {
		from, to := g.guest(m.From.Host), g.guest(m.To.Host)
		if s.obeys(to) {
			s.guests[to].vips &^= g.mask1(m)
			s.moving &^= g.mask1(m)
			if s.obeys(from) {
				s.guests[from].vips |= g.mask1(m)
			}
		}
	}
	s.lock, s.procs[p].pc = nobody, tUndo
	g.add(p, "VIPs back, unlock", s)
}

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
