// Package replay runs the decision code of pss over a recorded trace: what the
// loads and classes would have been, which shifts they would have caused, and
// how many watt-hours those would have saved. It shares load.Decider and
// plan.Make with pss run; only the fleet is missing.
package replay

import (
	"encoding/json"
	"slices"
	"time"

	"pss-msbs/pkg/ahead"
	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/load"
	"pss-msbs/pkg/plan"
	"pss-msbs/pkg/settings"
)

// Input is what a trace is replayed over.
type Input struct {
	Tables   cluster.Tables
	Settings settings.Settings
	Homes    cluster.HomeNames // from the .dat files; may be nil
	Backups  map[string]string // by host, from the .dat files; may be nil
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
	Refused   string            `json:"refused,omitempty"` // why a lighter condition is not wanted, from looking ahead
}

// Summary is the whole trace.
type Summary struct {
	EnergyWh     float64 `json:"energy_wh"`
	AlwaysOnWh   float64 `json:"always_on_wh"` // all real servers awake all the time
	SavedPercent float64 `json:"saved_percent"`
	Shifts       int     `json:"shifts"` // changes of condition, each group's counted
	ShiftsADay   float64 `json:"shifts_a_day"`
	// NotRedundant are the minutes in PS2, Strained those in a lighter condition
	// under a load above moderate; each group's counted.
	NotRedundant float64 `json:"minutes_not_redundant"`
	Strained     float64 `json:"minutes_strained"`

	alone, strained time.Duration // the same, while they are added up
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
	var all time.Duration
	for n := range trace {
		lasts := r.lasts(n)
		all += lasts
		watts := r.watts()
		out.Summary.EnergyWh += float64(watts * lasts.Hours())
		out.Summary.AlwaysOnWh += float64(r.alwaysOn() * lasts.Hours())
		groups := r.groups(n)
		decisions := r.decider.Cycle(trace[n].At, groups)
		out.Summary.count(groups, decisions, lasts)
		out.Cycles = append(out.Cycles, CycleResult{Time: trace[n].Time, Groups: results(decisions), Watts: watts})
		out.Summary.Shifts += r.shift(decisions)
	}
	out.Summary.finish(all)
	return out
}

// count adds what a cycle's conditions cost.
func (s *Summary) count(groups []load.Group, decisions []load.Decision, lasts time.Duration) {
	for i, d := range decisions {
		if d.Condition == cluster.PS2 {
			s.alone += lasts
		}
		if d.Condition != cluster.Moderate && d.Examined && load.Measured(groups[i].Servers, groups[i].Rules.Type).Ls > groups[i].Rules.Moderate {
			s.strained += lasts
		}
	}
}

// finish computes what follows from the sums over a trace that lasts all.
func (s *Summary) finish(all time.Duration) {
	if s.AlwaysOnWh > 0 {
		s.SavedPercent = (s.AlwaysOnWh - s.EnergyWh) / s.AlwaysOnWh * 100
	}
	s.NotRedundant, s.Strained = s.alone.Minutes(), s.strained.Minutes()
	if all > 0 {
		s.ShiftsADay = float64(s.Shifts) / (all.Hours() / 24)
	}
}

// replayer is a replay under way.
type replayer struct {
	in       Input
	tables   cluster.Tables // in force
	decider  *load.Decider
	trace    []Cycle
	accesses [][]float64 // by group and cycle
	standing standing    // what follows from the tables in force
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
	wants := plan.Wants{}
	for _, d := range decisions {
		wants[d.Group] = []cluster.Condition{d.Want}
		if d.IfRefused != "" {
			wants[d.Group] = append(wants[d.Group], d.IfRefused)
		}
	}
	steps := r.make(wants)
	steps, _ = ahead.Robust(r.tables, steps, decisions)
	if slices.ContainsFunc(steps, func(s plan.Step) bool { return s.Do != plan.Refuse }) {
		r.tables, r.standing = plan.Apply(r.tables, r.in.Homes, steps), standing{}
	}
	return len(steps.Of(plan.SetState))
}

// groups is what cycle n measures.
func (r *replayer) groups(n int) []load.Group {
	out := make([]load.Group, len(r.tables.State))
	for i := range out {
		out[i] = r.group(i, n)
	}
	return out
}

// group is what cycle n measures of the group of row i.
func (r *replayer) group(i, n int) load.Group {
	now, s := r.stands(), r.tables.State[i]
	class := r.in.Settings.ClassOf(s.Group)
	g := load.Group{Name: s.Group, Condition: s.Condition, Rules: ahead.Rules(class, r.in.Settings.TypeOf(s.Group)),
		Separated: now.separated[s.Group], Ahead: now.ahead[s.Group]}
	var accesses float64
	for _, server := range now.serving[s.Group] {
		measured, n := server.measure(r.trace[n].Rows)
		g.Servers = append(g.Servers, measured)
		accesses += n
	}
	r.accesses[i] = append(r.accesses[i], accesses)
	g.Accesses, g.FullTime = r.window(i, n, class.PS2Window.D())
	return g
}

// window sums the group's accesses in the cycles with time in (t-y, t], and
// reports whether a full window of trace has passed.
func (r *replayer) window(group, n int, y time.Duration) (float64, bool) {
	var sum float64
	for i := n; i >= 0 && r.trace[n].At.Sub(r.trace[i].At) < y; i-- {
		sum += r.accesses[group][i]
	}
	return sum, r.trace[n].At.Sub(r.trace[0].At) >= y
}

func results(decisions []load.Decision) map[string]GroupResult {
	out := map[string]GroupResult{}
	for _, d := range decisions {
		g := GroupResult{Class: d.Class, Condition: d.Condition, Refused: d.Refused}
		if d.Examined {
			l := d.Loads
			g.Lm, g.Lc, g.Ln, g.Ls = &l.Mem, &l.CPU, &l.Net, &l.Ls
		}
		out[d.Group] = g
	}
	return out
}
