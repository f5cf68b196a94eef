package dsrs

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/ipc"
	"pss-msbs/pkg/mgmtdata"
)

// boot brings a server of line 4 up, without any VIP, and returns once its
// services answer.
func (b *boots) boot(ctx context.Context, srv mgmtdata.Server, fenced bool) error {
	g := b.guest(srv.Host)
	began := b.Clock.Now()
	state, err := b.guestState(ctx, g)
	if err != nil {
		return err
	}
	b.log(ctx).Info().Str("server", srv.Host).Str("state", string(state)).Msg(MsgStart)
	if err := b.bootFrom(ctx, srv, g, state, fenced); err != nil {
		return err
	}
	b.log(ctx).Info().Str("server", srv.Host).Str("took", b.since(began)).Msg(MsgServerUp)
	return nil
}

// bootFrom does what a guest in state needs until it answers. A boot that takes
// a third of the time it may take hangs, as for a dbss, and is reset.
func (b *boots) bootFrom(ctx context.Context, srv mgmtdata.Server, g cluster.Guest, state cluster.GuestState, fenced bool) error {
	limit, freeze := b.Settings.DBSS.RecoverDeadline.D(), b.Settings.DBSS.FreezeDeadline.D()
	switch {
	case fenced && state != cluster.GuestPaused && !state.Dead() && b.unfenced(ctx, g, freeze) != nil:
		return b.reset(ctx, srv, limit, true)
	case state.Dead() || state == cluster.GuestSaved:
		err := b.powered(ctx, srv, limit/3, func(ctx context.Context) error { return b.Fleet.Start(ctx, g) })
		if err == nil || ctx.Err() != nil || !b.booting(ctx, g) {
			return err
		}
		return b.reset(ctx, srv, limit, false)
	case state == cluster.GuestPaused:
		if err := b.resumeClean(ctx, g); err != nil {
			return err
		}
	case state == cluster.GuestBooting:
		if b.awaitServices(ctx, srv, limit/3) == nil {
			return nil
		}
		return b.reset(ctx, srv, limit, false)
	}
	b.linkUp(ctx, g)
	// It ran on while the host was silent: its clock may stand wrong, and it
	// may be frozen.
	if b.awaitServices(ctx, srv, freeze) == nil {
		_ = b.quick(ctx, func(ctx context.Context) error { return b.Fleet.SetClock(ctx, g) })
		return nil
	}
	return b.reset(ctx, srv, limit, false)
}

// booting reports whether g has begun to boot and has not come up: it hangs.
func (b *boots) booting(ctx context.Context, g cluster.Guest) bool {
	state, err := b.guestState(ctx, g)
	return err == nil && !state.Dead()
}

// linkUp lifts the fence that a dbss may have left on a server before it ended, once
// no VIP is behind it. What the files said before that end is not enough. A server
// in separation is its owner's, and loses what it has; no other is touched.
func (b *boots) linkUp(ctx context.Context, g cluster.Guest) {
	addrs, err := b.addrsWithin(ctx, g, b.beat())
	if err != nil {
		return
	}
	r, err := b.askWithin(ctx, ipc.B2, lookTimeout)
	if err != nil {
		return
	}
	p := b.placementOf(r)
	stale := p.stale(g.Host, addrs)
	if len(stale) == 0 || slices.Contains(b.separated(p), g.Host) {
		_ = b.lift(ctx, g, stale)
	}
}

// powered starts or resets a server within a boot slot, which it keeps until
// the services answer.
func (b *boots) powered(ctx context.Context, srv mgmtdata.Server, limit time.Duration, press func(context.Context) error) error {
	release, err := b.Limits.BootSlot(ctx)
	if err != nil {
		return err
	}
	defer release()
	if err := b.within(ctx, startTimeout, press); err != nil {
		return fmt.Errorf("cannot start %s: %v", srv.Host, err)
	}
	return b.awaitServices(ctx, srv, limit)
}

// startTimeout bounds a start or a reset: the hypervisor may have to read a
// disk first.
const startTimeout = 15 * time.Second

// resetFenced reboots a server whose agent stayed silent behind a fence, ours or
// one that a dbss may have left, and lifts it: a guest that boots has no VIP.
func (b *boots) resetFenced(ctx context.Context, g cluster.Guest, ours bool) error {
	if err := b.Fleet.Reset(ctx, g); err != nil {
		return err
	}
	if err := b.Fleet.SetLink(ctx, g, true); err != nil {
		return err
	}
	if ours {
		b.log(ctx).Info().Str("server", g.Host).Msg(MsgUnfenced)
	}
	return nil
}

// resumeClean resumes a paused server behind a fence, because it still has the
// VIPs it had, and takes them off before the fence is lifted.
func (b *boots) resumeClean(ctx context.Context, g cluster.Guest) error {
	if err := b.link(ctx, g, false); err != nil {
		return fmt.Errorf("cannot fence %s: %v", g.Host, err)
	}
	if err := b.quick(ctx, func(ctx context.Context) error { return b.Fleet.Resume(ctx, g) }); err != nil {
		return fmt.Errorf("cannot resume %s: %v", g.Host, err)
	}
	return b.clean(ctx, g, cluster.CallLimit)
}

// unfenced lifts our fence before a server whose agent was silent, if that answers
// before it has been silent for that long.
func (b *boots) unfenced(ctx context.Context, g cluster.Guest, silence time.Duration) error {
	err := b.clean(ctx, g, silence)
	if err == nil {
		b.log(ctx).Info().Str("server", g.Host).Msg(MsgUnfenced)
	}
	return err
}

// clean takes the VIPs off a server behind a fence and lifts the fence, until its
// agent has been silent for that long.
func (b *boots) clean(ctx context.Context, g cluster.Guest, silence time.Duration) error {
	ctx, cancel := b.Clock.Timeout(ctx, b.Settings.DBSS.RecoverDeadline.D())
	defer cancel()
	for heard := b.Clock.Now(); ; {
		addrs, err := b.addrsWithin(ctx, g, b.beat())
		if err == nil {
			err = b.lift(ctx, g, b.placementOf(b.files.Load().Reply).stale(g.Host, addrs))
			heard = b.Clock.Now()
		}
		if err == nil || b.Clock.Since(heard) >= silence || b.Clock.Sleep(ctx, retryAgent) != nil {
			return err
		}
	}
}

// lift takes off what g must not have, and lifts its fence.
func (b *boots) lift(ctx context.Context, g cluster.Guest, stale []netip.Addr) error {
	if err := b.takeOff(ctx, g, stale); err != nil {
		return fmt.Errorf("cannot strip %s: %w", g.Host, err)
	}
	return b.link(ctx, g, true)
}

// guestState asks until the hypervisor says something of g, for some seconds.
func (s *senses) guestState(ctx context.Context, g cluster.Guest) (state cluster.GuestState, err error) {
	ctx, cancel := s.Clock.Timeout(ctx, hypervisorGrace)
	defer cancel()
	for {
		state, err = s.lookAt(ctx, g)
		if err == nil || s.Clock.Sleep(ctx, retryAgent) != nil {
			return state, err
		}
	}
}

// lookAt is guestState without its patience.
func (s *senses) lookAt(ctx context.Context, g cluster.Guest) (state cluster.GuestState, err error) {
	err = s.quick(ctx, func(ctx context.Context) (err error) {
		state, err = s.Fleet.GuestState(ctx, g)
		return err
	})
	return state, err
}

// awaitServices waits until the server answers pings and each of its daemons
// its protocol, for at most limit.
func (s *senses) awaitServices(ctx context.Context, srv mgmtdata.Server, limit time.Duration) error {
	ctx, cancel := s.Clock.Timeout(ctx, limit)
	defer cancel()
	for {
		err := s.answers(ctx, srv)
		if err == nil {
			return nil
		}
		if s.Clock.Sleep(ctx, retryAgent) != nil {
			return fmt.Errorf("cannot reach the services of %s: %v", srv.Host, err)
		}
	}
}

// answers asks the server, all its daemons and its agent once: what does not
// obey can be given no VIP.
func (s *senses) answers(ctx context.Context, srv mgmtdata.Server) error {
	if err := s.ping(ctx, srv.IP); err != nil {
		return err
	}
	ctx, cancel := s.limit(ctx, s.Settings.DBSS.GreetTimeout.D())
	defer cancel()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { _, err := s.Fleet.Addrs(ctx, s.guest(srv.Host)); return err })
	for _, daemon := range srv.Daemons {
		g.Go(func() error { return s.Fleet.Greet(ctx, srv.IP, daemon) })
	}
	return g.Wait()
}

// guard cancels the work on the servers of a host that falls silent again. One
// that was silent for a moment is stripped: its servers' monitors may have taken
// over meanwhile.
func (d *DSRS) guard(ctx context.Context, cancel context.CancelFunc, lost *atomic.Bool) {
	for silent := 0; ctx.Err() == nil; {
		err := d.pingFor(ctx, d.Settings.DSRS.PingTimeout.D())
		if err != nil {
			if silent++; ctx.Err() == nil && silent >= d.Settings.DSRS.ReexamineCount {
				lost.Store(true)
				cancel()
				return
			}
			continue
		}
		if silent > 0 {
			d.stripAnswering(ctx)
		}
		silent, d.sound = 0, d.Clock.Now()
		_ = d.Clock.Sleep(ctx, time.Second)
	}
}
