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
		s.learn(steps, shift.Execute(ctx, s.ops, s.power, t, steps))
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
	wants := plan.Wants{}
	for _, row := range t.State {
		wants[row.Group] = s.wants(row, decisions)
	}
	steps := plan.Within(t, s.serverData().Homes(), wants, s.limits(t))
	s.refusals(t, steps)
	return s.robust(t, steps, decisions)
}

// wants is what a group wants, what instead if that is refused, and in the end
// what it is. A decision made before the recorded condition changed counts no
// more, nor one that failed a while ago.
func (s *System) wants(row cluster.StateRow, decisions []load.Decision) []cluster.Condition {
	want, instead := s.want(row, decisions)
	if want == row.Condition || s.pauses.Waits(shiftOf(row.Group, want), s.opt.Clock.Now()) {
		return []cluster.Condition{row.Condition}
	}
	if instead == "" {
		return []cluster.Condition{want, row.Condition}
	}
	return []cluster.Condition{want, instead, row.Condition}
}

// want is what a group wants, and what instead if that is refused.
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

// refusals logs each refusal once.
func (s *System) refusals(t cluster.Tables, steps plan.Steps) {
	refused := map[string]plan.Step{}
	for _, p := range steps.Of(plan.Refuse) {
		refused[p.Group] = p
	}
	for _, row := range t.State {
		p := refused[row.Group]
		switch news := s.said.News("refused "+row.Group, p.Why+" "+p.Spare); {
		case !news || p.Why == "":
		case p.Spare != "":
			s.opt.Log.Info().Str("group", row.Group).Str("spare", p.Spare).Msg("shift waits, " + p.Why)
		default:
			s.opt.Log.Warn().Str("group", row.Group).Str("why", p.Why).Msg("shift refused")
		}
	}
}

// limits are what failed a while ago and pauses, and what somebody is busy with:
// groups, spares, and real servers that would not sleep, have a spare that could
// not be stopped, or serve a group that pauses; while a rescue is under way all
// of them, since a server that is being rescued may need any.
func (s *System) limits(t cluster.Tables) plan.Limits {
	now := s.opt.Clock.Now()
	l := plan.Limits{Resting: map[string]bool{}, Unborn: map[string]bool{}, Stuck: map[string]bool{}, Awake: map[netip.Addr]bool{}}
	for _, row := range t.State {
		l.Resting[row.Group] = s.pauses.Waits("group "+row.Group, now)
	}
	failed, unknown := s.opt.Abandoned()
	for _, spare := range t.Spares {
		l.Unborn[spare.Host] = s.spares.claimed(spare.Host) || unknown != nil || slices.Contains(failed, spare.Host)
		l.Stuck[spare.Host] = s.pauses.Waits("stop "+spare.Host, now)
	}
	for _, r := range t.Real {
		l.Awake[r.IP] = s.rescues.any() || s.pauses.Waits("suspend "+r.IP.String(), now)
	}
	for _, r := range t.Rows() {
		if l.Stuck[r.Host] || l.Resting[r.Group] && t.Operation.Has(r.Host) {
			l.Awake[r.Real] = true
		}
	}
	return l
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

// recordedIn reports whether the group was planned with its recorded condition.
func recordedIn(steps plan.Steps, group string) bool {
	return !slices.ContainsFunc(steps.Of(plan.SetState), func(p plan.Step) bool { return p.Group == group })
}
