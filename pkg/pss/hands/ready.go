package hands

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"pss-msbs/pkg/cluster"
)

// Ready makes a receiver fit to take a VIP: running, clock set, services
// answering (make before break).
func (h *Hands) Ready(ctx context.Context, g cluster.Guest, group string) error {
	ctx, cancel := h.Clock.Timeout(ctx, h.Settings.PSS.SpareDeadline.D())
	defer cancel()
	if err := h.ready(ctx, g, group); err != nil {
		return fmt.Errorf("cannot make %s ready: %w", g.Host, err)
	}
	return nil
}

// ready starts or resumes g, holding a boot slot for as long as it boots.
func (h *Hands) ready(ctx context.Context, g cluster.Guest, group string) error {
	st, err := h.stateOf(ctx, g)
	switch {
	case err != nil:
		return err
	case st == cluster.GuestPaused:
		err = h.Fleet.Resume(ctx, g)
	case st == cluster.GuestSaved:
		err = h.Fleet.Restore(ctx, g)
	case st.Dead():
		release, serr := h.Slot(ctx)
		if serr != nil {
			return serr
		}
		defer release()
		err = h.Fleet.Start(ctx, g)
	}
	if err != nil {
		return err
	}
	return h.answering(ctx, g, group)
}

// Create brings a spare that no row uses to rest: booted on g.Real where it
// does not run yet, and saved once its services have answered. One that does
// not get so far is thrown away.
func (h *Hands) Create(ctx context.Context, g cluster.Guest, group string) error {
	begun := h.Clock.Now()
	long, cancel := h.Clock.Timeout(ctx, h.Settings.DBSS.RecoverDeadline.D())
	defer cancel()
	if err := h.ready(long, g, group); err != nil {
		if ctx.Err() == nil {
			err = errors.Join(err, h.Discard(ctx, g))
		}
		return fmt.Errorf("cannot create spare %s: %w", g.Host, err)
	}
	if err := h.Rest(ctx, g, group); err != nil {
		return fmt.Errorf("cannot save spare %s: %w", g.Host, err)
	}
	h.Log.Info().Str("job", "bg").Str("spare", g.Host).Stringer("real", g.Real).Stringer("took", h.Took(begun)).
		Msg("spare server created and saved")
	return nil
}

func (h *Hands) stateOf(ctx context.Context, g cluster.Guest) (cluster.GuestState, error) {
	ctx, cancel := h.Clock.Timeout(ctx, callTime)
	defer cancel()
	return h.Fleet.GuestState(ctx, g)
}

// answering sets the clock of g, which stood still while it was saved, and
// waits until its services greet, both tried until ctx ends.
func (h *Hands) answering(ctx context.Context, g cluster.Guest, group string) error {
	e, ctx := errgroup.WithContext(ctx)
	e.Go(func() error {
		return h.until(ctx, func(ctx context.Context) error { return h.Fleet.SetClock(ctx, g) })
	})
	e.Go(func() error {
		return h.until(ctx, func(ctx context.Context) error { return h.Greets(ctx, g, group) })
	})
	return e.Wait()
}

// Greets is nil when every daemon of g answers its protocol at the own IP.
func (h *Hands) Greets(ctx context.Context, g cluster.Guest, group string) error {
	daemons := h.Data().Daemons(g.Host, group)
	if len(daemons) == 0 {
		return h.Fleet.Ping(ctx, g.IP)
	}
	e, ctx := errgroup.WithContext(ctx)
	for _, d := range daemons {
		e.Go(func() error { return h.Fleet.Greet(ctx, g.IP, d) })
	}
	return e.Wait()
}

// until repeats one call until it succeeds; the error is that of the last
// attempt that ended by itself. An attempt gets twice the time of the one
// before, up to callTime: one that began just before the other side came up
// must not hide that it is up, nor may a slow answer never be waited for.
func (h *Hands) until(ctx context.Context, call func(context.Context) error) error {
	last, patience := error(nil), pingTime
	err := h.Clock.Poll(ctx, pollTime, func() bool {
		one, cancel := h.Clock.Timeout(ctx, patience)
		defer cancel()
		patience = min(2*patience, callTime)
		err := call(one)
		if err == nil || ctx.Err() == nil || last == nil {
			last = err
		}
		return err == nil
	})
	if err != nil && last != nil {
		return last
	}
	return err
}

// detached is a context for undoing: it outlives ctx by at most d.
func (h *Hands) detached(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	return h.Clock.Timeout(context.WithoutCancel(ctx), d)
}
