package replay

import (
	"time"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/load"
	"pss-msbs/pkg/plan"
)

// Hindsight is the saving that no rule reaches which must decide in time: each
// cycle the lightest conditions in which no group's measured load, on the servers
// left, is above moderate, and for PS2 the accesses at most x; all shifts take no
// time. Nothing in it is strained.
func Hindsight(in Input, trace []Cycle) Summary {
	h := hindsight{in: in, trace: trace, best: map[string]cluster.Condition{}}
	for i, s := range in.Tables.State {
		h.groups = append(h.groups, h.options(i, s.Group))
		h.best[s.Group] = cluster.Moderate
	}
	return h.run()
}

// option is a group in one condition: a replay with only this group shifted.
type option struct {
	group     int // its row in the state file
	condition cluster.Condition
	at        *replayer
}

// hindsight is a trace under examination.
type hindsight struct {
	in     Input
	trace  []Cycle
	groups [][]option
	best   map[string]cluster.Condition // in the cycle
}

// at is a replay in which the groups are in these conditions, and whether a plan
// has them so.
func (h *hindsight) at(wants map[string]cluster.Condition) (*replayer, bool) {
	home := map[string]cluster.Condition{}
	for _, s := range h.in.Tables.State {
		home[s.Group] = cluster.Moderate
	}
	known := h.in.Homes
	t := plan.Apply(h.in.Tables, known, plan.Make(h.in.Tables, known, home))
	steps := plan.Make(t, known, wants)
	return &replayer{in: h.in, tables: plan.Apply(t, known, steps), trace: h.trace, accesses: make([][]float64, len(home))},
		len(steps.Of(plan.Refuse)) == 0
}

// options are the conditions that the group may have, the lightest first.
func (h *hindsight) options(i int, group string) []option {
	var out []option
	for _, c := range []cluster.Condition{cluster.PS2, cluster.PS1} {
		if r, ok := h.at(map[string]cluster.Condition{group: c}); ok {
			out = append(out, option{i, c, r})
		}
	}
	return out
}

// run adds up the cycles.
func (h *hindsight) run() Summary {
	var out Summary
	var all time.Duration
	power := map[string]*replayer{}
	for n := range h.trace {
		key := ""
		for i, options := range h.groups {
			key += h.choose(h.in.Tables.State[i].Group, options, n, &out)
		}
		r := power[key]
		if r == nil {
			r, _ = h.at(h.best)
			power[key] = r
		}
		lasts := r.lasts(n)
		all += lasts
		out.EnergyWh += float64(r.watts() * lasts.Hours())
		out.AlwaysOnWh += float64(r.alwaysOn() * lasts.Hours())
		for _, c := range h.best {
			if c == cluster.PS2 {
				out.alone += lasts
			}
		}
	}
	out.finish(all)
	return out
}

// choose finds a group's lightest condition in cycle n.
func (h *hindsight) choose(group string, options []option, n int, out *Summary) string {
	best := cluster.Moderate
	for _, o := range options {
		if fits(o.at.group(o.group, n)) && best == cluster.Moderate {
			best = o.condition
		}
	}
	if h.best[group] != best {
		out.Shifts++
		h.best[group] = best
	}
	return string(best) + " "
}

// fits reports whether the group's measured load allows its condition.
func fits(g load.Group) bool {
	for _, s := range g.Servers {
		if !s.Measured {
			return false
		}
	}
	few := g.Accesses <= g.Rules.Accesses && g.FullTime
	return load.Measured(g.Servers, g.Rules.Type).Ls <= g.Rules.Moderate && (g.Condition != cluster.PS2 || few)
}
