package model

import (
	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/handover"
	"pss-msbs/pkg/ipc"
)

// The places of a dbss beside started.
const (
	dSep      = 2 + iota // A3
	dFence               //
	dBackup              // the backup is to answer
	dServe               // the backup gets the VIPs
	dEnter               // A4
	dRecover             // the background job, the files and the backup are looked at
	dWithdraw            // the backup does not come up
	dFailed              // A4-failed
	dDraw                // A4 was refused
	dHand                // hold: the stages of the give-back
	ended     = dHand + uint8(handover.Done)
)

// lost marks a process whose hold expired under it.
const lost = 0x80

// dbss is the monitor p of target x.
func (g *stepper) dbss(p, x int8) {
	me := g.s.procs[p]
	switch me.pc {
	case 0:
		if g.s.monitor[x] == nobody {
			s := g.s
			s.monitor[x], s.procs[p].pc = p, started
			g.add(p, "starts", s)
		}
	case started:
		g.monitor(p, x)
	case dSep:
		g.separate(p, x)
	case dFence:
		g.fence(p, x)
	case dBackup:
		g.wakeBackup(p, x)
	case dServe:
		g.serve(p, x)
	case dEnter:
		g.enter(p, x)
	case dRecover:
		g.follow(p, x)
		g.repair(p, x)
	case dWithdraw, dDraw:
		s := g.s
		g.strip(&s, g.backup(x))
		s.procs[p].pc = dRecover
		if me.pc == dWithdraw {
			s.procs[p].pc = dFailed
		}
		g.add(p, "backup withdrawn", s)
	case dFailed:
		g.verb(p, x, ipc.A4Failed, dRecover, dRecover)
	case ended:
	default:
		g.hand(g.a5(p, x, me))
	}
}

// backup is the backup of a home server; nobody.
func (g *stepper) backup(x int8) int8 {
	if x >= homesN {
		return nobody
	}
	return x + homesN
}

// strip takes every VIP off a backup and pauses it; one that does not obey is destroyed.
func (g *stepper) strip(s *State, b int8) {
	if b == nobody {
		return
	}
	s.guests[b] = guest{at: s.guests[b].at, power: paused}
}

// verb runs a verb under a lock of its own.
func (g *stepper) verb(p, x int8, verb ipc.Verb, done, refused uint8) {
	s, ok := g.open()
	if !ok {
		return
	}
	e := g.edit(s.files, s.failed, verb, x, nobody)
	if !e.ok {
		s.procs[p].pc = refused
		g.add(p, "["+string(verb)+" refused]", s)
		return
	}
	g.commit(p, s, e.files, e.failed, "["+string(verb)+"]", func(s *State) { s.procs[p].pc = done })
}

// monitor is one look at the target.
func (g *stepper) monitor(p, x int8) {
	s, ok := g.open()
	if !ok {
		return
	}
	l := g.look(s.files, s.failed, x)
	b := g.backup(x)
	switch {
	case l.state == cluster.Operating && !s.serves(x):
		s.procs[p] = proc{pc: dSep, plan: s.files}
		g.add(p, "A2, trouble confirmed", s)
	case l.state == cluster.Operating:
		g.mendVIPs(p, x, s)
		g.restBackup(p, b, s)
	case l.state == cluster.Separated && (l.nobody != 0 && !l.failed || l.byBackup != 0 && (!s.serves(b) || l.byBackup&^s.guests[b].vips != 0)):
		s.procs[p] = proc{pc: dSep, plan: s.files}
		g.add(p, "A1, takes over again", s)
	case l.state == cluster.Separated:
		s.procs[p].pc = dRecover
		g.add(p, "A1, resumes the recovery", s)
	default:
		g.restBackup(p, b, s)
	}
}

func (g *stepper) restBackup(p, b int8, s State) {
	if b == nobody || s.guests[b].power == paused && s.guests[b].vips == 0 || g.serving(g.view(s.files), b) {
		return
	}
	g.strip(&s, b)
	g.add(p, "backup put to rest", s)
}

// mendVIPs makes the target's VIPs follow the files, under hold.
func (g *stepper) mendVIPs(p, x int8, s State) {
	named := g.held(s.files, x).operation
	was := s.guests[x].vips
	s.guests[x].vips &= named
	for i := range g.vips {
		if named&(1<<i) != 0 && g.holders(&s, i)&^(1<<x) == 0 {
			s.guests[x].vips |= 1 << i
		}
	}
	if s.guests[x].vips != was {
		g.add(p, "[hold: VIPs mended]", s)
	}
}

// separate is A3.
func (g *stepper) separate(p, x int8) {
	s, ok := g.open()
	if !ok {
		return
	}
	from := s.files
	if g.scope.Broken == StaleA3 {
		from = s.procs[p].plan // as the files were at the detection
	}
	e := g.edit(from, s.failed, ipc.A3, x, nobody)
	if !e.ok {
		s.procs[p].pc = started
		g.add(p, "[A3 refused]", s)
		return
	}
	l := g.look(e.files, e.failed, x)
	g.commit(p, s, e.files, e.failed, "[A3]", func(s *State) {
		s.procs[p] = proc{pc: dFence, a: l.nobody | l.byBackup}
	})
}

// fence makes sure that the target cannot answer; behind a host that is silent
// it cannot anyway.
func (g *stepper) fence(p, x int8) {
	s := g.s
	what := "target is off or its host silent"
	switch q := &s.guests[x]; {
	case g.scope.Broken == NoFence:
	case s.obeys(x):
		q.vips, what = 0, "target stripped"
	case q.power == up && s.hosts[q.at] == awake:
		q.cut, what = true, "target's link down"
	}
	switch b := g.backup(x); {
	case g.look(s.files, s.failed, x).failed:
		s.procs[p].pc = dRecover
	case b == nobody:
		s.procs[p].pc = dFailed
	default:
		s.procs[p].pc = dBackup
	}
	g.add(p, "fence: "+what, s)
}

// wakeBackup has the backup answer, or not.
func (g *stepper) wakeBackup(p, x int8) {
	s := g.s
	s.guests[g.backup(x)].power = up
	s.procs[p].pc = dServe
	g.add(p, "backup answers", s)
	if g.s.left[backupFailures] > 0 {
		s := g.s
		s.left[backupFailures]--
		s.procs[p].pc = dWithdraw
		g.add(p, "backup does not answer", s)
	}
}

// serve puts the VIPs on the backup and asks who answers for them.
func (g *stepper) serve(p, x int8) {
	s, b := g.s, g.backup(x)
	for i := range g.vips {
		others := g.settledHolders(&s, i) &^ (1 << b)
		if s.procs[p].a&s.moving&(1<<i) == 0 || others == 0 || g.scope.Broken == NoAsking {
			continue
		}
		if others == 1<<x && g.scope.Broken != NoFence {
			s.guests[x].cut = true
			g.add(p, "the target still answers, link down", s)
			return
		}
		s.procs[p].pc = dWithdraw // unless the other one is stripped in time
		g.add(p, "another server answers", s)
		return
	}
	s.guests[b].vips |= s.procs[p].a
	s.procs[p].pc = dEnter
	for i := range g.vips {
		others := g.settledHolders(&s, i) &^ (1 << b)
		if s.procs[p].a&(1<<i) != 0 && others != 0 {
			s.procs[p].pc = dWithdraw
		}
	}
	g.add(p, "VIPs on the backup", s)
}

// settledHolders are the holders of a VIP but for those on a host that was silent.
func (g *stepper) settledHolders(s *State, i int) guests {
	h := g.holders(s, i)
	for x := range g.guests {
		if at := s.guests[x].at; at >= 0 && s.late&(1<<at) != 0 {
			h &^= 1 << x
		}
	}
	return h
}

// enter is A4.
func (g *stepper) enter(p, x int8) { g.verb(p, x, ipc.A4, dRecover, dDraw) }

// follow looks at the files during a recovery.
func (g *stepper) follow(p, x int8) {
	s, ok := g.open()
	if !ok {
		return
	}
	l, b := g.look(s.files, s.failed, x), g.backup(x)
	switch {
	case l.state == cluster.Operating || l.state == cluster.NotInFiles || l.state == cluster.AccessStop && s.serves(x) && s.guests[x].vips == 0:
		s.procs[p] = proc{pc: started}
		g.add(p, "A1, the recovery is over", s)
	case l.state != cluster.Separated:
	case l.out || s.hosts[s.guests[x].at] != awake:
		if len(g.scope.Reals) == 0 {
			return
		}
		s.procs[p], s.monitor[x] = proc{pc: ended}, nobody
		g.add(p, "A1, leaves the target to its dsrs", s)
	case l.nobody != 0 && !l.failed:
		s.procs[p] = proc{pc: dSep, plan: s.files}
		g.add(p, "A1, nobody serves", s)
	case l.byBackup != 0 && l.byBackup&^s.guests[b].vips != 0:
		s.guests[b].power = up
		for i := range g.vips {
			if l.byBackup&(1<<i) != 0 && g.holders(&s, i)&^(1<<b) == 0 {
				s.guests[b].vips |= 1 << i
			}
		}
		if s != g.s {
			g.add(p, "[hold: VIPs back on the backup]", s)
		}
	}
}

// repair is the background job; it looks at no file.
func (g *stepper) repair(p, x int8) {
	s := g.s
	q := &s.guests[x]
	switch {
	case s.hosts[q.at] != awake:
	case q.power != up, q.frozen:
		*q = guest{at: q.at, power: up}
		g.add(p, "target booted", s)
	case q.cut || q.vips != 0:
		q.cut, q.vips = false, 0
		g.add(p, "target stripped", s)
	default:
		if s, ok := g.open(); ok && g.look(s.files, s.failed, x).state == cluster.Separated {
			r := g.held(s.files, x)
			s.procs[p] = proc{pc: dHand, a: r.back, b: r.fromBackup}
			g.begin(g.a5(p, x, s.procs[p]), s)
		}
	}
}
