package model

import "pss-msbs/pkg/ipc"

// giveBack moves the addresses under the hold and makes the files follow.
func (g *stepper) giveBack(p, x int8) {
	s, b := g.s, g.backup(x)
	me := &s.procs[p]
	gone := me.n&lost != 0
	if gone && (me.pc == dOff || me.pc == dOn) && g.scope.Broken != LateCalls {
		me.pc = dAgain // calls under a hold end before it does
		if g.scope.Broken == UndoUnheld {
			me.pc = dBack
		}
		g.add(p, "the hold is lost", s)
		return
	}
	switch me.pc {
	case dOff:
		if b != nobody {
			s.guests[b].vips = 0
			if !s.obeys(b) && s.guests[b].power == up {
				s.guests[b].power = off
			}
		}
		me.pc = dOn
	case dOn:
		me.pc = dGive
		if !s.obeys(x) {
			me.pc = dBack
			break
		}
		if g.strangers(&s, me.a&s.moving, 1<<x) && g.scope.Broken != NoAsking {
			me.pc = dBack
			break
		}
		s.guests[x].vips |= me.a
		for i := range g.vips {
			if me.a&(1<<i) != 0 && g.holders(&s, i) != 1<<x {
				me.pc = dBack
			}
		}
	case dGive:
		g.a5(p, x)
		return
	case dBack:
		g.undo(&s, p, x, me.b)
		if !gone && g.scope.Broken != NoHold {
			s.lock = nobody
		}
		s.procs[p] = proc{pc: dRecover}
		g.add(p, "addresses back, release", s)
		return
	case dAgain:
		var ok bool
		if s, ok = g.open(); !ok {
			return
		}
		if r := g.held(s.files, x); r.separated {
			g.undo(&s, p, x, s.procs[p].b&r.fromBackup)
		}
		s.procs[p] = proc{pc: dRecover}
		g.add(p, "[hold again: addresses back]", s)
		return
	}
	if gone {
		me.pc = dAgain
	}
	g.add(p, "addresses of the give-back", s)
}

// a5 is A5 recovered; one whose hold is lost is refused.
func (g *stepper) a5(p, x int8) {
	s := g.s
	if s.procs[p].n&lost != 0 {
		s.procs[p].pc = dAgain
		if g.scope.Broken == UndoUnheld {
			s.procs[p].pc = dBack
		}
		g.add(p, "A5 refused: the hold was lost", s)
		return
	}
	if g.scope.Broken == NoHold {
		var ok bool
		if s, ok = g.open(); !ok {
			return
		}
	}
	e := g.edit(s.files, s.failed, ipc.A5, x, nobody)
	if !e.ok {
		s.procs[p].pc = dBack
		g.add(p, "A5 refused", s)
		return
	}
	g.commit(p, s, e.files, e.failed, "A5, release", func(s *State) {
		s.lock, s.procs[p] = nobody, proc{pc: started}
		g.strip(s, g.backup(x))
	})
}

// undo gives the backup what it served.
func (g *stepper) undo(s *State, p, x int8, to vips) {
	if !s.obeys(x) {
		return
	}
	if g.scope.Broken != HalfUndo {
		s.guests[x].vips &^= s.procs[p].a
	}
	if b := g.backup(x); b != nobody && s.obeys(b) {
		s.guests[b].vips |= to
	}
}
