package pss

import (
	"context"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/load"
)

// cycle is one turn of Fig. 2: measure, classify, want, and, where no settle is
// under way and the files can be used, settle.
func (s *System) cycle(ctx context.Context) {
	s.reload()
	if s.opt.Changed != nil && s.opt.Changed() && s.said.News("settings", "changed") {
		s.opt.Log.Warn().Msg("settings.toml has changed; restart pss to use it")
	}
	t, good := s.view(ctx)
	s.count(ctx)
	servers := s.measure(ctx, t)
	if ctx.Err() != nil {
		return
	}
	groups := s.groups(t, servers)
	decisions := s.decider.Cycle(s.opt.Clock.Now(), groups)
	s.relieve(decisions)
	for _, d := range decisions {
		s.tell(d)
		s.foresee(d)
	}
	s.report.cycle(groups, decisions, s.opt.Settings.Measure.Interval.D())
	if good {
		s.settleNow(ctx, decisions)
	}
}

// view is what the files say, or, where they cannot be read, the last good view
// and false: then nothing is shifted.
func (s *System) view(ctx context.Context) (cluster.Tables, bool) {
	t, err := s.lookAtFiles(ctx)
	if err != nil {
		return s.last, false
	}
	s.last = t
	return t, true
}

// lookAtFiles reads the files; one alarm says why they cannot be used.
func (s *System) lookAtFiles(ctx context.Context) (cluster.Tables, error) {
	t, err := s.opt.Files.View(ctx)
	if ctx.Err() != nil {
		return t, ctx.Err()
	}
	was := s.report.faults(err)
	if !s.said.once("files", err, "alarm: files not usable, no shifts until they are") && was {
		s.opt.Log.Info().Msg("files usable again")
	}
	return t, err
}

// tell logs a group's load and what follows from it: once, until class,
// condition or want are others. pss status has the latest loads.
func (s *System) tell(d load.Decision) {
	if !d.Examined {
		if s.said.News("examined "+d.Group, d.Why) {
			s.opt.Log.Warn().Str("group", d.Group).Str("why", d.Why).Msg("load not examined")
		}
		return
	}
	again := s.said.News("examined "+d.Group, "")
	said := string(d.Class) + " " + string(d.Condition) + " " + string(d.Want)
	if changed := s.said.News("load "+d.Group, said); !changed && !again {
		return
	}
	e := s.opt.Log.Info().Str("group", d.Group).Str("class", string(d.Class)).Str("condition", string(d.Condition)).
		Float64("ls", round(d.Loads.Ls)).Float64("lm", round(d.Loads.Mem)).Float64("lc", round(d.Loads.CPU)).Float64("ln", round(d.Loads.Net))
	if d.Shifts() {
		e = e.Str("want", string(d.Want)).Str("why", d.Why)
	}
	e.Msg("load classified")
}

func round(v float64) float64 { return float64(int64(v*100+0.5)) / 100 }
