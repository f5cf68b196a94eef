package dsrs

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/mgmtdata"
)

// boot brings a server of line 4 up, without any VIP, and returns once its
// services answer.
func (d *DSRS) boot(ctx context.Context, srv mgmtdata.Server, fenced bool) error {
	g := d.guest(srv.Host)
	began := d.Clock.Now()
	state, err := d.guestState(ctx, g)
	if err != nil {
		return err
	}
	d.log(ctx).Info().Str("server", srv.Host).Str("state", string(state)).Msg(MsgStart)
	if err := d.bootFrom(ctx, srv, g, state, fenced); err != nil {
		return err
	}
	d.log(ctx).Info().Str("server", srv.Host).Str("took", d.since(began)).Msg(MsgServerUp)
	return nil
}

// bootFrom does what a guest in state needs until it answers. A boot that takes
// a third of the time it may take hangs, as for a dbss, and is reset.
func (d *DSRS) bootFrom(ctx context.Context, srv mgmtdata.Server, g cluster.Guest, state cluster.GuestState, fenced bool) error {
	limit := d.Settings.DBSS.RecoverDeadline.D()
	switch {
	case fenced && state != cluster.GuestPaused && !state.Dead():
		return d.reset(ctx, srv, limit, true)
	case state.Dead() || state == cluster.GuestSaved:
		err := d.powered(ctx, srv, limit/3, func(ctx context.Context) error { return d.Fleet.Start(ctx, g) })
		if err == nil || ctx.Err() != nil || !d.booting(ctx, g) {
			return err
		}
		return d.reset(ctx, srv, limit, false)
	case state == cluster.GuestPaused:
		if err := d.resumeClean(ctx, g); err != nil {
			return err
		}
	case state == cluster.GuestBooting:
		if d.awaitServices(ctx, srv, limit/3) == nil {
			return nil
		}
		return d.reset(ctx, srv, limit, false)
	}
	d.linkUp(ctx, g)
	// It ran on while the host was silent: its clock may stand wrong, and it
	// may be frozen.
	if d.awaitServices(ctx, srv, d.Settings.DBSS.FreezeDeadline.D()) == nil {
		_ = d.quick(ctx, func(ctx context.Context) error { return d.Fleet.SetClock(ctx, g) })
		return nil
	}
	return d.reset(ctx, srv, limit, false)
}

// booting reports whether g has begun to boot and has not come up: it hangs.
func (d *DSRS) booting(ctx context.Context, g cluster.Guest) bool {
	state, err := d.guestState(ctx, g)
	return err == nil && !state.Dead()
}

// linkUp lifts the fence that a dbss may have left on a server before it ended,
// if no VIP is behind it.
func (d *DSRS) linkUp(ctx context.Context, g cluster.Guest) {
	addrs, err := d.addrsWithin(ctx, g, d.beat())
	if err == nil && len(d.placementOf(*d.files.Load()).stale(g.Host, addrs)) == 0 {
		_ = d.link(ctx, g, true)
	}
}

// powered starts or resets a server within a boot slot, which it keeps until
// the services answer.
func (d *DSRS) powered(ctx context.Context, srv mgmtdata.Server, limit time.Duration, press func(context.Context) error) error {
	release, err := d.Limits.BootSlot(ctx)
	if err != nil {
		return err
	}
	defer release()
	if err := d.within(ctx, startTimeout, press); err != nil {
		return fmt.Errorf("cannot start %s: %v", srv.Host, err)
	}
	return d.awaitServices(ctx, srv, limit)
}

// startTimeout bounds a start or a reset: the hypervisor may have to read a
// disk first.
const startTimeout = 15 * time.Second

// resetFenced reboots a server whose agent stayed silent behind a fence, ours or
// one that a dbss may have left, and lifts it: a guest that boots has no VIP.
func (d *DSRS) resetFenced(ctx context.Context, g cluster.Guest, ours bool) error {
	if err := d.Fleet.Reset(ctx, g); err != nil {
		return err
	}
	if err := d.Fleet.SetLink(ctx, g, true); err != nil {
		return err
	}
	if ours {
		d.log(ctx).Info().Str("server", g.Host).Msg(MsgUnfenced)
	}
	return nil
}

// resumeClean resumes a paused server behind a fence, because it still has the
// VIPs it had, and takes them off before the fence is lifted.
func (d *DSRS) resumeClean(ctx context.Context, g cluster.Guest) error {
	if err := d.link(ctx, g, false); err != nil {
		return fmt.Errorf("cannot fence %s: %v", g.Host, err)
	}
	if err := d.quick(ctx, func(ctx context.Context) error { return d.Fleet.Resume(ctx, g) }); err != nil {
		return fmt.Errorf("cannot resume %s: %v", g.Host, err)
	}
	addrs, err := d.addrsWithin(ctx, g, callTimeout)
	if err != nil {
		return fmt.Errorf("cannot strip %s: %v", g.Host, err)
	}
	for _, vip := range d.placementOf(*d.files.Load()).stale(g.Host, addrs) {
		if err := d.quick(ctx, func(ctx context.Context) error { return d.Fleet.DelVIP(ctx, g, vip) }); err != nil {
			return fmt.Errorf("cannot strip %s: %v", g.Host, err)
		}
	}
	return d.link(ctx, g, true)
}

// guestState asks until the hypervisor says something of g, for some seconds.
func (d *DSRS) guestState(ctx context.Context, g cluster.Guest) (state cluster.GuestState, err error) {
	ctx, cancel := d.Clock.Timeout(ctx, hypervisorGrace)
	defer cancel()
	for {
		state, err = d.lookAt(ctx, g)
		if err == nil || d.Clock.Sleep(ctx, retryAgent) != nil {
			return state, err
		}
	}
}

// lookAt is guestState without its patience.
func (d *DSRS) lookAt(ctx context.Context, g cluster.Guest) (state cluster.GuestState, err error) {
	err = d.quick(ctx, func(ctx context.Context) (err error) {
		state, err = d.Fleet.GuestState(ctx, g)
		return err
	})
	return state, err
}

// awaitServices waits until the server answers pings and each of its daemons
// its protocol, for at most limit.
func (d *DSRS) awaitServices(ctx context.Context, srv mgmtdata.Server, limit time.Duration) error {
	ctx, cancel := d.Clock.Timeout(ctx, limit)
	defer cancel()
	for {
		err := d.answers(ctx, srv)
		if err == nil {
			return nil
		}
		if d.Clock.Sleep(ctx, retryAgent) != nil {
			return fmt.Errorf("cannot reach the services of %s: %v", srv.Host, err)
		}
	}
}

// answers asks the server, all its daemons and its agent once: what does not
// obey can be given no VIP.
func (d *DSRS) answers(ctx context.Context, srv mgmtdata.Server) error {
	if err := d.ping(ctx, srv.IP); err != nil {
		return err
	}
	ctx, cancel := d.limit(ctx, d.Settings.DBSS.GreetTimeout.D())
	defer cancel()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { _, err := d.Fleet.Addrs(ctx, d.guest(srv.Host)); return err })
	for _, daemon := range srv.Daemons {
		g.Go(func() error { return d.Fleet.Greet(ctx, srv.IP, daemon) })
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
		silent = 0
		_ = d.Clock.Sleep(ctx, time.Second)
	}
}
