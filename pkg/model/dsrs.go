package model

import (
	"slices"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/ipc"
)

// The places of a dsrs beside started.
const (
	rOut   = 2 + iota // B3
	rWait             // magic packets
	rStrip            //
	rBoot             // server n
	rOff              // hold: off the backup
	rOn               // hold: on the server
	rGive             // hold: B4
	rBack             // hold: the addresses go back
	rEnd              // B4 of the host alone
)

// The marks beside the number of the server in proc.n.
const (
	server  = 0x07
	alone   = 0x20 // an orphan of a healthy host: only this server
	hasRow  = 0x40 // a B4 has returned the real server's row
	nothing = 0
)

// dsrs is the monitor p of real server h.
func (g *stepper) dsrs(p, h int8) {
	switch g.s.procs[p].pc {
	case 0:
		s := g.s
		s.procs[p].pc = started
		g.add(p, "starts", s)
	case started:
		g.normal(p, h)
	case rOut:
		g.verb(p, h, ipc.B3, rWait, started)
	case rWait:
		g.awaitHost(p, h)
	case rStrip:
		g.stripHost(p, h)
	case rBoot:
		g.boot(p, h)
	case rOff, rOn, rGive, rBack:
		g.restore(p, h, g.server(p, h))
	case rEnd:
		s, ok := g.open()
		if !ok {
			return
		}
		e := g.edit(s.files, s.failed, ipc.B4, h, nobody)
		g.commit(p, s, e.files, e.failed, "[B4]", func(s *State) { s.procs[p] = proc{pc: started} })
	}
}

// server is the guest that the dsrs is at; nobody after the last.
func (g *stepper) server(p, h int8) int8 {
	list, n := g.reals[h].Servers, int(g.s.procs[p].n&server)
	if n >= len(list) {
		return nobody
	}
	return g.guest(list[n])
}

// normal is one monitoring of the real server, and what its servers lack.
func (g *stepper) normal(p, h int8) {
	s, ok := g.open()
	if !ok {
		return
	}
	v := g.view(s.files)
	switch {
	case v.reals[h] == cluster.RealAsleep:
	case v.reals[h] == cluster.RealOutside:
		s.procs[p].pc = rWait
		g.add(p, "B1, resumes", s)
	case s.hosts[h] != awake:
		s.procs[p].pc = rOut
		g.add(p, "B2, trouble confirmed", s)
	case s.late&(1<<h) != 0:
		g.stripGuests(&s, h)
		g.add(p, "[hold: stripped after a silence]", s)
	default:
		g.tend(p, h, s)
	}
}

// tend takes up servers that nobody owns.
func (g *stepper) tend(p, h int8, s State) {
	for i, name := range g.reals[h].Servers {
		x := g.guest(name)
		if s.monitor[x] != nobody && g.scope.Broken != NoOwner {
			continue
		}
		l := g.look(s.files, s.failed, x)
		d := slices.Index(g.scope.Monitors, name)
		t := s
		switch {
		case l.state == cluster.Separated:
			t.monitor[x] = p
			t.procs[p] = proc{pc: rBoot, n: uint8(i) | alone}
			g.add(p, "owns the orphan "+name, t)
		case d >= 0 && t.procs[g.monitors[d]].pc == ended:
			t.monitor[x], t.procs[g.monitors[d]] = g.monitors[d], proc{pc: started}
			g.add(p, "starts the monitor of "+name, t)
		}
	}
}

// awaitHost wakes the host and waits for it.
func (g *stepper) awaitHost(p, h int8) {
	s := g.s
	switch s.hosts[h] {
	case silent:
		return
	case awake:
		s.procs[p].pc = rStrip
		g.add(p, "the host answers", s)
	default:
		s.hosts[h] = awake
		g.add(p, "magic packet: the host boots", s)
	}
}

// stripHost owns the host's servers and takes off what the files place elsewhere.
func (g *stepper) stripHost(p, h int8) {
	s, ok := g.open()
	if !ok {
		return
	}
	if s.hosts[h] != awake {
		s.procs[p].pc = rWait
		g.add(p, "the host is gone again", s)
		return
	}
	for _, name := range g.reals[h].Servers {
		if x := g.guest(name); s.monitor[x] == nobody || g.scope.Broken == NoOwner {
			s.monitor[x] = p
		}
	}
	g.stripGuests(&s, h)
	s.procs[p] = proc{pc: rBoot}
	g.add(p, "owns servers, strips", s)
}

// stripGuests leaves each guest of h the VIPs that the files place there.
func (g *stepper) stripGuests(s *State, h int8) {
	v := g.view(s.files)
	s.late &^= 1 << h
	if g.scope.Broken == NoStrip {
		return
	}
	for i := range g.guests {
		q := &s.guests[i]
		if q.at != h || q.power != up {
			continue
		}
		var here vips
		for k := range g.vips {
			if v.holder[k] == int8(i) && v.real[k] == h {
				here |= 1 << k
			}
		}
		switch {
		case i >= spares && here == 0 && v.stopped&(1<<i) == 0:
			*q = guest{at: h, power: saved} // destroyed, and created anew
		case q.vips&^here == 0:
		case q.frozen:
			q.cut = true
		default:
			q.vips &= here
		}
	}
}

// boot brings the next server that is ours up.
func (g *stepper) boot(p, h int8) {
	s := g.s
	x := g.server(p, h)
	switch {
	case s.hosts[h] != awake:
		g.disown(&s, p)
		s.procs[p] = proc{pc: started}
		g.add(p, "the host is gone again", s)
	case x == nobody && s.procs[p].n&(hasRow|alone) == 0:
		s.procs[p] = proc{pc: rEnd}
		g.add(p, "no server is left", s)
	case x == nobody:
		s.procs[p] = proc{pc: started}
		g.add(p, "done", s)
	case s.monitor[x] != p:
		s.procs[p].n++
		g.add(p, g.guests[x].Host+" is another's", s)
	default:
		if q := &s.guests[x]; !s.serves(x) {
			*q = guest{at: h, power: up}
		}
		s.procs[p].pc = rOff
		g.add(p, g.guests[x].Host+" runs", s)
	}
}

func (g *stepper) disown(s *State, p int8) {
	for i := range s.monitor {
		if s.monitor[i] == p {
			s.monitor[i] = nobody
		}
	}
}

// restore gives one server its VIPs back under hold.
func (g *stepper) restore(p, h, x int8) {
	s, b := g.s, g.backup(x)
	switch s.procs[p].pc {
	case rOff:
		var ok bool
		if s, ok = g.open(); !ok {
			return
		}
		r := g.held(s.files, x)
		s.procs[p].a, s.procs[p].b = r.back, r.fromBackup
		if !s.serves(x) || g.strangers(&s, r.back, 1<<x|1<<b) {
			g.giveUp(p, x, s)
			return
		}
		s.lock = p
		if s.obeys(b) {
			s.guests[b].vips &^= r.back
		} else {
			s.guests[b].cut = s.guests[b].power == up
		}
		s.procs[p].pc = rOn
		g.add(p, "hold, VIPs off the backup", s)
	case rOn:
		s.procs[p].pc = rGive
		if s.procs[p].n&lost != 0 && g.scope.Broken != LateCalls {
			s.procs[p].pc = rBack
			g.add(p, "the hold is lost", s)
			return
		}
		if !s.obeys(x) {
			s.procs[p].pc = rBack
		} else {
			s.guests[x].vips |= s.procs[p].a
			if g.strangers(&s, s.procs[p].a, 1<<x) {
				s.procs[p].pc = rBack
			}
		}
		g.add(p, "VIPs on "+g.guests[x].Host, s)
	case rGive:
		g.b4(p, h, x)
	case rBack:
		g.revert(p, x)
	}
}

// strangers reports whether others than these answer for one of the VIPs.
func (g *stepper) strangers(s *State, some vips, these guests) bool {
	for i := range g.vips {
		if some&(1<<i) != 0 && g.holders(s, i)&^these != 0 {
			return true
		}
	}
	return false
}

// giveUp leaves a server to another try.
func (g *stepper) giveUp(p, x int8, s State) {
	s.monitor[x] = nobody
	g.nextServer(&s, p, nothing)
	g.add(p, g.guests[x].Host+" does not get its VIPs", s)
}

func (g *stepper) nextServer(s *State, p int8, marks uint8) {
	n := s.procs[p].n&^lost | marks
	if n&alone != 0 {
		n |= server // no other one
	} else {
		n++
	}
	s.procs[p] = proc{pc: rBoot, n: n}
}

// b4 is B4 of one server; its own dbss takes over.
func (g *stepper) b4(p, h, x int8) {
	s := g.s
	if s.procs[p].n&lost != 0 {
		s.procs[p].pc = rBack
		g.add(p, "B4 refused: the hold was lost", s)
		return
	}
	over := func(s *State, marks uint8) {
		s.lock, s.monitor[x] = nobody, nobody
		if d := slices.Index(g.scope.Monitors, g.guests[x].Host); d >= 0 {
			s.monitor[x], s.procs[g.monitors[d]] = g.monitors[d], proc{pc: started}
		}
		if b := g.backup(x); !g.serving(g.view(s.files), b) {
			g.strip(s, b)
		}
		g.nextServer(s, p, marks)
	}
	if !g.held(s.files, x).separated {
		over(&s, nothing)
		g.add(p, "release, nothing to commit", s)
		return
	}
	e := g.edit(s.files, s.failed, ipc.B4, h, x)
	if !e.ok {
		s.procs[p].pc = rBack
		g.add(p, "B4 refused", s)
		return
	}
	g.commit(p, s, e.files, e.failed, "B4, release", func(s *State) { over(s, hasRow) })
}

// revert undoes the addresses, under another hold where the first was lost.
func (g *stepper) revert(p, x int8) {
	s := g.s
	if s.procs[p].n&lost != 0 && g.scope.Broken != UndoUnheld {
		var ok bool
		if s, ok = g.open(); !ok {
			return
		}
		r := g.held(s.files, x)
		s.procs[p].b &= r.fromBackup
		if !r.separated {
			g.giveUp(p, x, s)
			return
		}
	} else if s.lock == p {
		s.lock = nobody
	}
	q := &s.guests[x]
	switch {
	case s.obeys(x):
		q.vips &^= s.procs[p].a
	case g.scope.Broken == DeafUndo:
	case s.hosts[q.at] != awake:
		g.giveUp(p, x, s)
		return
	default:
		q.cut = q.power == up
	}
	if b := g.backup(x); s.guests[b].power == up {
		s.guests[b].cut = false
		s.guests[b].vips |= s.procs[p].b
	}
	g.giveUp(p, x, s)
}
