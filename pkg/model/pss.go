package model

import (
	"fmt"
	"math/bits"
	"slices"

	"pss-msbs/pkg/cluster"
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
	tOff  // lock held
	tOn   // lock held
	tBack // lock held: address changes are to be undone
	tUndo // spares are to be stopped again
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
	steps := y.homes.Make(y.seen(files), map[string]cluster.Condition{y.groups[0]: wants[0], y.groups[1]: wants[1]})
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
func (y *System) change(p planned, group string) plan.Change {
	c := plan.Change{Group: group, From: cluster.Moderate}
	for _, r := range y.tables.all[p.before].State {
		if r.Group == group {
			c.From = r.Condition
		}
	}
	for _, s := range p.steps {
		switch {
		case s.Group != group:
		case s.Do == plan.MoveVIP:
			c.Moves = append(c.Moves, s)
		case s.Do == plan.SetState:
			c.To = s.Condition
		}
	}
	return c
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
	g.strangers1(s, v)
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

// strangers1 strips, under the lock, who has a VIP that a killed shift was
// moving, without being its holder or its owner's.
func (g *stepper) strangers1(s State, v *view) {
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

// mendable tells whether VIP i can be put on r: every stray obeys.
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
func (g *stepper) receive(p int8, c plan.Change) {
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
func (g *stepper) checked(p int8, c plan.Change) {
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
func (g *stepper) moveOff(p int8, c plan.Change) {
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

func (g *stepper) mask1(m plan.Step) vips { return 1 << g.vip(m.VIP) }

// moveOn puts the VIPs of a wave on their receivers and asks who answers.
func (g *stepper) moveOn(p int8, c plan.Change) {
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
func (g *stepper) takeBack(p int8, c plan.Change) {
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
		t := plan.DropAccessStop(g.tables.all[s.files].Clone(), g.guests[x].Host)
		g.commit(p, s, g.intern(t), s.failed, "[rows out]", func(s *State) { s.procs[p].pc = tOK })
	}
}

func (g *stepper) serving(v *view, x int8) bool { return slices.Contains(v.holder[:], x) }

func (g *stepper) separated(files int16, x int8) bool {
	return len(cluster.RowsOf(g.tables.all[files].Separation, g.guests[x].Host)) > 0
}

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
		if plan.ToActive(&t, g.hosts[h]) != nil {
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
	if plan.ToSleep(&t, g.hosts[h]) != nil {
		pc = tFailed
	}
	if g.scope.Broken == SleepFirst {
		pc = tOK
	}
	g.commit(p, s, g.intern(t), s.failed, "[row to suspension-real]", func(s *State) { s.procs[p].pc = pc })
}

// needed is what a suspend looks at under the lock.
func (g *stepper) needed(s *State, h int8) bool {
	if plan.Needed(g.seen(s.files), g.hosts[h]) || s.hosts[h] == silent || s.hosts[h] == dead {
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

// rescues gives VIPs that are pss's to a server that serves, or to a spare.
func (g *stepper) rescues() {
	p := g.rescue
	switch me := g.s.procs[p]; me.pc {
	case 0:
		s, ok := g.open()
		if !ok || s.failed == 0 && g.scope.Broken != TakeAnything {
			return
		}
		for i := range g.vips {
			if g.ours(&s, i) {
				g.rescueVIP(s, i)
			}
		}
	case tRow:
		s := g.s
		i, to := int(me.n), int8(bits.TrailingZeros8(uint8(me.a)))
		if me.b != 0 {
			to += 8
		}
		t := g.homes.MoveRows(g.tables.all[s.files], plan.Move{VIP: g.vips[i], To: g.place(&s, to)})
		g.commit(p, s, g.intern(t), s.failed, "commit, unlock", func(s *State) {
			s.lock, s.procs[p] = nobody, proc{}
			s.moving &^= 1 << i
			s.wants[g.groupOf(i)] = uint8(len(g.scope.Wants[g.groups[g.groupOf(i)]]))
		})
	}
}

func (g *stepper) groupOf(vip int) int { return vip / 2 }

func (g *stepper) place(s *State, x int8) cluster.Guest {
	return g.guests[x].On(g.hosts[s.guests[x].at])
}

func (g *stepper) ours(s *State, i int) bool {
	var abandoned []string
	for x, k := range g.guests {
		if s.failed&(1<<x) != 0 {
			abandoned = append(abandoned, k.Host)
		}
	}
	if g.scope.Broken == TakeAnything {
		abandoned = nil
		for _, r := range g.tables.all[s.files].Separation {
			abandoned = append(abandoned, r.Host)
		}
	}
	return plan.Ours(g.tables.all[s.files], abandoned, g.vips[i])
}

// rescueVIP takes the lock and puts VIP i on the first that can take it: one of
// the group that serves, else its spare, else its home.
func (g *stepper) rescueVIP(s State, i int) {
	v := g.view(s.files)
	group := g.groupOf(i)
	var to []int8
	for _, x := range []int8{int8(2 * group), int8(2*group + 1), int8(spares + group)} {
		if g.serving(v, x) {
			to = append(to, x)
		}
	}
	if len(to) == 0 {
		to = append(to, int8(spares+group), int8(2*group), int8(2*group+1))
	}
	for _, x := range to {
		t := s
		if x >= spares && t.guests[x].power == saved && v.reals[0] == "active" && t.hosts[0] == awake && !g.separated(t.files, x) {
			t.guests[x] = guest{at: 0, power: up}
		}
		if !t.serves(x) || plan.Receivable(g.tables.all[t.files], g.place(&t, x)) != nil || g.holders(&t, i)&^(1<<x) != 0 {
			continue
		}
		t.lock = g.rescue
		t.moving |= 1 << i
		t.guests[x].vips |= 1 << i
		t.procs[g.rescue] = proc{pc: tRow, n: uint8(i), a: 1 << (x % 8), b: vips(yes(x >= 8))}
		g.add(g.rescue, "lock, "+g.vips[i].String()+" on "+g.guests[x].Host, t)
		return
	}
}
