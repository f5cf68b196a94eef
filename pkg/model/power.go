package model

import (
	"slices"

	"pss-msbs/pkg/edits"
	"pss-msbs/pkg/plan"
)

// power wakes a real server, or puts it to sleep.
func (g *stepper) power(p, h int8) {
	me := g.s.procs[p]
	wakes := me.n == 1
	switch {
	case me.pc == tBegin && wakes:
		s := g.s
		switch s.hosts[h] {
		case asleep, dead:
			s.hosts[h] = awake
		case silent:
			return // it answers again some day
		}
		s.procs[p].pc = tRow
		g.add(p, "woken", s)
	case me.pc == tRow && wakes:
		s, ok := g.open()
		if !ok {
			return
		}
		t, pc := g.tables.all[s.files].Clone(), uint8(tOK)
		if edits.Wake(&t, g.hosts[h]) != nil {
			pc = tFailed
		}
		g.commit(p, s, g.intern(t), s.failed, "[row to real-server]", func(s *State) { s.procs[p].pc = pc })
	case me.pc == tBegin:
		g.left(p, h)
	case me.pc == tLock: // again: it is awake though its row says asleep
		s, ok := g.open()
		if !ok {
			return
		}
		s.procs[p].pc = tSleep
		if g.view(s.files).reals[h] != "suspended" || g.needed(&s, h) {
			s.procs[p].pc = tFailed
		}
		g.add(p, "[looked again]", s)
	case me.pc == tRow:
		g.rowToSleep(p, h)
	case me.pc == tSleep:
		s := g.s
		if s.hosts[h] == awake {
			s.hosts[h] = asleep
		}
		s.procs[p].pc = tOK
		if g.scope.Broken == SleepFirst {
			s.procs[p].pc = tRow
		}
		g.add(p, "sleeps", s)
	}
}

// left waits until the groups and spares that leave a real server have.
func (g *stepper) left(p, h int8) {
	s := g.s
	s.procs[p].pc = tRow
	if g.scope.Broken == SleepFirst {
		s.procs[p].pc = tSleep
	}
	for _, st := range g.plans[s.procs[p].plan].steps {
		var wait proc
		switch {
		case st.Do == plan.MoveVIP && g.host(st.From.Real) == h:
			wait = s.procs[g.chains[slices.Index(g.groups, st.Group)]]
		case st.Do == plan.StopSpare:
			wait = s.procs[g.stops[g.guest(st.Spare)-spares]]
		default:
			continue
		}
		switch wait.pc {
		case tOK:
		case tFailed:
			s.procs[p].pc = tFailed
		default:
			return
		}
	}
	g.add(p, "nobody is left on it", s)
}

// rowToSleep is file before sleep, if nothing there is needed.
func (g *stepper) rowToSleep(p, h int8) {
	s, ok := g.open()
	if !ok {
		return
	}
	if g.needed(&s, h) && g.scope.Broken != SleepFirst {
		s.procs[p].pc = tFailed
		g.add(p, "[is needed]", s)
		return
	}
	t, pc := g.tables.all[s.files].Clone(), uint8(tSleep)
	if edits.Sleep(&t, g.hosts[h]) != nil {
		pc = tFailed
	}
	if g.scope.Broken == SleepFirst {
		pc = tOK
	}
	g.commit(p, s, g.intern(t), s.failed, "[row to suspension-real]", func(s *State) { s.procs[p].pc = pc })
}

// needed is what a suspend looks at under the lock.
func (g *stepper) needed(s *State, h int8) bool {
	if g.seen(s.files).Needs(g.hosts[h]) || s.hosts[h] == silent || s.hosts[h] == dead {
		return true
	}
	v := g.view(s.files)
	for i := range g.guests {
		if x := s.guests[i]; x.at == h && x.power == up && v.stopped&(1<<i) == 0 {
			return true
		}
	}
	return false
}
