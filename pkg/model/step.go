package model

import "pss-msbs/pkg/cluster"

// move is one step of somebody and the state it leads to.
type move struct {
	what string
	to   State
}

// stepper collects the moves out of one state.
type stepper struct {
	*System
	s   State
	out []move
}

// moves are all steps that somebody can take in s.
func (y *System) moves(s State) []move {
	g := &stepper{System: y, s: s}
	g.world()
	g.pss()
	for i, p := range y.monitors {
		g.dbss(p, y.guest(y.scope.Monitors[i]))
	}
	for i, p := range y.restores {
		g.dsrs(p, y.hostNamed(y.scope.Reals[i]))
	}
	return g.out
}

func (y *System) hostNamed(name string) int8 {
	for i, r := range y.reals {
		if r.Host == name {
			return int8(i)
		}
	}
	return nowhere
}

// add is a step of process p, which may also die in its place.
func (g *stepper) add(p int8, what string, to State) {
	g.out = append(g.out, move{g.names[p] + ": " + what, to})
}

// open is the state as somebody finds it who reads or locks the files: what a
// journal promises is finished first. It is false while another holds the lock.
func (g *stepper) open() (State, bool) {
	s := g.s
	if s.lock != nobody && g.scope.Broken != SharedLock {
		return s, false
	}
	if g.scope.Broken != NoRecovery {
		s.mend()
	}
	return s, true
}

func (s *State) mend() {
	if s.journal != 0 {
		s.files, s.journal = s.journal, 0
	}
}

// commit is the end of a transaction of p: the files become next and then does
// the rest of the step. At each stage before that p may be killed.
func (g *stepper) commit(p int8, s State, next int16, failed guests, what string, then func(*State)) {
	if s.left[crashes] > 0 && next != s.files {
		if failed != s.failed { // the set changes before the journal stands
			d := s
			d.failed = failed
			g.out = append(g.out, move{g.names[p] + ": killed before the journal of: " + what, g.killed(d, p)})
		}
		for k, files := range g.renames(s.files, next) {
			d := s
			d.failed, d.journal, d.files = failed, next, files
			g.out = append(g.out, move{g.names[p] + ": killed after the journal and " + string('0'+rune(k)) + " renames of: " + what, g.killed(d, p)})
		}
	}
	s.files, s.failed = next, failed
	then(&s)
	g.add(p, what, s)
}

// renames are the files after each number of renames of a transaction, one
// file after the other, the last left out.
func (y *System) renames(from, to int16) []int16 {
	out := []int16{from}
	t, n := y.tables.all[from].Clone(), y.tables.all[to]
	for _, one := range []func(){
		func() { t.Operation = n.Operation },
		func() { t.AccessStop = n.AccessStop },
		func() { t.Separation = n.Separation },
		func() { t.Real = n.Real },
		func() { t.Suspended = n.Suspended },
		func() { t.State = n.State },
	} {
		one()
		if id := y.intern(t); id != out[len(out)-1] && id != to {
			out = append(out, id)
		}
	}
	return out
}

// killed is s without process p: its locks fall, its tasks end, the addresses
// and the journal stay as they are.
func (g *stepper) killed(s State, p int8) State {
	s.left[crashes]--
	mine := func(q int8) bool { return q == p || g.isTask(p) && (q == 0 || g.isTask(q)) || p == 0 && g.isTask(q) }
	for q := range int8(len(g.names)) {
		if mine(q) {
			s.procs[q] = proc{}
		}
	}
	if s.lock != nobody && mine(s.lock) {
		s.lock = nobody
	}
	for i, m := range s.monitor {
		if m != nobody && mine(m) {
			s.monitor[i] = nobody
		}
	}
	return s
}

// world is what happens by itself: deaths of processes, guests and real
// servers, returns, new loads.
func (g *stepper) world() {
	if g.s.journal != 0 && g.s.lock == nobody && g.scope.Broken != NoRecovery {
		s := g.s
		s.mend()
		g.out = append(g.out, move{"world: somebody looks at the files", s})
	}
	g.kills()
	g.faults()
	g.returns()
	for i, group := range g.groups {
		if n := g.s.wants[i]; int(n) < len(g.scope.Wants[group]) {
			s := g.s
			s.wants[i]++
			g.out = append(g.out, move{"load: " + group + " wants " + string(g.scope.Wants[group][n]), s})
		}
	}
	if l := g.s.lock; g.s.left[expiries] > 0 && l > g.rescue {
		s := g.s
		s.left[expiries]--
		s.lock = nobody
		s.procs[l].n |= lost
		g.out = append(g.out, move{g.names[l] + ": its hold expires", s})
	}
}

func (g *stepper) kills() {
	if g.s.left[crashes] == 0 {
		return
	}
	for p := range int8(len(g.names)) {
		if g.isTask(p) || g.s.procs[p].pc <= started && !g.holdsTasks(p) {
			continue // between two rounds a kill changes nothing
		}
		if g.s.procs[p].pc != ended {
			g.out = append(g.out, move{g.names[p] + ": killed", g.killed(g.s, p)})
		}
	}
}

func (g *stepper) holdsTasks(p int8) bool {
	if p != 0 {
		return false
	}
	for q := range g.names {
		if g.isTask(int8(q)) && g.s.procs[q].pc != 0 {
			return true
		}
	}
	return false
}

func (g *stepper) faults() {
	for _, name := range g.scope.Victims {
		v := g.guest(name)
		if x := g.s.guests[v]; x.power != up || g.s.hosts[x.at] != awake || x.frozen {
			continue
		}
		if g.s.left[deaths] > 0 {
			s := g.s
			s.left[deaths]--
			s.guests[v].power, s.guests[v].vips = off, 0
			g.out = append(g.out, move{"fault: " + name + " dies", s})
		}
		if g.s.left[freezes] > 0 {
			s := g.s
			s.left[freezes]--
			s.guests[v].frozen = true
			g.out = append(g.out, move{"fault: " + name + " freezes", s})
		}
	}
	for _, name := range g.scope.Reals {
		h := g.hostNamed(name)
		if g.s.hosts[h] != awake {
			continue
		}
		if g.s.left[hostDeaths] > 0 {
			s := g.s
			s.left[hostDeaths]--
			s.hosts[h] = dead
			s.late &^= 1 << h
			for i := range g.guests {
				if s.guests[i].at == h && (s.guests[i].power == up || s.guests[i].power == paused) {
					s.guests[i] = guest{at: h}
				}
			}
			g.out = append(g.out, move{"fault: " + name + " dies", s})
		}
		if g.s.left[silences] > 0 {
			s := g.s
			s.left[silences]--
			s.hosts[h] = silent
			g.out = append(g.out, move{"fault: " + name + " falls silent", s})
		}
	}
}

// returns lets a silent host answer again, with whatever runs on it. Until it
// is stripped its guests may hold a VIP twice (SPEC 10).
func (g *stepper) returns() {
	for h, st := range g.s.hosts {
		if st == silent {
			s := g.s
			s.hosts[h] = awake
			s.late |= 1 << h
			g.out = append(g.out, move{"world: " + g.reals[h].Host + " answers again", s})
		}
	}
}

// reachable reports whether others can reach a guest: it answers ARP.
func (s *State) reachable(i int8) bool {
	x := s.guests[i]
	return x.at >= 0 && x.power == up && !x.cut && s.hosts[x.at] == awake
}

// obeys reports whether a guest does what is asked through its agent.
func (s *State) obeys(i int8) bool {
	x := s.guests[i]
	return x.at >= 0 && x.power == up && !x.frozen && s.hosts[x.at] == awake
}

// serves reports whether a guest answers in full.
func (s *State) serves(i int8) bool { return s.reachable(i) && s.obeys(i) }

// holders are the guests that answer ARP for VIP v.
func (g *stepper) holders(s *State, v int) guests {
	var out guests
	for i := range g.guests {
		if s.guests[i].vips&(1<<v) != 0 && s.reachable(int8(i)) {
			out |= 1 << i
		}
	}
	return out
}

// want is what the load has a group want.
func (g *stepper) want(i int) cluster.Condition {
	if n := g.s.wants[i]; n > 0 {
		return g.scope.Wants[g.groups[i]][n-1]
	}
	return cluster.Moderate
}
