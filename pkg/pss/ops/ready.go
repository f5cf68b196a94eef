package ops

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/edits"
	"pss-msbs/pkg/ipc"
	"pss-msbs/pkg/pss/retry"
	"pss-msbs/pkg/watch"
)

// Ready is a receiver whose services answer. Its clock, which stood still while
// it was saved or asleep, is being set: that must be done before it gets a VIP.
type Ready struct {
	done   chan struct{}
	err    error
	cancel context.CancelFunc
}

// Wait waits until the clock is set; a nil Ready had nothing to set.
func (r *Ready) Wait(ctx context.Context) error {
	if r == nil {
		return nil
	}
	select {
	case <-r.done:
		return r.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close ends the setting of the clock, if it still lasts, and waits for that.
func (r *Ready) Close() {
	if r != nil {
		r.cancel()
		<-r.done
	}
}

// Ready makes a receiver fit to take a VIP: running, services answering (make
// before break). One in access stop that hangs is booted again, unless its real server
// is only too busy: nobody else looks after it. The caller must Close the answer.
func (h *Ops) Ready(ctx context.Context, g cluster.Guest, group string) (*Ready, error) {
	long, cancel := h.Clock.Timeout(ctx, h.Settings.PSS.SpareDeadline.D())
	defer cancel()
	long, end := h.whileActive(long, g.Real)
	defer end()
	if err := errors.Join(h.up(long, g, h.Slot), h.rejoin(long, g), h.shake(long, g, group)); err != nil {
		return nil, fmt.Errorf("cannot make %s ready: %w", g.Host, errors.Join(err, out(long)))
	}
	r, err := h.answering(ctx, g, group)
	if err != nil && ctx.Err() == nil && !errors.Is(err, edits.ErrStale) && h.discardable(ctx, g) == nil {
		err = errors.Join(err, h.Discard(ctx, g)) // the next try boots it
	}
	return r, err
}

// rejoin ends the moves that name a server, which may have been cut off for one.
func (h *Ops) rejoin(ctx context.Context, g cluster.Guest) error {
	marks, err := h.Moving.All()
	marks = slices.DeleteFunc(marks, func(m ipc.Move) bool { return !m.Names(g.Host) })
	if err != nil || len(marks) == 0 {
		return err
	}
	t, err := h.Files.View(ctx)
	if err != nil {
		return err
	}
	for _, m := range marks {
		if _, err := h.Finish(ctx, t, m); err != nil {
			h.Log.Warn().Str("server", g.Host).Err(err).Msg("receiver may still be cut off")
		}
	}
	return ctx.Err()
}

// shake boots a server again that runs, serves nothing, and does not answer.
func (h *Ops) shake(ctx context.Context, g cluster.Guest, group string) error {
	if st, err := h.stateOf(ctx, g); err != nil || st != cluster.GuestRunning {
		return err
	}
	short, cancel := h.Clock.Timeout(ctx, h.Settings.PSS.StepDeadline.D())
	defer cancel()
	err := retry.Until(short, h.Clock, func(ctx context.Context) error { return h.Greets(ctx, g, group) })
	if err == nil || ctx.Err() != nil || h.discardable(ctx, g) != nil {
		return nil
	}
	h.Log.Warn().Str("server", g.Host).Err(err).Msg("server in access stop hangs, booted again")
	if err := h.Discard(ctx, g); err != nil {
		return err
	}
	return h.boot(ctx, g, h.Slot)
}

// discardable is nil where a server that does not answer may be destroyed: it is no
// monitor's matter, for it neither serves nor is being recovered, and it is not slow only
// because its real server has no time to spare, which its next boot would take from others.
func (h *Ops) discardable(ctx context.Context, g cluster.Guest) error {
	if err := h.idle(ctx, g.Host); err != nil {
		return err
	}
	room := watch.RoomBy(h.Settings, cluster.Work{}, func(ctx context.Context) (cluster.Work, error) {
		ctx, cancel := h.Clock.Timeout(ctx, cluster.CallLimit)
		defer cancel()
		return h.Fleet.Work(ctx, g)
	})
	return room.Await(ctx, h.Clock)
}

// answering waits until the services of g greet, while its clock is being set.
func (h *Ops) answering(ctx context.Context, g cluster.Guest, group string) (*Ready, error) {
	r := &Ready{done: make(chan struct{})}
	ctx, r.cancel = h.Clock.Timeout(ctx, h.Settings.PSS.SpareDeadline.D())
	go func() {
		defer close(r.done)
		r.err = retry.Until(ctx, h.Clock, func(ctx context.Context) error { return h.Fleet.SetClock(ctx, g) })
	}()
	active, end := h.whileActive(ctx, g.Real)
	defer end()
	if err := retry.Until(active, h.Clock, func(ctx context.Context) error { return h.Greets(ctx, g, group) }); err != nil {
		r.Close()
		return nil, fmt.Errorf("cannot make %s ready: %w", g.Host, errors.Join(err, out(active)))
	}
	return r, nil
}

// rowPoll is how often it is asked whether a real server is still in use.
const rowPoll = time.Second

// whileActive is ctx until real is out: its dsrs found it dead, and whoever
// waits for an answer from there would keep the whole shift waiting.
func (h *Ops) whileActive(ctx context.Context, real netip.Addr) (active context.Context, end func()) {
	active, cancel := context.WithCancelCause(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for h.Clock.Sleep(active, rowPoll) == nil {
			if t, err := h.Rescue.View(active); err == nil && !t.IsActive(real) {
				cancel(fmt.Errorf("%w: %v is no active real server", edits.ErrStale, real))
			}
		}
	}()
	return active, func() {
		cancel(context.Canceled)
		<-ended
	}
}

// out is why a context of whileActive ended, where the real server was out.
func out(ctx context.Context) error {
	if err := context.Cause(ctx); errors.Is(err, edits.ErrStale) {
		return err
	}
	return nil
}

// slots waits for a boot slot.
type slots func(ctx context.Context) (release func(), err error)

// up has g run. One that is off boots within the boot slots: the slot is given
// back once its agent answers.
func (h *Ops) up(ctx context.Context, g cluster.Guest, slot slots) error {
	st, err := h.quietState(ctx, g)
	switch {
	case err != nil:
		return err
	case st == cluster.GuestPaused:
		return h.whereAwake(ctx, g, h.Fleet.Resume)
	case st == cluster.GuestSaved:
		return h.restore(ctx, g)
	case st.Dead():
		return h.boot(ctx, g, slot)
	}
	return nil
}

// boot starts g and waits until its agent answers, holding a boot slot: not
// on a real server that has fallen silent, whose recovery needs the slot, and
// not for a server that stays off. A start whose answer did not come in time may
// come true yet.
func (h *Ops) boot(ctx context.Context, g cluster.Guest, slot slots) error {
	release, err := slot(ctx)
	if err != nil {
		return err
	}
	defer release()
	if err := h.start(ctx, g); err != nil && !errors.Is(err, cluster.ErrHostSilent) {
		return err
	}
	ctx, giveUp := context.WithCancel(ctx)
	defer giveUp()
	silent, ran := 0, h.Clock.Now()
	return retry.Booted(ctx, h.Clock, func(ctx context.Context) error {
		err := h.Fleet.SetClock(ctx, g)
		if err == nil {
			return nil
		}
		if silent++; !errors.Is(err, cluster.ErrHostSilent) {
			silent = 0
		}
		if st, serr := h.stateOf(ctx, g); serr != nil || !st.Dead() {
			ran = h.Clock.Now()
		}
		if silent == silentLooks || h.Clock.Since(ran) > h.Settings.PSS.StepDeadline.D() {
			giveUp()
		}
		return err
	})
}

// start starts g under the lock, where the files have its real server awake:
// it may have been put to sleep while g waited for its slot.
func (h *Ops) start(ctx context.Context, g cluster.Guest) error {
	held, err := h.Rescue.Hold(ctx)
	if err != nil {
		return err
	}
	defer held.Close()
	if !held.Tables().IsActive(g.Real) {
		return fmt.Errorf("%w: %v is no active real server", edits.ErrStale, g.Real)
	}
	ctx, cancel := h.Clock.Timeout(ctx, lockTime)
	defer cancel()
	return h.recorded(ctx, g, h.Fleet.Start)
}

// Create brings a spare that no row uses to rest: booted on g.Real where it
// does not run yet, and saved once its services have answered. One that does
// not get so far is thrown away.
func (h *Ops) Create(ctx context.Context, g cluster.Guest, group string) error {
	begun := h.Clock.Now()
	long, cancel := h.Clock.Timeout(ctx, h.Settings.DBSS.RecoverDeadline.D())
	defer cancel()
	if err := h.born(long, g, group); err != nil {
		if ctx.Err() == nil {
			err = errors.Join(err, h.Discard(ctx, g))
		}
		return fmt.Errorf("cannot create spare %s: %w", g.Host, err)
	}
	saved, err := h.Rest(ctx, g, group)
	if err != nil {
		return fmt.Errorf("cannot save spare %s: %w", g.Host, err)
	}
	if !saved {
		return nil // said
	}
	h.Log.Info().Str("job", "bg").Str("spare", g.Host).Stringer("real", g.Real).Stringer("took", h.Took(begun)).
		Msg("spare server created and saved")
	return nil
}

func (h *Ops) born(ctx context.Context, g cluster.Guest, group string) error {
	if err := h.up(ctx, g, h.Spare); err != nil {
		return err
	}
	return retry.Until(ctx, h.Clock, func(ctx context.Context) error { return h.Greets(ctx, g, group) })
}

func (h *Ops) stateOf(ctx context.Context, g cluster.Guest) (cluster.GuestState, error) {
	ctx, cancel := h.Clock.Timeout(ctx, cluster.CallLimit)
	defer cancel()
	return h.Fleet.GuestState(ctx, g)
}

// quietState is stateOf once no older job of the hypervisor can change it: what was
// told to run may do so after it was found saved.
func (h *Ops) quietState(ctx context.Context, g cluster.Guest) (cluster.GuestState, error) {
	quiet, cancel := h.Clock.Timeout(ctx, quietTime)
	defer cancel()
	if err := h.Fleet.Quiet(quiet, g); err != nil {
		return "", err
	}
	return h.stateOf(ctx, g)
}

// Greets is nil when every daemon of g answers its protocol at the own IP.
func (h *Ops) Greets(ctx context.Context, g cluster.Guest, group string) error {
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
