// Package shift carries out a plan: what does not depend on each other in
// parallel, and what failed for one group undone for that group (SPEC 4,
// "Execute").
package shift

import (
	"context"
	"errors"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/plan"
	"pss-msbs/pkg/pss/ops"
	"pss-msbs/pkg/pss/power"
	"pss-msbs/pkg/task"
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
	*ops.Ops
	power   *power.Power
	before  cluster.Tables
	steps   plan.Steps
	wakes   map[netip.Addr]*task.Task
	groups  map[string]*task.Task
	watches sync.WaitGroup // monitors of spares starting beside the shift
	idle    sync.WaitGroup // spares put to rest behind it

	mu  sync.Mutex
	out Outcome
}

// Execute carries out a plan made from the files as they were in before. It
// logs the shift's beginning and its end: all clients served as planned, files
// and power as planned. Spares whose real server stays awake are put to rest
// behind that; Execute returns when they are.
func Execute(ctx context.Context, h *ops.Ops, p *power.Power, before cluster.Tables, steps plan.Steps) Outcome {
	x := &execution{Ops: h, power: p, before: before, steps: steps, wakes: map[netip.Addr]*task.Task{}, groups: map[string]*task.Task{},
		out: Outcome{Failed: map[string]error{}, Reals: map[netip.Addr]error{}, Spares: map[string]error{}}}
	begun := h.Clock.Now()
	h.Log.Info().Strs("steps", x.words()).Msg("shift start")
	var all sync.WaitGroup
	for _, s := range steps.Of(plan.WakeReal) {
		x.wakes[s.Real] = task.Start(ctx, func(ctx context.Context) error { return note(x, x.out.Reals, s.Real, x.power.Wake(ctx, s.Real)) })
	}
	for _, g := range x.groupsOf() {
		x.groups[g] = task.Start(ctx, func(ctx context.Context) error { return x.group(ctx, g) })
	}
	for _, s := range steps.Of(plan.StopSpare) {
		if !x.sleeps(x.realOf(s.Spare)) {
			x.idle.Go(func() { _ = x.stop(ctx, s, x.groups[s.Group]) }) // told and noted
		}
	}
	for _, s := range steps.Of(plan.SuspendReal) {
		all.Go(func() { x.suspend(ctx, s.Real) })
	}
	for _, t := range slices.Concat(slices.Collect(maps.Values(x.wakes)), slices.Collect(maps.Values(x.groups))) {
		_ = t.Result() // noted
	}
	all.Wait()
	x.watches.Wait()
	if ctx.Err() == nil {
		x.done(h.Took(begun))
	}
	x.idle.Wait()
	return x.out
}

func (x *execution) done(took time.Duration) {
	e := x.Log.Info()
	if failed := x.failures(); len(failed) > 0 {
		e = x.Log.Warn().Strs("failed", failed)
	}
	e.Stringer("took", took).Msg("shift done")
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

// advance makes every receiver ready, then changes the group.
func (x *execution) advance(ctx context.Context, g string, undo *revert) error {
	var ready receivers
	defer ready.close()
	if err := x.receive(ctx, g, undo, &ready); err != nil {
		return err
	}
	return x.Change(ctx, x.steps.Change(x.before, g), ready.of)
}

// of lists the steps of one kind for one group.
func (x *execution) of(do plan.Do, group string) plan.Steps {
	return slices.DeleteFunc(x.steps.Of(do), func(s plan.Step) bool { return s.Group != group })
}

// receivers are the servers that are ready to take a VIP.
type receivers struct {
	mu sync.Mutex
	of map[string]*ops.Ready
}

func (r *receivers) add(host string, ready *ops.Ready) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.of == nil {
		r.of = map[string]*ops.Ready{}
	}
	r.of[host] = ready
}

func (r *receivers) close() {
	for _, ready := range r.of {
		ready.Close()
	}
}

// receive starts the group's spares and makes its other receivers ready, in
// parallel, each once its real server is awake.
func (x *execution) receive(ctx context.Context, g string, undo *revert, ready *receivers) error {
	all := errgroup.Group{}
	seen := map[string]bool{}
	for _, s := range x.of(plan.StartSpare, g) {
		seen[s.Spare] = true
		all.Go(func() error { return x.startSpare(ctx, s, undo, ready) })
	}
	for _, s := range x.of(plan.MoveVIP, g) {
		if seen[s.To.Host] {
			continue
		}
		seen[s.To.Host] = true
		all.Go(func() error {
			if err := x.wakes[s.To.Real].Result(); err != nil {
				return err
			}
			r, err := x.Ready(ctx, s.To, g)
			ready.add(s.To.Host, r)
			return err
		})
	}
	return all.Wait()
}

// startSpare starts a spare and, beside it, its monitor. The monitor need not be
// ready when VIPs move, for starting two processes takes as long as restoring
// a server; but a group whose monitor is known to have failed does not shift.
func (x *execution) startSpare(ctx context.Context, s plan.Step, undo *revert, ready *receivers) error {
	if err := x.wakes[s.Real].Result(); err != nil {
		return err
	}
	row, at := x.spare(s.Spare), x.realOf(s.Spare)
	if at.IsValid() && at != s.Real && x.before.IsActive(at) { // in access-stop; one that serves stays where it is
		if err := x.StopSpare(ctx, row, at, false); err != nil {
			return err
		}
		at = netip.Addr{}
	}
	watch := task.Start(ctx, func(ctx context.Context) error { return x.Watch(ctx, row, s.Real, x.firstVIP(s)) })
	if !at.IsValid() {
		undo.push(func(ctx context.Context) error {
			_ = watch.Result() // told where it counts
			return x.StopSpare(ctx, row, s.Real, false)
		})
	}
	r, err := x.StartSpare(ctx, row, s.Real)
	ready.add(s.Spare, r)
	x.watches.Go(func() {
		if err := watch.Result(); err != nil && ctx.Err() == nil {
			x.Log.Error().Str("spare", s.Spare).Err(err).Msg("spare server has no monitor, tried again each cycle")
		}
	})
	return errors.Join(err, watch.Err())
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
	if own := slices.Concat(x.before.Operation, x.before.AccessStop).Of(host); len(own) > 0 {
		return own[0].Real
	}
	return netip.Addr{}
}

// sleeps reports whether the plan suspends real.
func (x *execution) sleeps(real netip.Addr) bool {
	return slices.ContainsFunc(x.steps.Of(plan.SuspendReal), func(s plan.Step) bool { return s.Real == real })
}

// stop puts a spare to rest once its group is through.
func (x *execution) stop(ctx context.Context, s plan.Step, group *task.Task) error {
	if err := errors.Join(group.Result(), ctx.Err()); err != nil {
		return err
	}
	err := note(x, x.out.Spares, s.Spare, x.StopSpare(ctx, x.spare(s.Spare), x.realOf(s.Spare), s.Keep))
	if err != nil && ctx.Err() == nil {
		x.Log.Warn().Str("spare", s.Spare).Err(err).Msg("spare server not stopped")
	}
	return err
}

// suspend puts a real server to sleep once the groups that leave it are
// through and the spares on it are saved.
func (x *execution) suspend(ctx context.Context, real netip.Addr) {
	for _, s := range x.steps.Of(plan.MoveVIP) {
		if s.From.Real == real && x.groups[s.Group].Result() != nil {
			return // its own failure was told; the real server is still needed
		}
	}
	var spares errgroup.Group
	for _, s := range x.steps.Of(plan.StopSpare) {
		if x.realOf(s.Spare) == real {
			spares.Go(func() error { return x.stop(ctx, s, x.groups[s.Group]) })
		}
	}
	if spares.Wait() != nil || ctx.Err() != nil {
		return
	}
	if err := note(x, x.out.Reals, real, x.power.Suspend(ctx, real)); err != nil {
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
