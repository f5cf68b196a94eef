package pending

import (
	"context"
	"errors"
	"fmt"
	"time"

	"pss-msbs/pkg/cluster"
)

// Job notes the outcome of a job of g's hypervisor, which may still pause it,
// destroy it or cut it off, and passes it on.
func (b *Book) Job(ctx context.Context, g cluster.Guest, err error) error {
	if isUnknown(ctx, err) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.jobs[g.Host] = &entry{guest: g, since: b.clk.Now()}
	}
	return err
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

// Quiet returns once no older job of g's hypervisor can have an effect any more.
func (b *Book) Quiet(ctx context.Context, g cluster.Guest) error {
	for b.busy(g) {
		_, err := b.GuestState(ctx, g)
		if err == nil && b.busy(g) {
			err = b.clk.Sleep(ctx, quietGap)
		}
		if err != nil {
			return fmt.Errorf("%s may still be stopped: %w", g.Host, ErrPending)
		}
	}
	return nil
}

func (b *Book) busy(g cluster.Guest) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.jobs[g.Host]
	return e != nil && e.guest == g
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
