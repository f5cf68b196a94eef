package pending

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"pss-msbs/pkg/cluster"
)

// Start implements Guests. One of unknown outcome may yet have a second g run.
func (b *Book) Start(ctx context.Context, g cluster.Guest) error {
	return b.job(ctx, g, b.on.Start(ctx, g))
}

// Resume implements Guests; see Start.
func (b *Book) Resume(ctx context.Context, g cluster.Guest) error {
	return b.job(ctx, g, b.on.Resume(ctx, g))
}

// Restore implements Guests; see Start.
func (b *Book) Restore(ctx context.Context, g cluster.Guest) error {
	return b.job(ctx, g, b.on.Restore(ctx, g))
}

// Pause implements Guests. One of unknown outcome may yet stop g.
func (b *Book) Pause(ctx context.Context, g cluster.Guest) error {
	return b.job(ctx, g, b.on.Pause(ctx, g))
}

// Save implements Guests; see Pause.
func (b *Book) Save(ctx context.Context, g cluster.Guest) error {
	return b.job(ctx, g, b.on.Save(ctx, g))
}

// job notes the outcome of a job of g's hypervisor, which may still run it, pause it,
// destroy it or cut it off, and passes it on.
func (b *Book) job(ctx context.Context, g cluster.Guest, err error) error {
	if isUnknown(ctx, err) {
		b.Inherit(g)
	}
	return err
}

// Inherit enters that a job of g's hypervisor may yet have an effect on g: one of
// unknown outcome, also of another program that was killed.
func (b *Book) Inherit(g cluster.Guest) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.jobs[g.Host] = &entry{guest: g, since: b.clk.Now()}
}

// Awaited reports whether a job of unknown outcome may still have an effect on g.
func (b *Book) Awaited(g cluster.Guest) bool {
	_, is := b.busy(g)
	return is
}

// GuestState implements Guests.
func (b *Book) GuestState(ctx context.Context, g cluster.Guest) (cluster.GuestState, error) {
	asked := b.clk.Now()
	state, err := b.on.GuestState(ctx, g)
	b.mu.Lock()
	defer b.mu.Unlock()
	if e := b.jobs[g.Host]; err == nil && e != nil && e.guest == g && e.hear(asked, b.clk.Now()) {
		delete(b.jobs, g.Host)
	}
	return state, err
}

// quietGap is how often the hypervisor is asked while one of its jobs is waited for.
const quietGap = 200 * time.Millisecond

// Quiet returns once no older job of a hypervisor can have an effect on g any more:
// may still stop it, or have it run on another real server, on which it then must not.
func (b *Book) Quiet(ctx context.Context, g cluster.Guest) error {
	for {
		at, busy := b.busy(g)
		if !busy {
			return nil
		}
		state, err := b.stateFor(ctx, g, at)
		if errors.Is(err, errAway) {
			return nil // whoever hears that real server again removes what should not run there
		}
		if err == nil && at != g && !state.Dead() && state != cluster.GuestSaved {
			return fmt.Errorf("%s is %s on %v", g.Host, state, at.Real)
		}
		if _, still := b.busy(g); err == nil && still {
			err = b.clk.Sleep(ctx, quietGap)
		}
		if err != nil {
			return fmt.Errorf("%s may still be stopped, or start on %v: %w", g.Host, at.Real, ErrPending)
		}
	}
}

// errAway says that nobody answers at a real server.
var errAway = errors.New("nobody answers at the real server")

// stateFor is GuestState of at for who waits to use g. Of another real server than
// that of g only what can be heard counts: it may sleep.
func (b *Book) stateFor(ctx context.Context, g, at cluster.Guest) (state cluster.GuestState, err error) {
	if at == g {
		return b.GuestState(ctx, at)
	}
	ctx, giveUp := context.WithCancelCause(ctx)
	var ping sync.WaitGroup
	ping.Go(func() {
		if b.unheard(ctx, at.Real) {
			giveUp(errAway)
		}
	})
	if state, err = b.GuestState(ctx, at); err == nil {
		giveUp(nil)
	}
	ping.Wait()
	giveUp(nil)
	if err != nil && errors.Is(context.Cause(ctx), errAway) {
		err = errAway
	}
	return state, err
}

// busy is where a job for g may still have an effect.
func (b *Book) busy(g cluster.Guest) (at cluster.Guest, is bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if e := b.jobs[g.Host]; e != nil {
		return e.guest, true
	}
	return cluster.Guest{}, false
}

// Settled asks once after the jobs of unknown outcome on a real server, and reports
// whether none of them can come true any more.
func (b *Book) Settled(ctx context.Context, real netip.Addr) bool {
	for _, g := range b.jobsOn(real) {
		_, _ = b.GuestState(ctx, g)
	}
	return len(b.jobsOn(real)) == 0
}

func (b *Book) jobsOn(real netip.Addr) []cluster.Guest {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []cluster.Guest
	for _, e := range b.jobs {
		if e.guest.Real == real {
			out = append(out, e.guest)
		}
	}
	return out
}

// How long a migration of unknown outcome is waited for: as long as one lasts that
// begins late.
const (
	migrationTime = 10 * time.Second
	migrationGap  = 500 * time.Millisecond
)

// Arrives reports whether g, whose migration ended with err, has come to its new real
// server all the same. Where the outcome is not known it waits for that, unless ctx
// has ended.
func (b *Book) Arrives(ctx context.Context, g cluster.Guest, err error) bool {
	ctx, cancel := b.clk.Timeout(ctx, migrationTime)
	defer cancel()
	for errors.Is(err, cluster.ErrUnknown) {
		if b.runsThere(ctx, g) {
			return true
		}
		if b.clk.Sleep(ctx, migrationGap) != nil {
			break
		}
	}
	return false
}

// runsThere asks once, also for a program that ends.
func (b *Book) runsThere(ctx context.Context, g cluster.Guest) bool {
	ctx, cancel := b.clk.Timeout(context.WithoutCancel(ctx), lookTime)
	defer cancel()
	state, err := b.GuestState(ctx, g)
	return err == nil && state == cluster.GuestRunning
}
