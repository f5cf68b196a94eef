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
	rHold             // hold: what the server gets
	rEnd              // B4 of the host alone
	rHand             // hold: the stages of the give-back
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
	case rHold:
		g.restore(p, h, g.server(p, h))
	case rEnd:
		s, ok := g.open()
		if !ok {
			return
		}
		e := g.edit(s.files, s.failed, ipc.B4, h, nobody)
		g.commit(p, s, e.files, e.failed, "[B4]", func(s *State) { s.procs[p] = proc{pc: started} })
	default:
		g.hand(g.b4(p, h, g.server(p, h), g.s.procs[p]))
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
		s.procs[p].pc = rHold
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

// restore takes the lock to give one server its VIPs back.
func (g *stepper) restore(p, h, x int8) {
	s, ok := g.open()
	if !ok {
		return
	}
	if !s.serves(x) {
		g.giveUp(&s, p, x)
		g.add(p, g.guests[x].Host+" does not answer", s)
		return
	}
	r := g.held(s.files, x)
	me := &s.procs[p]
	me.a, me.b = r.back, r.fromBackup
	g.begin(g.b4(p, h, x, *me), s)
}

// giveUp leaves a server to another try.
func (g *stepper) giveUp(s *State, p, x int8) {
	s.monitor[x] = nobody
	g.nextServer(s, p, nothing)
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

// restored is a server that serves again: its own dbss takes over.
func (g *stepper) restored(s *State, p, x int8, marks uint8) {
	s.lock, s.monitor[x] = nobody, nobody
	if d := slices.Index(g.scope.Monitors, g.guests[x].Host); d >= 0 {
		s.monitor[x], s.procs[g.monitors[d]] = g.monitors[d], proc{pc: started}
	}
	if b := g.backup(x); !g.serving(g.view(s.files), b) {
		g.strip(s, b)
	}
	g.nextServer(s, p, marks)
}
