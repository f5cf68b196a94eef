package load

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"pss-msbs/pkg/cluster"
)

// Rules are a group's thresholds (paper, section 2.6; [class] in settings.toml).
type Rules struct {
	Type           cluster.Type
	Light          float64 // percent: Ls below is light
	Moderate       float64 // percent: Ls above is moderate
	LightStreak    int     // cycles of light load in a row until PS1
	ModerateStreak int     // cycles of moderate load in a row until Moderate
	Accesses       float64 // x: client accesses over the window up to which PS2 is allowed
	AccessStreak   int     // cycles with at most x accesses in a row until PS2
	Look           Look    // zero: the published rules, which look at the load as it is only
}

// Server is one server in operation (a backup or a spare too).
type Server struct {
	Host     string
	Measured bool // false: could not be measured this cycle
	Reading  Reading
	Capacity Capacity
}

// Group is what one cycle knows about a service group.
type Group struct {
	Name      string
	Condition cluster.Condition // as the state file records it
	Rules     Rules
	Servers   []Server
	Separated []netip.Addr                 // its VIPs that stand only in separation
	Accesses  float64                      // client accesses z - k*y over the last y seconds
	FullTime  bool                         // accesses have been counted for a whole window y
	Ahead     map[cluster.Condition]Layout // the servers in PS1 and PS2 where those are possible; only for Rules.Look
}

// Decision is what a cycle found out about a group. Want is the recorded
// condition where there is no reason to leave it; IfRefused is the condition to
// want instead when the plan for Want is refused, empty where that means stay.
type Decision struct {
	Group     string
	Examined  bool   // false: Class is unknown and Loads are zero
	Why       string // why not examined, or what Want follows from
	Loads     Loads
	Class     cluster.Class
	Condition cluster.Condition // recorded at the time
	Want      cluster.Condition
	IfRefused cluster.Condition
	Refused   string // why a lighter condition is not wanted though the load is light, from looking ahead
	Fragile   string // why no real server may sleep with the group in PS1, from looking ahead
	Light     int    // cycles of light load in a row
	Moderate  int    // cycles of moderate load in a row
	Quiet     int    // cycles in PS1 with few accesses in a row
}

// Shifts reports whether the group wants another condition than it has.
func (d Decision) Shifts() bool { return d.Want != d.Condition }

// Decider remembers what equations (1)-(3) and the streaks need from the cycles
// before. It is not safe for concurrent use.
type Decider struct {
	before map[string]Reading // by host: measured in the cycle before
	at     time.Time          // of the cycle before
	groups map[string]*memory
}

// memory is what a group carries from one cycle to the next.
type memory struct {
	class     cluster.Class
	condition cluster.Condition // in the cycle before
	light     int
	moderate  int
	quiet     int
	gates     map[cluster.Condition]*gate // by lighter condition, only for Rules.Look
}

// NewDecider starts without a past: every class is moderate.
func NewDecider() *Decider {
	return &Decider{before: map[string]Reading{}, groups: map[string]*memory{}}
}

// Cycle decides one cycle, measured at the time at, for all groups and returns
// one decision a group, in their order.
func (d *Decider) Cycle(at time.Time, groups []Group) []Decision {
	out := make([]Decision, len(groups))
	measured := map[string]Reading{}
	var passed time.Duration
	if !d.at.IsZero() {
		passed = at.Sub(d.at)
	}
	d.at = at
	for i, g := range groups {
		out[i] = d.decide(g, passed)
		for _, s := range g.Servers {
			if s.Measured {
				measured[s.Host] = s.Reading
			}
		}
	}
	d.before = measured
	return out
}

// decide runs one group through Fig. 5 and Fig. 6.
func (d *Decider) decide(g Group, passed time.Duration) Decision {
	m := d.groups[g.Name]
	if m == nil {
		m = &memory{class: cluster.ModerateLoad, condition: g.Condition, gates: map[cluster.Condition]*gate{}}
		d.groups[g.Name] = m
	}
	out := Decision{Group: g.Name, Class: cluster.UnknownLoad, Condition: g.Condition, Want: g.Condition}
	if why := unexaminable(g); why != "" {
		out.Why = why
		m.light, m.moderate, m.quiet = 0, 0, 0
	} else {
		out.Examined, out.Loads = true, d.loads(g)
		m.class = classify(out.Loads.Ls, g.Rules, m.class)
		out.Class = m.class
		m.count(g)
		if g.Rules.Look.On {
			d.look(g, m, &out, passed)
		} else {
			m.want(g, &out)
		}
	}
	out.Light, out.Moderate, out.Quiet = m.light, m.moderate, m.quiet
	m.condition = g.Condition
	return out
}

// unexaminable says why a group cannot be examined this cycle, or nothing.
func unexaminable(g Group) string {
	if len(g.Separated) > 0 {
		return "VIP " + slices.MinFunc(g.Separated, netip.Addr.Compare).String() + " stands only in separation"
	}
	if len(g.Servers) == 0 {
		return "no server in operation"
	}
	for _, s := range g.Servers {
		if !s.Measured {
			return s.Host + " could not be measured"
		}
	}
	return ""
}

// loads is the group's load over its distinct servers, summed in order of their names.
func (d *Decider) loads(g Group) Loads {
	servers := slices.Clone(g.Servers)
	slices.SortFunc(servers, func(a, b Server) int { return cmp.Compare(a.Host, b.Host) })
	servers = slices.CompactFunc(servers, func(a, b Server) bool { return a.Host == b.Host })
	used := make([]usage, len(servers))
	for i, s := range servers {
		used[i] = d.usage(s)
	}
	return groupLoads(used, g.Rules.Type)
}

// usage is a server's predicted load.
func (d *Decider) usage(s Server) usage {
	var before *Reading
	if r, ok := d.before[s.Host]; ok {
		before = &r
	}
	return usage{use: Predict(s.Reading, before, s.Capacity), max: s.Capacity}
}

// classify is Fig. 6(a): between the thresholds the last class stays, so that
// fluctuations near one of them do not count.
func classify(ls float64, r Rules, last cluster.Class) cluster.Class {
	switch {
	case ls > r.Moderate:
		return cluster.ModerateLoad
	case ls < r.Light:
		return cluster.LightLoad
	}
	return last
}

// count carries the streaks of Fig. 6(b) and (c) on. Accesses are looked at from
// the cycle after PS1 began, once they have been counted for a whole window.
func (m *memory) count(g Group) {
	if m.class == cluster.LightLoad {
		m.light, m.moderate = m.light+1, 0
	} else {
		m.light, m.moderate = 0, m.moderate+1
	}
	began := g.Condition == cluster.PS1 && m.condition != cluster.PS1
	if g.Condition == cluster.PS1 && !began && g.FullTime && m.class == cluster.LightLoad && g.Accesses <= g.Rules.Accesses {
		m.quiet++
	} else {
		m.quiet = 0
	}
}

// want is Fig. 6(b): from the recorded condition and the streaks to the wanted condition.
func (m *memory) want(g Group, out *Decision) {
	switch {
	case g.Condition != cluster.Moderate && m.class == cluster.ModerateLoad && m.moderate >= g.Rules.ModerateStreak:
		out.Want, out.Why = cluster.Moderate, "moderate load"
	case g.Condition == cluster.Moderate && m.class == cluster.LightLoad && m.light >= g.Rules.LightStreak:
		out.Want, out.Why = cluster.PS1, "light load"
	case g.Condition == cluster.PS1 && m.quiet > 0 && m.quiet >= g.Rules.AccessStreak:
		out.Want, out.Why = cluster.PS2, "hardly any access"
	case g.Condition == cluster.PS2 && g.Accesses > g.Rules.Accesses:
		out.Want, out.Why, out.IfRefused = cluster.PS1, "accesses again", cluster.Moderate
	}
}
