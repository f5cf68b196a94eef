package dsrs

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/ipc"
	"pss-msbs/pkg/task"
)

// pollOwner is how often a lock that another monitor holds is tried again.
const pollOwner = 500 * time.Millisecond

// restoration is the work on the servers of a real server that has come back.
type restoration struct {
	*DSRS
	stopped []string // servers in access stop here
	b4      atomic.Bool

	settling sync.WaitGroup // monitors starting, backups being paused
	mu       sync.Mutex
	left     []string // servers whose monitors keep them
}

// restoring starts the servers of line 4 in parallel, lets each take its VIPs
// back as soon as it answers, and returns the real server's row.
func (d *DSRS) restoring(ctx context.Context) (State, string) {
	_ = d.outage.moves.Wait(ctx)
	r := &restoration{DSRS: d, stopped: d.files.Load().Stopped}
	work, cancel := context.WithCancel(ctx)
	defer cancel()
	var lost atomic.Bool
	watch := task.Go(work, func(ctx context.Context) { d.guard(ctx, cancel, &lost) })
	r.servers(ctx, work)
	next, why := r.finish(ctx, work, &lost)
	r.settling.Wait()
	watch.Stop()
	outage := d.outage
	d.endOutage()
	if next == Normal {
		d.adopt(ctx, outage, r.left)
	}
	return next, why
}

// finish is the end of Fig. 9(b): B4 also where there was no server to restore.
func (r *restoration) finish(ctx, work context.Context, lost *atomic.Bool) (State, string) {
	for !lost.Load() && work.Err() == nil && !r.b4.Load() {
		_, err := r.askWithin(work, ipc.B4, b3Timeout)
		switch {
		case err == nil:
			r.b4.Store(true)
		case refusedAs(err) == cluster.RealAsleep:
			return Suspended, "suspended before B4"
		case r.news("B4", err.Error()):
			r.Log.Error().Str("step", "B4").Err(err).Msg(MsgNotBack)
			fallthrough
		default:
			_ = r.Clock.Sleep(work, time.Second)
		}
	}
	if lost.Load() {
		r.Log.Warn().Msg(MsgLost)
		return Normal, "silent again"
	}
	if ctx.Err() == nil {
		r.Log.Info().Str("step", "B4").Str("after_detection", r.since(r.outage.detected)).Msg(MsgRecovered)
	}
	return Normal, "B4"
}

// servers restores every server that nobody else owns; for those that are
// owned their locks are tried until the others are done.
func (r *restoration) servers(ctx, work context.Context) {
	var mine, theirs sync.WaitGroup
	done := make(chan struct{})
	for _, host := range r.Data.Servers {
		if owner := r.outage.take(host); owner != nil {
			mine.Go(func() { r.server(ctx, work, host, owner) })
			continue
		}
		if slices.Contains(r.stopped, host) {
			mine.Go(func() { r.report(ctx, host, r.bootNamed(work, host)) })
			continue
		}
		theirs.Go(func() { r.awaitOwner(ctx, work, host, done) })
	}
	mine.Wait()
	close(done)
	theirs.Wait()
}

// awaitOwner restores a server whose monitor ends while the others are being
// restored; it is left to its monitor otherwise.
func (r *restoration) awaitOwner(ctx, work context.Context, host string, done <-chan struct{}) {
	for work.Err() == nil {
		if owner, err := r.Monitors.Own(host); err == nil {
			r.server(ctx, work, host, owner)
			return
		}
		select {
		case <-work.Done():
		case <-done:
			r.leave(host)
			return
		case <-r.Clock.After(pollOwner):
		}
	}
}

// leave remembers a separated server whose monitor is still at work. One in
// operation is in nobody's way.
func (r *restoration) leave(host string) {
	if len(r.placementOf(r.files.Load().Reply).here[host]) > 0 {
		return
	}
	r.mu.Lock()
	r.left = append(r.left, host)
	r.mu.Unlock()
	r.Log.Info().Str("server", host).Msg(MsgLeft)
}

// server restores one server that is ours.
func (r *restoration) server(ctx, work context.Context, host string, owner Owner) {
	g, err := r.restoreServer(work, host, r.outage.isFenced(host), &r.b4)
	_ = r.Limits.EndRecovery(host, outcome(err)) // what its dbss began; the host failed, not the server, so none is counted here
	r.report(ctx, host, err)
	if err != nil {
		owner.Release()
		return
	}
	r.settling.Go(func() { g.handOver(ctx, owner) })
}

func outcome(err error) string {
	if err != nil {
		return err.Error()
	}
	return "recovered"
}

// report says once how a server came off.
func (d *DSRS) report(ctx context.Context, host string, err error) {
	if err != nil {
		if d.news("server "+host, err.Error()) {
			d.log(ctx).Error().Str("server", host).Err(err).Msg(MsgNoServer)
		}
		return
	}
	d.news("server "+host, MsgServer)
}

// bootNamed starts a server in access stop, without VIP.
func (b *boots) bootNamed(ctx context.Context, host string) error {
	srv, err := b.Servers.Server(host)
	if err != nil {
		return err
	}
	return b.boot(ctx, srv, false)
}

// giveTries is how often a server that answers tries to take its VIPs back.
const giveTries = 3

// restoreServer brings a server that is ours up and gives it its VIPs back.
func (d *DSRS) restoreServer(ctx context.Context, host string, fenced bool, b4 *atomic.Bool) (*giving, error) {
	srv, err := d.Servers.Server(host)
	if err != nil {
		return nil, err
	}
	began := d.Clock.Now()
	if err := d.boot(ctx, srv, fenced); err != nil {
		return nil, err
	}
	for try := 1; ; try++ {
		g, committed, err := d.giveBack(ctx, srv)
		if err == nil {
			if committed {
				b4.Store(true)
			}
			d.log(ctx).Info().Str("step", "B4").Str("server", host).Int("vips", len(g.back.VIPs())).
				Str("took", d.since(began)).Msg(MsgServer)
			return g, nil
		}
		if try == giveTries || d.Clock.Sleep(ctx, time.Duration(try)*time.Second) != nil {
			return nil, fmt.Errorf("cannot give %s its VIPs back: %v", host, err)
		}
	}
}

// unfence strips a guest that was cut off and that somebody else owns, as soon
// as its agent answers, and lifts the fence.
func (s *strip) unfence(ctx context.Context, g cluster.Guest) {
	for ctx.Err() == nil {
		p := s.placementOf(s.files.Load().Reply)
		addrs, err := s.addrsWithin(ctx, g, cluster.CallLimit)
		if err == nil {
			err = s.drop(ctx, g, p.stale(g.Host, addrs), false)
		}
		state, serr := s.guestState(ctx, g)
		rebooted := serr == nil && (state.Dead() || state == cluster.GuestBooting)
		if err == nil || rebooted {
			if s.link(ctx, g, true) == nil {
				s.log(ctx).Info().Str("server", g.Host).Msg(MsgUnfenced)
				return
			}
		}
		_ = s.Clock.Sleep(ctx, time.Second)
	}
}
