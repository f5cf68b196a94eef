package model

import (
	"fmt"
	"slices"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/edits"
	"pss-msbs/pkg/handover"
	"pss-msbs/pkg/plan"
)

// Where a process is between two rounds; 0 is down, to be started again.
const started = 1

// The coordinator's places.
const (
	busy     = 2 // tasks are under way
	mendHeld = 3 // holds the lock to put a VIP where the files have it
)

// The places of a task; 0 is none under way.
const (
	tBegin = 1 + iota
	tLock
	tHand // lock held: the stages of a handover
)

const (
	tUndo = tHand + uint8(handover.Done) + iota // spares are to be stopped again
	tRow
	tSleep
	tOK
	tFailed
)

// planned is a plan and what it was made from.
type planned struct {
	before int16
	steps  plan.Steps
}

type shiftKey struct {
	files int16
	wants [2]cluster.Condition
}

// plan is the plan for wants, as an index of System.plans; 0 is one without steps.
func (y *System) plan(files int16, wants [2]cluster.Condition) int16 {
	k := shiftKey{files, wants}
	if id, ok := y.memo.shifts[k]; ok {
		return id
	}
	steps := plan.Make(y.seen(files), y.homes, map[string]cluster.Condition{y.groups[0]: wants[0], y.groups[1]: wants[1]})
	steps = slices.DeleteFunc(steps, func(s plan.Step) bool { return s.Do == plan.Refuse })
	id := int16(0)
	if len(steps) > 0 {
		key := fmt.Sprint(files, steps)
		var ok bool
		if id, ok = y.planIDs[key]; !ok {
			id = int16(len(y.plans))
			y.plans, y.planIDs[key] = append(y.plans, planned{files, steps}), id
		}
	}
	y.memo.shifts[k] = id
	return id
}

// seen is the files as pss looks at them.
func (y *System) seen(files int16) cluster.Tables {
	t := y.tables.all[files]
	if y.scope.Broken == BlindSuspend {
		t.Separation = nil
	}
	return t
}

// change is a group's part of a plan.
func (y *System) change(p planned, group string) edits.Change {
	return p.steps.Change(y.tables.all[p.before], group)
}

// pss is the coordinator and its tasks.
func (g *stepper) pss() {
	switch p := g.s.procs[0]; p.pc {
	case 0:
		s := g.s
		s.procs[0].pc = started
		g.add(0, "starts", s)
		return
	case started:
		g.round()
	case busy:
		g.roundEnds()
	case mendHeld:
		g.settled(int8(p.n))
	}
	for i, p := range g.chains {
		g.chain(p, g.groups[i])
	}
	for i, p := range g.powers {
		g.power(p, int8(i))
	}
	for i, p := range g.stops {
		g.stop(p, int8(spares+i))
	}
	g.rescues()
}

// round is a cycle: first whatever stands elsewhere than the files say, then
// what is missing for what is wanted.
func (g *stepper) round() {
	s, ok := g.open()
	if !ok {
		return
	}
	v := g.view(s.files)
	for i := range g.vips {
		if r := v.holder[i]; r != nobody && v.sep&(1<<i) == 0 && s.reachable(r) && g.holders(&s, i) != 1<<r && g.mendable(&s, i, r) {
			t := s
			t.lock, t.procs[0] = 0, proc{pc: mendHeld, n: uint8(i)}
			g.strays(&t, i, r)
			g.add(0, "lock, strays off to mend "+g.vips[i].String(), t)
		}
	}
	g.stripMarked(s, v)
	for h := range g.reals {
		if v.reals[h] == "suspended" && s.hosts[h] == awake && s.procs[g.powers[h]].pc == 0 {
			t := s
			t.procs[0].pc = busy
			t.procs[g.powers[h]] = proc{pc: tLock}
			g.add(0, g.reals[h].Host+" is awake though it should sleep", t)
		}
	}
	id := g.plan(s.files, [2]cluster.Condition{g.want(0), g.want(1)})
	if id == 0 {
		return
	}
	s.procs[0] = proc{pc: busy, plan: id}
	for _, st := range g.plans[id].steps {
		switch st.Do {
		case plan.WakeReal, plan.SuspendReal:
			s.procs[g.powers[g.host(st.Real)]] = proc{pc: tBegin, plan: id, n: yes(st.Do == plan.WakeReal)}
		case plan.StopSpare:
			s.procs[g.stops[g.guest(st.Spare)-spares]] = proc{pc: tBegin, plan: id, n: yes(st.Keep)}
		default:
			s.procs[g.chains[slices.Index(g.groups, st.Group)]] = proc{pc: tBegin, plan: id}
		}
	}
	g.add(0, fmt.Sprint("shift ", g.plans[id].steps), s)
}

// stripMarked strips, under the lock, who has a VIP that a killed shift was
// moving, without being its holder or its owner's.
func (g *stepper) stripMarked(s State, v *view) {
	t := s
	for i := range g.vips {
		if s.moving&(1<<i) == 0 {
			continue
		}
		t.moving &^= 1 << i
		if v.sep&(1<<i) == 0 && g.holders(&s, i) != 1<<v.holder[i] {
			t.moving |= 1 << i // mended as any other
			continue
		}
		for x := range g.guests {
			owned := v.holder[i] == int8(x)
			for y := range int8(homesN) {
				owned = owned || g.look(s.files, s.failed, y).state == "separated" && g.look(s.files, s.failed, y).vips&(1<<i) != 0 && (int8(x) == y || int8(x) == g.backup(y))
			}
			switch {
			case owned || s.guests[x].vips&(1<<i) == 0:
			case s.obeys(int8(x)):
				t.guests[x].vips &^= 1 << i
			case s.guests[x].power == up:
				t.moving |= 1 << i
			}
		}
	}
	if t != s {
		g.add(0, "[strangers stripped]", t)
	}
}

func yes(b bool) uint8 {
	if b {
		return 1
	}
	return 0
}

// mendable reports whether VIP i can be put on r: every stray obeys.
func (g *stepper) mendable(s *State, i int, r int8) bool {
	for x := range g.guests {
		if int8(x) != r && s.guests[x].vips&(1<<i) != 0 && s.reachable(int8(x)) && !s.obeys(int8(x)) {
			return false
		}
	}
	return s.obeys(r)
}

func (g *stepper) strays(s *State, i int, r int8) {
	for x := range g.guests {
		if int8(x) != r && s.reachable(int8(x)) {
			s.guests[x].vips &^= 1 << i
		}
	}
}

// settled puts VIP i on the server that the files name, and gives the lock back.
func (g *stepper) settled(i int8) {
	s := g.s
	if r := g.view(s.files).holder[i]; r != nobody && s.obeys(r) && g.holders(&s, int(i))&^(1<<r) == 0 {
		s.guests[r].vips |= 1 << i
	}
	s.lock, s.procs[0] = nobody, proc{pc: started}
	g.add(0, "mended, unlock", s)
}

// roundEnds once every task has.
func (g *stepper) roundEnds() {
	s := g.s
	for p := int8(1); p < g.rescue; p++ {
		if pc := s.procs[p].pc; pc != 0 && pc != tOK && pc != tFailed {
			return
		}
		s.procs[p] = proc{}
	}
	s.procs[0] = proc{pc: started}
	g.add(0, "shift done", s)
}
