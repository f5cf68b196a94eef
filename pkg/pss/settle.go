package pss

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/load"
	"pss-msbs/pkg/plan"
	"pss-msbs/pkg/pss/shift"
)

// settleNow settles beside the caller, unless a settle is under way.
func (s *System) settleNow(ctx context.Context, decisions []load.Decision) {
	if !s.settles.begin() {
		return
	}
	s.jobs.Go(func() {
		defer s.report.publish()
		defer s.settles.end()
		s.settle(ctx, decisions)
	})
}

// settle is the reconciliation of one cycle: mend, plan all groups, carry out
// what is missing.
func (s *System) settle(ctx context.Context, decisions []load.Decision) {
	if t, ok := s.fresh(ctx); ok {
		s.mend(ctx, t)
	}
	t, ok := s.fresh(ctx)
	if !ok {
		return
	}
	steps := s.plan(s.awake(t), decisions)
	if !slices.ContainsFunc(steps, func(p plan.Step) bool { return p.Do != plan.Refuse }) {
		return
	}
	release, ok := s.claimSpares(steps)
	defer release()
	if ok {
		s.learn(steps, shift.Execute(ctx, s.hands, s.power, t, steps))
	}
}

// claimSpares claims the spares that a shift starts: until a row names them,
// nobody else may take them for unused; and those that it stops: nobody may give
// them a VIP meanwhile. One that somebody is busy with leaves
// the shift to the next cycle.
func (s *System) claimSpares(steps plan.Steps) (release func(), ok bool) {
	var claimed []string
	release = func() {
		for _, host := range claimed {
			s.spares.release(host)
		}
	}
	for _, p := range slices.Concat(steps.Of(plan.StartSpare), steps.Of(plan.StopSpare)) {
		if !s.spares.claim(p.Spare) {
			return release, false
		}
		claimed = append(claimed, p.Spare)
	}
	return release, true
}

// fresh is the files as they are now.
func (s *System) fresh(ctx context.Context) (cluster.Tables, bool) {
	t, err := s.opt.Files.View(ctx)
	return t, err == nil && ctx.Err() == nil
}

// awake is t without the real servers that missed their last wake and have not
// answered since: nothing is to be had of them, as if their dsrs had taken them
// out already.
func (s *System) awake(t cluster.Tables) cluster.Tables {
	t.Real = slices.DeleteFunc(slices.Clone(t.Real), func(r cluster.RealRow) bool { return !s.power.Wakes.Proved(r.IP) })
	return t
}

// plan plans all groups: with what they want, or, without a new want, with
// their recorded condition.
func (s *System) plan(t cluster.Tables, decisions []load.Decision) plan.Steps {
	now := s.opt.Clock.Now()
	wants, back := map[string]cluster.Condition{}, map[string]cluster.Condition{}
	for _, row := range t.State {
		want, instead := s.want(row, decisions)
		if want != row.Condition && s.pauses.Waits(shiftOf(row.Group, want), now) {
			want, instead = row.Condition, ""
		}
		wants[row.Group], back[row.Group] = want, instead
	}
	known := s.serverData().Homes()
	steps := plan.Make(t, known, wants)
	for group, instead := range back {
		if instead != "" && steps.Refused(group) != "" {
			wants[group] = instead
		}
	}
	steps = plan.Make(t, known, wants)
	s.refusals(t, steps)
	for _, row := range t.State { // what it may not become must still be what it is
		if steps.Refused(row.Group) != "" {
			wants[row.Group] = row.Condition
		}
	}
	for _, group := range s.unborn(plan.Make(t, known, wants)) {
		wants[group] = t.Condition(group)
	}
	return s.without(t, s.robust(t, plan.Make(t, known, wants), decisions))
}

// want is what a group wants, and what instead if that is refused. A decision
// made before the recorded condition changed counts no more.
func (s *System) want(row cluster.StateRow, decisions []load.Decision) (want, instead cluster.Condition) {
	if s.forced.has(row.Group, row.Condition) {
		return cluster.Moderate, ""
	}
	for _, d := range decisions {
		if d.Group == row.Group && d.Condition == row.Condition {
			return d.Want, d.IfRefused
		}
	}
	return row.Condition, ""
}

// shiftOf names a group's shift for the pauses.
func shiftOf(group string, want cluster.Condition) string { return group + " " + string(want) }

// unborn are the groups that would start a spare which is still being created, or
// failed and is created anew.
func (s *System) unborn(steps plan.Steps) []string {
	var out []string
	failed, unknown := s.opt.Abandoned()
	for _, p := range steps.Of(plan.StartSpare) {
		if s.spares.claimed(p.Spare) || unknown != nil || slices.Contains(failed, p.Spare) {
			out = append(out, p.Group)
			if s.said.News("unborn "+p.Group, p.Spare) {
				s.opt.Log.Info().Str("group", p.Group).Str("spare", p.Spare).Msg("shift waits, its spare is still being created")
			}
		}
	}
	return out
}

// refusals logs each refusal once.
func (s *System) refusals(t cluster.Tables, steps plan.Steps) {
	for _, row := range t.State {
		why := steps.Refused(row.Group)
		if s.said.News("refused "+row.Group, why) && why != "" {
			s.opt.Log.Warn().Str("group", row.Group).Str("why", why).Msg("shift refused")
		}
	}
}

// without leaves out what failed a while ago and pauses: whole groups, spares
// that could not be stopped, and real servers that would not sleep, have such a
// spare, serve a group that is left out, or owe a wake; while a rescue is under
// way, all of them.
func (s *System) without(t cluster.Tables, steps plan.Steps) plan.Steps {
	now := s.opt.Clock.Now()
	waits := func(group string) bool { return s.pauses.Waits("group "+group, now) }
	var awake []netip.Addr // with a spare that could not be stopped
	for _, p := range steps.Of(plan.StopSpare) {
		if s.pauses.Waits("stop "+p.Spare, now) {
			awake = append(awake, t.Rows().Of(p.Spare)[0].Real)
		}
	}
	rescuing := s.rescues.any() // who is being rescued may need any of them
	left := slices.DeleteFunc(slices.Clone(steps), func(p plan.Step) bool {
		if p.Do != plan.SuspendReal {
			return p.Group != "" && waits(p.Group) && recordedIn(steps, p.Group) || p.Do == plan.StopSpare && s.pauses.Waits("stop "+p.Spare, now)
		}
		if rescuing || slices.Contains(awake, p.Real) {
			return true
		}
		serves := slices.ContainsFunc(t.Operation, func(r cluster.ServerRow) bool { return r.Real == p.Real && waits(r.Group) })
		return serves || s.pauses.Waits("suspend "+p.Real.String(), now) || !s.power.Wakes.Proved(p.Real)
	})
	return slices.DeleteFunc(left, func(p plan.Step) bool { // to be stopped with its real server only
		return p.Do == plan.StopSpare && p.Keep && !slices.ContainsFunc(left.Of(plan.SuspendReal), func(q plan.Step) bool { return q.Real == t.Rows().Of(p.Spare)[0].Real })
	})
}

// The longest pauses of what failed again and again: a group that needs all its
// servers must not wait for long.
const (
	longestPause = 10 * time.Minute
	loadedPause  = time.Minute
)

// learn lets what failed rest for a while, longer each time.
func (s *System) learn(steps plan.Steps, out shift.Outcome) {
	now, first := s.opt.Clock.Now(), s.opt.Settings.Measure.Interval.D()
	try := func(what string, failed bool, longest time.Duration) {
		if failed {
			s.pauses.Failed(what, now, first, longest)
		} else {
			s.pauses.Clear(what)
		}
	}
	settle := func(what string, failed bool) { try(what, failed, longestPause) }
	for _, p := range steps {
		switch p.Do {
		case plan.SetState:
			longest := longestPause
			if p.Condition == cluster.Moderate {
				longest = loadedPause
			}
			try(shiftOf(p.Group, p.Condition), out.Failed[p.Group] != nil, longest)
		case plan.MoveVIP:
			if recordedIn(steps, p.Group) {
				settle("group "+p.Group, out.Failed[p.Group] != nil)
			}
		case plan.StopSpare:
			settle("stop "+p.Spare, out.Spares[p.Spare] != nil)
		case plan.SuspendReal:
			settle("suspend "+p.Real.String(), out.Reals[p.Real] != nil)
		}
	}
}

// recordedIn tells whether the group was planned with its recorded condition.
func recordedIn(steps plan.Steps, group string) bool {
	return !slices.ContainsFunc(steps.Of(plan.SetState), func(p plan.Step) bool { return p.Group == group })
}
