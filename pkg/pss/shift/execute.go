// Package shift carries out a plan: what does not depend on each other in
// parallel, and what failed for one group undone for that group (SPEC 4,
// "Execute").
package shift

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/plan"
	"pss-msbs/pkg/pss/hands"
)

// Outcome says what did not work. Groups in Failed are as they were before.
type Outcome struct {
	Failed map[string]error     // by group: undone
	Reals  map[netip.Addr]error // wakes and suspends
	Spares map[string]error     // stops
}

// execution is one plan under way. Steps that do not wait for each other run
// in parallel: every group is its own chain, wakes and suspends are shared.
type execution struct {
	*hands.Hands
	before cluster.Tables
	steps  plan.Steps
	wakes  map[netip.Addr]*task
	groups map[string]*task
	idle   sync.WaitGroup // spares put to rest behind the shift

	mu  sync.Mutex
	out Outcome
}

// task is something that others wait for.
type task struct {
	done chan struct{}
	err  error
}

func begin(wait *sync.WaitGroup, do func() error) *task {
	t := &task{done: make(chan struct{})}
	wait.Go(func() {
		defer close(t.done)
		t.err = do()
	})
	return t
}

func (t *task) wait() error {
	if t == nil {
		return nil
	}
	<-t.done
	return t.err
}

// Execute carries out a plan made from the files as they were in before. It
// logs the shift's beginning and its end: all clients served as planned, files
// and power as planned. Spares whose real server stays awake are put to rest
// behind that; Execute returns when they are.
func Execute(ctx context.Context, h *hands.Hands, before cluster.Tables, steps plan.Steps) Outcome {
	x := &execution{Hands: h, before: before, steps: steps, wakes: map[netip.Addr]*task{}, groups: map[string]*task{},
		out: Outcome{Failed: map[string]error{}, Reals: map[netip.Addr]error{}, Spares: map[string]error{}}}
	begun := h.Clock.Now()
	h.Log.Info().Strs("steps", x.words()).Msg("shift start")
	var all sync.WaitGroup
	for _, s := range steps.Of(plan.WakeReal) {
		x.wakes[s.Real] = begin(&all, func() error { return note(x, x.out.Reals, s.Real, x.Wake(ctx, s.Real)) })
	}
	for _, g := range x.groupsOf() {
		x.groups[g] = begin(&all, func() error { return x.group(ctx, g) })
	}
	for _, s := range steps.Of(plan.StopSpare) {
		if !x.sleeps(x.realOf(s.Spare)) {
			x.idle.Go(func() { x.stop(ctx, s, x.groups[s.Group]) })
		}
	}
	for _, s := range steps.Of(plan.SuspendReal) {
		all.Go(func() { x.suspend(ctx, s.Real) })
	}
	all.Wait()
	if ctx.Err() == nil {
		h.Log.Info().Strs("failed", x.failures()).Stringer("took", h.Took(begun)).Msg("shift done")
	}
	x.idle.Wait()
	return x.out
}

// words are the steps for the log, refusals apart.
func (x *execution) words() []string {
	var out []string
	for _, s := range x.steps {
		if s.Do != plan.Refuse {
			out = append(out, s.String())
		}
	}
	return out
}

// groupsOf lists the groups that change: VIPs, spares to start or the condition.
func (x *execution) groupsOf() []string {
	var out []string
	for _, s := range x.steps {
		if s.Do == plan.StartSpare || s.Do == plan.MoveVIP || s.Do == plan.SetState {
			out = append(out, s.Group)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// group does one group's part, or undoes what it did of it.
func (x *execution) group(ctx context.Context, g string) error {
	var undo revert
	err := x.advance(ctx, g, &undo)
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err() // pss ends; its next start goes on from the files
	}
	err = errors.Join(err, undo.run(ctx))
	x.Log.Error().Str("group", g).Err(err).Msg("shift failed, undone")
	x.mu.Lock()
	defer x.mu.Unlock()
	x.out.Failed[g] = err
	return err
}

// advance makes every receiver ready, moves the VIPs and records the condition.
func (x *execution) advance(ctx context.Context, g string, undo *revert) error {
	if err := x.receivers(ctx, g, undo); err != nil {
		return err
	}
	var all errgroup.Group // no move cancels another: they may share a hold
	for _, s := range x.of(plan.MoveVIP, g) {
		all.Go(func() error {
			if err := x.Move(ctx, x.move(s)); err != nil {
				return err
			}
			undo.push(func(ctx context.Context) error { return x.moveBack(ctx, s) })
			return nil
		})
	}
	if err := all.Wait(); err != nil {
		return err
	}
	for _, s := range x.of(plan.SetState, g) {
		return x.setState(ctx, s)
	}
	return nil
}

// of lists the steps of one kind for one group.
func (x *execution) of(do plan.Do, group string) plan.Steps {
	return slices.DeleteFunc(x.steps.Of(do), func(s plan.Step) bool { return s.Group != group })
}

// receivers starts the group's spares and makes its other receivers ready, in
// parallel, each once its real server is awake.
func (x *execution) receivers(ctx context.Context, g string, undo *revert) error {
	all, actx := errgroup.WithContext(ctx)
	spares := x.of(plan.StartSpare, g)
	for _, s := range spares {
		all.Go(func() error { return x.startSpare(actx, s, undo) })
	}
	seen := map[string]bool{}
	for _, s := range x.of(plan.MoveVIP, g) {
		starts := slices.ContainsFunc(spares, func(p plan.Step) bool { return p.Spare == s.To.Host })
		if seen[s.To.Host] || starts {
			continue
		}
		seen[s.To.Host] = true
		all.Go(func() error {
			if err := x.wakes[s.To.Real].wait(); err != nil {
				return err
			}
			return x.Ready(actx, s.To, g)
		})
	}
	return all.Wait()
}

func (x *execution) startSpare(ctx context.Context, s plan.Step, undo *revert) error {
	if err := x.wakes[s.Real].wait(); err != nil {
		return err
	}
	row := x.spare(s.Spare)
	if !x.realOf(s.Spare).IsValid() {
		undo.push(func(ctx context.Context) error { return x.StopSpare(ctx, row, s.Real, false) })
	}
	return x.StartSpare(ctx, row, s.Real, x.firstVIP(s))
}

// firstVIP is the VIP that a spare is started for.
func (x *execution) firstVIP(start plan.Step) netip.Addr {
	for _, s := range x.of(plan.MoveVIP, start.Group) {
		if s.To.Host == start.Spare {
			return s.VIP
		}
	}
	return netip.Addr{}
}

func (x *execution) spare(host string) cluster.SpareRow {
	i := slices.IndexFunc(x.before.Spares, func(s cluster.SpareRow) bool { return s.Host == host })
	if i < 0 {
		return cluster.SpareRow{Host: host}
	}
	return x.before.Spares[i]
}

// realOf is where a spare that serves, or stands in access-stop, is.
func (x *execution) realOf(host string) netip.Addr {
	for _, rows := range [][]cluster.ServerRow{x.before.Operation, x.before.AccessStop} {
		if own := cluster.RowsOf(rows, host); len(own) > 0 {
			return own[0].Real
		}
	}
	return netip.Addr{}
}

func (x *execution) move(s plan.Step) hands.Move {
	return hands.Move{Group: s.Group, VIP: s.VIP, From: s.From, To: s.To, Held: s.Held, Lighter: x.lighter(s.Group)}
}

// moveBack undoes a move. A VIP that is elsewhere by now, or in separation, is
// left to whoever moved it.
func (x *execution) moveBack(ctx context.Context, s plan.Step) error {
	m := hands.Move{Group: s.Group, VIP: s.VIP, From: s.To, To: s.From, Held: x.had(s.To.Host)}
	if err := x.Move(ctx, m); err != nil && !errors.Is(err, hands.ErrStale) && !errors.Is(err, hands.ErrRecovery) {
		return err
	}
	return nil
}

// had are the VIPs that host stood for when the shift began.
func (x *execution) had(host string) []netip.Addr {
	return append(cluster.VIPsOf(cluster.RowsOf(x.before.Operation, host)),
		cluster.VIPsOf(cluster.RowsOf(x.before.AccessStop, host))...)
}

// lighter tells whether the plan takes the group to a lighter condition.
func (x *execution) lighter(group string) bool {
	for _, s := range x.of(plan.SetState, group) {
		return s.Condition.Lighter(recorded(x.before, group))
	}
	return false
}

func recorded(t cluster.Tables, group string) cluster.Condition {
	for _, s := range t.State {
		if s.Group == group {
			return s.Condition
		}
	}
	return cluster.Moderate
}

// setState records the group's condition, unless a recovery began meanwhile.
func (x *execution) setState(ctx context.Context, s plan.Step) error {
	lighter, old := x.lighter(s.Group), recorded(x.before, s.Group)
	err := x.Files.Update(ctx, func(t *cluster.Tables) error {
		i := slices.IndexFunc(t.State, func(r cluster.StateRow) bool { return r.Group == s.Group })
		switch {
		case i < 0 || t.State[i].Condition != old:
			return fmt.Errorf("%w: %s is not in %s", hands.ErrStale, s.Group, old)
		case lighter && hands.Separated(*t, s.Group):
			return hands.ErrRecovery
		}
		t.State[i].Condition = s.Condition
		return nil
	})
	if err != nil {
		return fmt.Errorf("cannot set the condition of %s: %w", s.Group, err)
	}
	x.Log.Info().Str("group", s.Group).Str("condition", string(s.Condition)).Msg("condition set")
	return nil
}

// sleeps tells whether the plan suspends real.
func (x *execution) sleeps(real netip.Addr) bool {
	return slices.ContainsFunc(x.steps.Of(plan.SuspendReal), func(s plan.Step) bool { return s.Real == real })
}

// stop puts a spare to rest once its group is through.
func (x *execution) stop(ctx context.Context, s plan.Step, group *task) {
	if group.wait() != nil || ctx.Err() != nil {
		return
	}
	err := x.StopSpare(ctx, x.spare(s.Spare), x.realOf(s.Spare), s.Keep)
	if note(x, x.out.Spares, s.Spare, err) != nil && ctx.Err() == nil {
		x.Log.Warn().Str("spare", s.Spare).Err(err).Msg("spare server not stopped")
	}
}

// suspend puts a real server to sleep once the groups that leave it are
// through and the spares on it are saved.
func (x *execution) suspend(ctx context.Context, real netip.Addr) {
	for _, s := range x.steps.Of(plan.MoveVIP) {
		if s.From.Real == real && x.groups[s.Group].wait() != nil {
			return // its own failure was told; the real server is still needed
		}
	}
	var spares sync.WaitGroup
	for _, s := range x.steps.Of(plan.StopSpare) {
		if x.realOf(s.Spare) == real {
			spares.Go(func() { x.stop(ctx, s, x.groups[s.Group]) })
		}
	}
	spares.Wait()
	if ctx.Err() != nil {
		return
	}
	if err := note(x, x.out.Reals, real, x.Suspend(ctx, real)); err != nil {
		x.Log.Warn().Stringer("real", real).Err(err).Msg("real server not suspended")
	}
}

// failures names what the shift could not do.
func (x *execution) failures() []string {
	x.mu.Lock()
	defer x.mu.Unlock()
	out := []string{}
	for g := range x.out.Failed {
		out = append(out, g)
	}
	for r := range x.out.Reals {
		out = append(out, r.String())
	}
	slices.Sort(out)
	return out
}

// note keeps an error of the outcome and passes it on.
func note[K comparable](x *execution, where map[K]error, what K, err error) error {
	if err != nil {
		x.mu.Lock()
		defer x.mu.Unlock()
		where[what] = err
	}
	return err
}
