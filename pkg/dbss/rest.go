package dbss

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"

	"pss-msbs/pkg/cluster"
)

// settleTries is how often a backup is asked to rest before it is destroyed
// and created anew.
const settleTries = 5

// settle brings the backup to its rest on the management server: created,
// answered once, without VIP, paused.
func (b *standby) settle(ctx context.Context, all []netip.Addr) error {
	m := b.m
	for try := 1; ; try++ {
		err := b.settleOnce(ctx, all)
		if err != nil && b.paused(ctx) {
			err = nil // dsrs, which had it serve, was quicker
		}
		if err != nil && try%settleTries == 0 { // it obeys no more, and nothing of value is on it
			_ = b.firmly(ctx, func(ctx context.Context) error { return m.fleet.Destroy(ctx, b.home) })
		}
		if err == nil {
			m.calm("backup server cannot be paused")
			b.rested()
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		m.alarm("backup server cannot be paused", err)
		if err := m.clk.Sleep(ctx, m.set.PingInterval.D()); err != nil {
			return err
		}
	}
}

// rested says that the backup is paused, once after each start of it: also of one
// that was called back before it ran.
func (b *standby) rested() {
	if b.woken {
		b.m.log.Info().Str("server", b.home.Host).Msg(MsgBackupPaused)
	}
	b.woken = false
}

func (b *standby) paused(ctx context.Context) bool {
	ctx, cancel := b.m.guestCall(ctx)
	defer cancel()
	st, err := b.m.fleet.GuestState(ctx, b.home)
	return err == nil && st == cluster.GuestPaused
}

func (b *standby) settleOnce(ctx context.Context, all []netip.Addr) error {
	m, g := b.m, b.home
	if err := b.endMonitor(ctx, g.Host); err != nil {
		return err
	}
	if err := b.evict(ctx, g); err != nil {
		return err
	}
	cctx, cancel := m.clk.Timeout(ctx, slowTimeout)
	defer cancel()
	if b.spoilt {
		if err := m.fleet.Destroy(cctx, g); err != nil {
			return err
		}
		b.spoilt = false
	}
	st, err := m.fleet.GuestState(cctx, g)
	switch {
	case err != nil:
		return err
	case st == cluster.GuestPaused:
		return nil
	case st.Dead() || st == cluster.GuestSaved:
		if err := b.create(ctx, g); err != nil {
			return err
		}
	case st == cluster.GuestBooting:
		if err := b.awaitAnswer(ctx, g); err != nil {
			return err
		}
	}
	return b.pause(ctx, g, all)
}

// endMonitor ends the backup's own monitor, left over from a hand-over.
func (b *standby) endMonitor(ctx context.Context, host string) error {
	ctx, cancel := context.WithTimeout(ctx, max(b.m.clk.Wall(slowTimeout), startFloor))
	defer cancel()
	return b.m.opt.Monitors.Stop(ctx, host)
}

// create boots the backup within the boot slots and waits for its services.
func (b *standby) create(ctx context.Context, g cluster.Guest) error {
	release, err := b.m.opt.BootSlot(ctx)
	if err != nil {
		return err
	}
	defer release()
	if err := b.start(ctx, g); err != nil {
		return err
	}
	return b.awaitAnswer(ctx, g)
}

// start boots the backup at g unless it runs elsewhere: two of one server
// would ruin its disk.
func (b *standby) start(ctx context.Context, g cluster.Guest) error {
	if err := b.evict(ctx, g); err != nil {
		return err
	}
	var hunting sync.WaitGroup
	hunting.Go(func() { b.hunt(ctx, g) }) // whoever moved it was killed, or its own monitor boots it there
	answered := b.m.ping(ctx, g.IP) == nil
	hunting.Wait()
	if answered && b.m.ping(ctx, g.IP) == nil {
		return fmt.Errorf("%s answers although %s does not run it", g.Host, g.Real)
	}
	return b.firmly(ctx, func(ctx context.Context) error { return b.m.fleet.Start(ctx, g) })
}

// hunt destroys the backup wherever else it runs or boots. Nobody waits long for
// a real server that does not say.
func (b *standby) hunt(ctx context.Context, g cluster.Guest) {
	_ = each(b.reals, func(real netip.Addr) error {
		look, cancel := b.m.clk.Timeout(ctx, b.m.set.PingTimeout.D())
		defer cancel()
		st, err := b.m.fleet.GuestState(look, g.On(real))
		if err != nil || real == g.Real || st.Dead() {
			return err
		}
		ctx, cancel := b.m.guestCall(ctx)
		defer cancel()
		return b.m.fleet.Destroy(ctx, g.On(real))
	})
}

// evict destroys the backup where it was left behind.
func (b *standby) evict(ctx context.Context, g cluster.Guest) error {
	if !b.left.IsValid() || b.left == g.Real {
		return nil
	}
	ctx, cancel := b.m.guestCall(ctx)
	defer cancel()
	if err := b.m.fleet.Destroy(ctx, g.On(b.left)); err != nil {
		return err
	}
	b.left = netip.Addr{}
	return nil
}

// awaitAnswer waits until the backup answers, or does not run any more: somebody
// destroyed it, or it died.
func (b *standby) awaitAnswer(ctx context.Context, g cluster.Guest) error {
	long, cancel := b.m.clk.Timeout(ctx, b.m.set.RecoverDeadline.D())
	defer cancel()
	var dead error
	err := b.m.clk.Poll(long, b.m.set.PingInterval.D(), func() bool {
		if b.m.answers(long, g.IP) {
			return true
		}
		if st, err := b.m.fleet.GuestState(long, g); err == nil && st.Dead() {
			dead = fmt.Errorf("%s is %s", g.Host, st)
		}
		return dead != nil
	})
	if dead == nil && err != nil && ctx.Err() == nil {
		b.spoilt = true // its boot hangs
	}
	return cmp.Or(dead, err)
}

// pause strips first: a paused server keeps what it had and would answer for
// it the moment it is resumed. One whose agent is too slow to say is cut off
// instead: it runs for nothing and makes all others slower, and who resumes it
// strips it before its link is up again.
func (b *standby) pause(ctx context.Context, g cluster.Guest, all []netip.Addr) error {
	sctx, cancel := b.m.guestCall(ctx)
	defer cancel()
	err := b.m.strip(sctx, g, all)
	if errors.Is(err, cluster.ErrAgentSilent) || errors.Is(err, context.DeadlineExceeded) {
		err = b.firmly(ctx, func(ctx context.Context) error { return b.m.fleet.SetLink(ctx, g, false) })
	}
	if err != nil {
		return err
	}
	err = b.firmly(ctx, func(ctx context.Context) error { return b.m.fleet.Pause(ctx, g) })
	b.woken = b.woken || err == nil // one that was made anew is told of, too
	return err
}
