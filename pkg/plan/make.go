package plan

import (
	"cmp"
	"net/netip"
	"slices"

	"pss-msbs/pkg/cluster"
)

// Wants are the conditions that a group may get, by group, the best first: it
// gets the first that is not refused. A group that is not named is planned with
// its recorded condition; a name that is no group is ignored.
type Wants map[string][]cluster.Condition

// Limits are what a plan may not do now. Whatever is not named is allowed.
type Limits struct {
	Resting map[string]bool     // groups of which no server is touched but to change their condition
	Unborn  map[string]bool     // spares that cannot be started
	Stuck   map[string]bool     // spares that cannot be stopped
	Awake   map[netip.Addr]bool // real servers that must not be suspended
}

// Make plans a shift: the difference between what t says and the layouts that
// wants ask for. The result depends on no row order but that of the spare-server
// and state files.
func Make(t cluster.Tables, known cluster.HomeNames, wants map[string]cluster.Condition) Steps {
	all := Wants{}
	for group, want := range wants {
		all[group] = []cluster.Condition{want}
	}
	return Within(t, known, all, Limits{})
}

// Within is Make within limits, for groups that may have a choice.
func Within(t cluster.Tables, known cluster.HomeNames, wants Wants, limits Limits) Steps {
	m := maker{before: t, homes: t.Homes(known), limits: limits, condition: map[string]cluster.Condition{}, refused: map[string]bool{}}
	for _, row := range t.State {
		m.group(row, wants[row.Group])
	}
	m.after = moved(t, m.homes, m.moves)
	needed := m.needed()
	m.wake(needed)
	m.startSpares()
	m.suspend(needed)
	m.stopSpares()
	return m.list()
}

// maker collects the steps of one plan.
type maker struct {
	before, after cluster.Tables // after: as they will be once all VIPs are moved
	homes         cluster.Homes
	limits        Limits
	condition     map[string]cluster.Condition // of every group, after the plan
	refused       map[string]bool

	refusals, wakes, starts, moves, states, stops, suspends Steps
}

// group plans one group's refusal, its moves and its condition.
func (m *maker) group(row cluster.StateRow, wants []cluster.Condition) {
	if len(wants) == 0 {
		wants = []cluster.Condition{row.Condition}
	}
	m.condition[row.Group] = row.Condition
	var refusal Steps
	for _, want := range wants {
		layout, no := m.layout(row, want)
		if no != nil {
			refusal = Steps{*no}
			continue
		}
		if want != row.Condition {
			m.condition[row.Group] = want
			m.states = append(m.states, Step{Do: SetState, Group: row.Group, Condition: want})
			refusal = nil
		}
		m.refusals = append(m.refusals, refusal...)
		if want != row.Condition || !m.limits.Resting[row.Group] {
			m.move(row.Group, layout)
		}
		return
	}
	m.refused[row.Group] = true
	m.refusals = append(m.refusals, refusal...)
}

// layout is that of a group in the condition want, or its refusal. A spare that
// cannot be started refuses no group what it is already.
func (m *maker) layout(row cluster.StateRow, want cluster.Condition) (Layout, *Step) {
	layout, why := layoutOf(m.before, m.homes, row, want)
	if why != "" {
		return layout, &Step{Do: Refuse, Group: row.Group, Why: why}
	}
	for _, s := range layout.Spares {
		if want != row.Condition && m.limits.Unborn[s.Host] && !m.before.Operation.Has(s.Host) {
			return layout, &Step{Do: Refuse, Group: row.Group, Why: SpareUnborn, Spare: s.Host}
		}
	}
	return layout, nil
}

// move plans the VIPs that another server than the wanted one serves today. A
// VIP that nobody serves is left to the owner of its separation row.
func (m *maker) move(group string, layout Layout) {
	for _, r := range m.before.Operation {
		to, ok := layout.Holder[r.VIP]
		if !ok || r.Group != group || to.Host == r.Host {
			continue
		}
		if rows := m.before.Operation.Of(to.Host); len(rows) > 0 && m.before.IsSpare(to.Host) {
			to.Real = rows[0].Real // a spare that serves keeps its real server
		}
		m.moves = append(m.moves, Step{Do: MoveVIP, Group: group, VIP: r.VIP, From: r.Guest(), To: to,
			Held: m.before.GetsBack(m.homes, r)})
	}
}

// needed are the real servers that must be awake after the plan: those that
// host a server in operation, B1 of a group in PS2, and those of a recovery.
func (m *maker) needed() map[netip.Addr]bool {
	out := map[netip.Addr]bool{}
	for _, r := range slices.Concat(m.after.Operation, m.after.Separation) {
		out[r.Real] = true
	}
	for _, s := range m.before.State {
		if m.condition[s.Group] == cluster.PS2 && len(s.Bases) > 0 {
			out[s.Bases[0]] = true
		}
	}
	return out
}

func (m *maker) wake(needed map[netip.Addr]bool) {
	for _, r := range m.before.Suspended {
		if needed[r.IP] {
			m.wakes = append(m.wakes, Step{Do: WakeReal, Real: r.IP})
		}
	}
}

func (m *maker) suspend(needed map[netip.Addr]bool) {
	for _, r := range m.before.Real {
		if !needed[r.IP] && !m.limits.Awake[r.IP] {
			m.suspends = append(m.suspends, Step{Do: SuspendReal, Real: r.IP})
		}
	}
}

// startSpares starts the spares that hold a VIP after the plan and none before.
func (m *maker) startSpares() {
	for _, s := range m.before.Spares {
		rows := m.after.Operation.Of(s.Host)
		if len(rows) > 0 && !m.before.Operation.Has(s.Host) {
			m.starts = append(m.starts, Step{Do: StartSpare, Group: rows[0].Group, Spare: s.Host, Real: rows[0].Real, To: rows[0].Guest()})
		}
	}
}

// stopSpares stops the spares of a group that goes to Moderate, and those in
// access-stop on a real server that this plan suspends.
func (m *maker) stopSpares() {
	for _, s := range m.before.Spares {
		if m.after.Operation.Has(s.Host) || m.limits.Stuck[s.Host] || m.rests(s.Group) {
			continue
		}
		served := m.before.Operation.Has(s.Host)
		var awake, falls bool
		for _, r := range m.after.AccessStop.Of(s.Host) {
			falls = falls || has(m.suspends, r.Real)
			awake = awake || has(m.wakes, r.Real) || m.before.IsActive(r.Real)
		}
		moderate := m.condition[s.Group] == cluster.Moderate && !m.refused[s.Group]
		if moderate && (served || awake) || falls {
			m.stops = append(m.stops, Step{Do: StopSpare, Group: s.Group, Spare: s.Host, Keep: !moderate})
		}
	}
}

// rests reports whether no server of a group is touched in this plan.
func (m *maker) rests(group string) bool {
	return m.limits.Resting[group] && !slices.ContainsFunc(m.states, func(s Step) bool { return s.Group == group })
}

// has reports whether one of the steps is about the real server.
func has(steps Steps, real netip.Addr) bool {
	return slices.ContainsFunc(steps, func(s Step) bool { return s.Real == real })
}

// list puts the kinds in order and sorts each; refusals and conditions are in
// the state file's order already.
func (m *maker) list() Steps {
	byReal := func(a, b Step) int { return a.Real.Compare(b.Real) }
	bySpare := func(a, b Step) int { return cmp.Compare(a.Spare, b.Spare) }
	slices.SortFunc(m.wakes, byReal)
	slices.SortFunc(m.suspends, byReal)
	slices.SortFunc(m.starts, bySpare)
	slices.SortFunc(m.stops, bySpare)
	slices.SortFunc(m.moves, func(a, b Step) int { return a.VIP.Compare(b.VIP) })
	return slices.Concat(m.refusals, m.wakes, m.starts, m.moves, m.states, m.stops, m.suspends)
}
