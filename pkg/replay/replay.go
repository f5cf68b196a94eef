// Package replay runs the decision code of pss over a recorded trace: what the
// loads and classes would have been, which shifts they would have caused, and
// how many watt-hours those would have saved. It shares load.Decider and
// plan.Make with pss run; only the fleet is missing.
package replay

import (
	"encoding/json"
	"net/netip"
	"slices"
	"time"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/load"
	"pss-msbs/pkg/plan"
	"pss-msbs/pkg/settings"
)

// Input is what a trace is replayed over.
type Input struct {
	Tables   cluster.Tables
	Settings settings.Settings
	Homes    plan.Known // from the .dat files; may be nil
}

// CycleResult is one cycle. Conditions and watts are those in force during it.
type CycleResult struct {
	Time   json.RawMessage        `json:"time"`
	Groups map[string]GroupResult `json:"groups"`
	Watts  float64                `json:"watts"`
}

// GroupResult is a group in one cycle; the loads are nil where it was not examined.
type GroupResult struct {
	Lm        *float64          `json:"lm,omitempty"` // percent
	Lc        *float64          `json:"lc,omitempty"`
	Ln        *float64          `json:"ln,omitempty"`
	Ls        *float64          `json:"ls,omitempty"`
	Class     cluster.Class     `json:"class"`
	Condition cluster.Condition `json:"condition"`
}

// Summary is the whole trace.
type Summary struct {
	EnergyWh     float64 `json:"energy_wh"`
	AlwaysOnWh   float64 `json:"always_on_wh"` // all real servers awake all the time
	SavedPercent float64 `json:"saved_percent"`
	Shifts       int     `json:"shifts"` // changes of condition, each group's counted
}

// Result is a replayed trace.
type Result struct {
	Groups  []string // as in state.conf
	Cycles  []CycleResult
	Summary Summary
}

// Run replays a trace. Cycle n measures, classifies and plans with the tables in
// force; what it plans takes effect from cycle n+1, at once.
func Run(in Input, trace []Cycle) Result {
	r := replayer{in: in, tables: in.Tables.Clone(), decider: load.NewDecider(), trace: trace}
	var out Result
	for _, s := range in.Tables.State {
		out.Groups = append(out.Groups, s.Group)
		r.accesses = append(r.accesses, nil)
	}
	for n := range trace {
		hours := r.lasts(n).Hours()
		watts := r.watts()
		out.Summary.EnergyWh += float64(watts * hours)
		out.Summary.AlwaysOnWh += float64(r.alwaysOn() * hours)
		decisions := r.decider.Cycle(r.groups(n))
		out.Cycles = append(out.Cycles, CycleResult{Time: trace[n].Time, Groups: results(decisions), Watts: watts})
		out.Summary.Shifts += r.shift(decisions)
	}
	if s := &out.Summary; s.AlwaysOnWh > 0 {
		s.SavedPercent = (s.AlwaysOnWh - s.EnergyWh) / s.AlwaysOnWh * 100
	}
	return out
}

// replayer is a replay under way.
type replayer struct {
	in       Input
	tables   cluster.Tables // in force
	decider  *load.Decider
	trace    []Cycle
	accesses [][]float64 // by group and cycle
}

// lasts is how long cycle n lasts: until the next one, the last as long as the
// one before, a single one for the measuring interval.
func (r *replayer) lasts(n int) time.Duration {
	switch {
	case n+1 < len(r.trace):
		return r.trace[n+1].At.Sub(r.trace[n].At)
	case n > 0:
		return r.trace[n].At.Sub(r.trace[n-1].At)
	}
	return r.in.Settings.Measure.Interval.D()
}

// watts is the power of the real servers now.
func (r *replayer) watts() float64 {
	var w float64
	for _, row := range r.tables.Real {
		w += r.in.Settings.PowerOf(row.IP).ActiveW
	}
	for _, row := range r.tables.Suspended {
		w += r.in.Settings.PowerOf(row.IP).SuspendedW
	}
	return w
}

// alwaysOn is the power with every real server awake.
func (r *replayer) alwaysOn() float64 {
	var w float64
	for _, row := range slices.Concat(r.tables.Real, r.tables.Suspended) {
		w += r.in.Settings.PowerOf(row.IP).ActiveW
	}
	return w
}

// shift plans what the cycle wants and lets it take effect; it returns how many
// groups changed their condition. A refused plan leaves the condition, but PS2
// that may not go back to PS1 goes to Moderate.
func (r *replayer) shift(decisions []load.Decision) int {
	wants := map[string]cluster.Condition{}
	for _, d := range decisions {
		wants[d.Group] = d.Want
	}
	steps := r.in.Homes.Make(r.tables, wants)
	again := false
	for _, d := range decisions {
		if d.IfRefused != "" && steps.Refused(d.Group) != "" {
			wants[d.Group], again = d.IfRefused, true
		}
	}
	if again {
		steps = r.in.Homes.Make(r.tables, wants)
	}
	r.tables = r.in.Homes.Apply(r.tables, steps)
	return len(steps.Of(plan.SetState))
}

// groups is what cycle n measures.
func (r *replayer) groups(n int) []load.Group {
	homes := r.in.Homes.Homes(r.tables)
	out := make([]load.Group, len(r.tables.State))
	for i, s := range r.tables.State {
		class := r.in.Settings.ClassOf(s.Group)
		g := load.Group{Name: s.Group, Condition: s.Condition, Rules: rules(class, r.in.Settings.TypeOf(s.Group)),
			Separated: separated(r.tables, s.Group)}
		var accesses float64
		for _, host := range serving(r.tables, s.Group) {
			server, n := r.measure(host, homes, r.trace[n].Rows)
			g.Servers = append(g.Servers, server)
			accesses += n
		}
		r.accesses[i] = append(r.accesses[i], accesses)
		g.Accesses, g.FullTime = r.window(i, n, class.PS2Window.D())
		out[i] = g
	}
	return out
}

// measure is a serving server's reading: its own row and those of the homes of
// the other VIPs it holds, so that a trace recorded with every server on shows
// what one server would carry for several. CPU is added in cores, memory is the
// greatest of them.
func (r *replayer) measure(host string, homes map[netip.Addr]cluster.Guest, rows map[string]Row) (load.Server, float64) {
	spec := r.in.Settings.ServerOf(host)
	s := load.Server{Host: host, Capacity: load.Capacity{MemKB: float64(spec.MemoryKB), Cores: float64(spec.Cores), NetKBs: load.RatedKBs(spec.NetworkMbps)}}
	var accesses float64
	for _, h := range stoodFor(r.tables, host, homes) {
		row, ok := rows[h]
		if !ok {
			continue
		}
		s.Measured = true
		s.Reading.MemKB = max(s.Reading.MemKB, row.Reading.MemKB)
		s.Reading.NetKBs += row.Reading.NetKBs
		s.Reading.CPUPercent += float64(row.Reading.CPUPercent * (float64(r.in.Settings.ServerOf(h).Cores) / float64(max(1, spec.Cores))))
		accesses += row.Accesses
	}
	return s, accesses
}

// window sums the group's accesses in the cycles with time in (t-y, t], and
// tells whether a full window of trace has passed.
func (r *replayer) window(group, n int, y time.Duration) (float64, bool) {
	var sum float64
	for i := n; i >= 0 && r.trace[n].At.Sub(r.trace[i].At) < y; i-- {
		sum += r.accesses[group][i]
	}
	return sum, r.trace[n].At.Sub(r.trace[0].At) >= y
}

// stoodFor returns the hosts whose rows make up host's reading: itself and the
// homes of the VIPs it holds.
func stoodFor(t cluster.Tables, host string, homes map[netip.Addr]cluster.Guest) []string {
	out := []string{host}
	for _, v := range cluster.VIPsOf(cluster.RowsOf(t.Operation, host)) {
		if h, ok := homes[v]; ok && !slices.Contains(out, h.Host) {
			out = append(out, h.Host)
		}
	}
	return out
}

// serving returns the group's distinct servers in operation, by name.
func serving(t cluster.Tables, group string) []string {
	var out []string
	for _, r := range t.Operation {
		if r.Group == group {
			out = append(out, r.Host)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// separated returns the group's VIPs that stand only in separation.
func separated(t cluster.Tables, group string) []netip.Addr {
	var out []netip.Addr
	served := cluster.VIPsOf(t.Operation)
	for _, r := range t.Separation {
		if r.Group == group && !slices.Contains(served, r.VIP) {
			out = append(out, r.VIP)
		}
	}
	return out
}

func rules(c settings.Class, kind cluster.Type) load.Rules {
	return load.Rules{Type: kind, Light: c.Light, Moderate: c.Moderate, LightStreak: c.LightStreak,
		ModerateStreak: c.ModerateStreak, Accesses: c.PS2Accesses, AccessStreak: c.PS2Streak}
}

func results(decisions []load.Decision) map[string]GroupResult {
	out := map[string]GroupResult{}
	for _, d := range decisions {
		g := GroupResult{Class: d.Class, Condition: d.Condition}
		if d.Examined {
			l := d.Loads
			g.Lm, g.Lc, g.Ln, g.Ls = &l.Mem, &l.CPU, &l.Net, &l.Ls
		}
		out[d.Group] = g
	}
	return out
}
