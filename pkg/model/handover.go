package model

import (
	"pss-msbs/pkg/handover"
	"pss-msbs/pkg/ipc"
)

// handing is a handover of process p. What comes next is said by the machine that
// the programs themselves go by; what its stages do to the world stands here.
type handing struct {
	p        int8
	base     uint8 // the place of its first stage
	shape    handover.Shape
	from, to func(vip int) int8               // who gives a VIP, nobody where nobody does; who gets it
	force    bool                             // a server that does not obey is cut off
	rows     func(files int16) (vips, bool)   // what the givers serve by the rows, and whether those have followed
	commit   func(s State, st handover.State) // the step in which the rows follow, or not
	begun    func(s *State)                   // what is done before the first address is changed; may be nil
	undone   func(s *State)                   // the end of one that was undone
}

// set is the VIPs of a mask, bitsOf the mask of VIPs: there are four.
func set(mask uint8) handover.Set { return handover.First(uint64(mask)) }
func bitsOf(s handover.Set) uint8 { return uint8(s[0]) }

// again, of proc.turn, marks a handover under its second hold.
const again = 0x80

// handed is where a handover stands.
func (h handing) handed(q proc) handover.State {
	return handover.State{Stage: handover.Stage(q.pc - h.base), Wave: q.turn &^ again,
		Off: set(q.moved & 0xf), On: set(q.moved >> 4), Stuck: set(q.kept & 0xf), Back: set(q.kept >> 4),
		Lost: q.n&lost != 0, Again: q.turn&again != 0}
}

// place puts it there.
func (h handing) place(s *State, st handover.State) {
	q := &s.procs[h.p]
	q.pc, q.turn = h.base+uint8(st.Stage), st.Wave
	q.moved, q.kept = bitsOf(st.Off)|bitsOf(st.On)<<4, bitsOf(st.Stuck)|bitsOf(st.Back)<<4
	if q.n &^= lost; st.Lost {
		q.n |= lost
	}
	if st.Again {
		q.turn |= again
	}
	if st.Stage.Over() {
		h.undone(s)
	}
}

// begin is the first stage, for which the process has just taken the lock.
func (g *stepper) begin(h handing, s State) {
	s.lock = h.p
	if g.scope.Broken == NoHold && h.rows != nil {
		s.lock = nobody
	}
	var o handover.Outcome
	for i := range h.shape.VIPs(handover.State{}).All {
		var may guests
		for _, x := range []int8{h.from(i), h.to(i)} {
			if x != nobody {
				may |= 1 << x
			}
		}
		if !s.reachable(h.to(i)) || g.holders(&s, i)&^may != 0 && g.scope.Broken != NoAsking {
			o.Failed = o.Failed.With(handover.One(i))
		}
	}
	if o.Failed.Empty() && h.begun != nil {
		h.begun(&s)
	}
	h.place(&s, h.shape.After(h.shape.Begin(), o))
	g.add(h.p, "lock, the files fit, asks who answers", s)
}

// hand is the next stage.
func (g *stepper) hand(h handing) {
	s := g.s
	st := h.handed(s.procs[h.p])
	if late := g.scope.Broken == LateCalls && st.Stage.Forward(); st.Lost && !late && (st.Stage.Forward() || st.Stage == handover.Return) {
		h.place(&s, h.shape.Lose(st))
		g.add(h.p, "the hold is lost", s)
		return
	}
	switch st.Stage {
	case handover.Commit:
		h.commit(s, st)
		return
	case handover.Hold:
		g.holdAgain(h, st)
		return
	}
	var o handover.Outcome
	for i := range h.shape.VIPs(st).All {
		if !g.act(h, &s, st.Stage, i) {
			o.Failed = o.Failed.With(handover.One(i))
		}
	}
	h.place(&s, h.shape.After(st, o))
	g.add(h.p, stages[st.Stage], s)
}

var stages = map[handover.Stage]string{handover.Off: "VIPs off", handover.On: "VIPs on", handover.Verify: "asks who answers",
	handover.LetGo: "VIPs off again", handover.Return: "VIPs back"}

// holdAgain takes the lock again.
func (g *stepper) holdAgain(h handing, st handover.State) {
	s, ok := g.open()
	if !ok && g.scope.Broken != UndoUnheld {
		return
	}
	serves, done := h.rows(s.files)
	if g.scope.Broken == UndoUnheld {
		s, serves, done = g.s, vips(bitsOf(h.shape.Returns)), false
	} else {
		s.lock = h.p
	}
	h.place(&s, h.shape.After(st, handover.Outcome{Done: done, Serves: set(uint8(serves))}))
	g.add(h.p, "lock again", s)
}

// act does a stage for one VIP, and reports whether it was done.
func (g *stepper) act(h handing, s *State, stage handover.Stage, vip int) bool {
	bit, from, to := vips(1)<<vip, h.from(vip), h.to(vip)
	switch stage {
	case handover.Off:
		return from == nobody || g.scope.Broken == OnBeforeOff || g.takeOff(s, from, bit, h.force)
	case handover.On:
		if s.obeys(to) {
			s.guests[to].vips |= bit
		}
		return s.obeys(to)
	case handover.Verify:
		if g.scope.Broken == OnBeforeOff && from != nobody {
			return g.takeOff(s, from, bit, h.force)
		}
		return g.holders(s, vip) == 1<<to
	case handover.LetGo:
		switch {
		case g.scope.Broken == HalfUndo, g.scope.Broken == DeafUndo && !s.obeys(to):
			return true
		}
		return g.takeOff(s, to, bit, h.force)
	}
	q := &s.guests[from]
	if h.force {
		q.cut = false
	}
	if s.obeys(from) {
		q.vips |= bit
	}
	return s.obeys(from)
}

// takeOff takes a VIP off a server, by force where it may.
func (g *stepper) takeOff(s *State, x int8, bit vips, force bool) bool {
	q := &s.guests[x]
	switch {
	case s.obeys(x):
		q.vips &^= bit
	case !force:
		return false
	case q.power != up:
	case s.hosts[q.at] != awake:
		return false
	default:
		q.cut = true
	}
	return true
}

// givingBack is the give-back of guest x by p, which stands as me says.
func (g *stepper) givingBack(p, x int8, base uint8, me proc) handing {
	backup := func(int) int8 { return g.backup(x) }
	return handing{p: p, base: base, shape: handover.Shape{Waves: waves(me.a), Returns: set(uint8(me.b))},
		from: backup, to: func(int) int8 { return x }, force: true,
		rows: func(files int16) (vips, bool) {
			r := g.held(files, x)
			return r.fromBackup, !r.separated
		}}
}

// waves is all at once.
func waves(all vips) []handover.Set {
	if all == 0 {
		return nil
	}
	return []handover.Set{set(uint8(all))}
}

// a5 is the give-back by dbss.
func (g *stepper) a5(p, x int8, me proc) handing {
	h := g.givingBack(p, x, dHand, me)
	h.undone = func(s *State) {
		if s.lock == p {
			s.lock = nobody
		}
		s.procs[p] = proc{pc: dRecover}
	}
	h.commit = func(s State, st handover.State) {
		if g.scope.Broken == NoHold {
			var ok bool
			if s, ok = g.open(); !ok {
				return
			}
		}
		e := g.edit(s.files, s.failed, ipc.A5, x, nobody)
		if st.Lost || !e.ok {
			h.place(&s, h.shape.After(st, handover.Outcome{Failed: handover.One(0)}))
			g.add(p, "A5 refused", s)
			return
		}
		g.commit(p, s, e.files, e.failed, "A5, release", func(s *State) {
			s.lock, s.procs[p] = nobody, proc{pc: started}
			g.strip(s, g.backup(x))
		})
	}
	return h
}

// b4 is the give-back by dsrs; its own dbss takes the server over.
func (g *stepper) b4(p, h, x int8, me proc) handing {
	hand := g.givingBack(p, x, rHand, me)
	hand.undone = func(s *State) {
		if s.lock == p {
			s.lock = nobody
		}
		g.giveUp(s, p, x)
	}
	hand.commit = func(s State, st handover.State) {
		if !g.held(s.files, x).separated && !st.Lost {
			g.restored(&s, p, x, nothing)
			g.add(p, "release, nothing to commit", s)
			return
		}
		e := g.edit(s.files, s.failed, ipc.B4, h, x)
		if st.Lost || !e.ok {
			hand.place(&s, hand.shape.After(st, handover.Outcome{Failed: handover.One(0)}))
			g.add(p, "B4 refused", s)
			return
		}
		g.commit(p, s, e.files, e.failed, "B4, release", func(s *State) { g.restored(s, p, x, hasRow) })
	}
	return hand
}
