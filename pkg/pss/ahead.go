package pss

import (
	"strings"

	"pss-msbs/pkg/ahead"
	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/load"
	"pss-msbs/pkg/plan"
)

// ahead is what pss knows to look ahead from t.
func (s *System) ahead(t cluster.Tables) ahead.View {
	data := s.serverData()
	return ahead.View{Tables: t, Homes: t.Homes(data.Homes()),
		Capacity: func(host string) load.Capacity { return capacity(s.opt.Settings.ServerOf(host)) },
		Backup: func(host string) string {
			d, _ := data.Of(host)
			return d.Backup
		}}
}

// robust leaves the real servers awake that the groups in PS1 need should another
// one fail, and says so once.
func (s *System) robust(t cluster.Tables, steps plan.Steps, decisions []load.Decision) plan.Steps {
	steps, whys := ahead.Robust(t, steps, decisions)
	why := strings.Join(whys, ", ")
	if s.said.News("robust", why) && why != "" {
		s.opt.Log.Info().Str("why", why).Msg("no real server is suspended")
	}
	return steps
}

// foresee logs once why a lighter condition is not wanted though the load is light.
func (s *System) foresee(d load.Decision) {
	if s.said.News("ahead "+d.Group, d.Refused) && d.Refused != "" {
		s.opt.Log.Info().Str("group", d.Group).Str("why", d.Refused).Msg("shift refused")
	}
}
