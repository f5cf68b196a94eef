package pss

import (
	"slices"
	"strings"
	"time"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/doubt"
	"pss-msbs/pkg/load"
)

// relief is until when groups grow no lighter because a server of them was
// overloaded. Only the cycles use it.
type relief map[string]time.Time

// relieve gives the groups with an overloaded server, by the word of their
// monitors, all their servers: measured load tells nothing of a server that is
// too slow to be measured. Afterwards they grow no lighter for as many cycles as
// the light load must last.
func (s *System) relieve(decisions []load.Decision) {
	if s.opt.Doubts == nil {
		return
	}
	doubts, err := s.opt.Doubts()
	s.said.once("doubts", err, "some doubts of the monitors are not readable and are ignored")
	now := s.opt.Clock.Now()
	for i, d := range decisions {
		why := overloaded(doubts, d.Group)
		rest := time.Duration(s.opt.Settings.ClassOf(d.Group).LightStreak) * s.opt.Settings.Measure.Interval.D()
		switch {
		case why != "":
			s.relief[d.Group] = now.Add(rest)
			decisions[i].Want, decisions[i].IfRefused, decisions[i].Why = cluster.Moderate, "", joinWhy(d, why)
		case now.Before(s.relief[d.Group]) && weight(d.Want) > weight(d.Condition):
			why = "was overloaded a moment ago"
			decisions[i].Want, decisions[i].IfRefused, decisions[i].Why = d.Condition, "", why
		}
		if s.said.News("overloaded "+d.Group, why) && why != "" {
			s.opt.Log.Warn().Str("group", d.Group).Str("why", why).Msg("group grows no lighter")
		}
	}
}

// overloaded says which servers of group greet, but slowly; nothing for none.
func overloaded(doubts []doubt.Doubt, group string) string {
	var hosts []string
	for _, d := range doubts {
		if d.Group == group && d.Kind == doubt.Overloaded {
			hosts = append(hosts, d.Target)
		}
	}
	if len(hosts) == 0 {
		return ""
	}
	slices.Sort(hosts)
	return "overloaded: " + strings.Join(hosts, " ")
}

// joinWhy keeps why a group could not be examined.
func joinWhy(d load.Decision, why string) string {
	if d.Examined || d.Why == "" {
		return why
	}
	return d.Why + "; " + why
}

// weight orders the conditions by how light they are.
func weight(c cluster.Condition) int {
	return slices.Index([]cluster.Condition{cluster.Moderate, cluster.PS1, cluster.PS2}, c)
}
