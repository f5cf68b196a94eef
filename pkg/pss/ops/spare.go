package ops

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/edits"
)

// ErrNotCreated says that a spare has no saved image yet: it is being created.
var ErrNotCreated = errors.New("the spare is not created yet")

// ErrSpent says that a spare failed: it is thrown away before it serves again.
var ErrSpent = errors.New("the spare failed and is thrown away first")

// StartSpare brings a spare up on real; it returns once its services answer.
// The caller must Close the answer, and has Watch run beside this.
func (h *Ops) StartSpare(ctx context.Context, s cluster.SpareRow, real netip.Addr) (*Ready, error) {
	begun := h.Clock.Now()
	if err := h.spent(s.Host); err != nil {
		return nil, fmt.Errorf("cannot start spare %s: %w", s.Host, err)
	}
	h.Log.Info().Str("spare", s.Host).Stringer("real", real).Msg("spare server start")
	ready, err := h.bringUp(ctx, cluster.Guest{Host: s.Host, IP: s.IP, Real: real}, s.Group)
	if err != nil {
		return nil, fmt.Errorf("cannot start spare %s on %v: %w", s.Host, real, err)
	}
	h.Log.Info().Str("spare", s.Host).Stringer("real", real).
		Stringer("took", h.Took(begun)).Msg("spare server started")
	return ready, nil
}

// spent refuses a spare that failed, although it may run and answer.
func (h *Ops) spent(host string) error {
	abandoned, err := h.Abandoned()
	if err == nil && slices.Contains(abandoned, host) {
		err = ErrSpent
	}
	return err
}

// Watch has a spare monitored by a sif and dbss of its own (paper, Fig. 10(b)).
// vip is what it is about to serve.
func (h *Ops) Watch(ctx context.Context, s cluster.SpareRow, real, vip netip.Addr) error {
	ctx, cancel := h.Clock.Timeout(ctx, h.Settings.PSS.SpareDeadline.D())
	defer cancel()
	return h.Monitors.Ensure(ctx, h.Data().Spare(s, real, vip))
}

// bringUp restores a spare, or takes the one that runs there already.
func (h *Ops) bringUp(ctx context.Context, g cluster.Guest, group string) (*Ready, error) {
	long, cancel := h.Clock.Timeout(ctx, h.Settings.PSS.SpareDeadline.D())
	defer cancel()
	long, end := h.whileActive(long, g.Real)
	defer end()
	err := h.restore(long, g)
	switch {
	case err == nil:
		return h.answering(ctx, g, group)
	case errors.Is(err, edits.ErrStale):
		return nil, err
	}
	switch st, serr := h.stateOf(long, g); {
	case serr != nil:
		return nil, errors.Join(serr, out(long))
	case st.Dead():
		return nil, ErrNotCreated
	case st == cluster.GuestSaved:
		return nil, err // the image is there, restoring it failed
	}
	return h.Ready(ctx, g, group)
}

// StopSpare puts a spare to rest: its VIPs off, saved to shared storage. Its
// sif and dbss end and its access-stop rows go, unless keep says that only its
// real server goes to sleep (PS2).
func (h *Ops) StopSpare(ctx context.Context, s cluster.SpareRow, real netip.Addr, keep bool) error {
	begun := h.Clock.Now()
	if err := h.stopSpare(ctx, s, real, keep); err != nil {
		return fmt.Errorf("cannot stop spare %s: %w", s.Host, err)
	}
	h.Log.Info().Str("spare", s.Host).Stringer("real", real).
		Stringer("took", h.Took(begun)).Msg("spare server stopped")
	return nil
}

func (h *Ops) stopSpare(ctx context.Context, s cluster.SpareRow, real netip.Addr, keep bool) error {
	if err := h.idle(ctx, s.Host); err != nil {
		return err
	}
	if !keep {
		if err := h.Monitors.Stop(ctx, s.Host); err != nil {
			return err
		}
	}
	if _, err := h.Rest(ctx, cluster.Guest{Host: s.Host, IP: s.IP, Real: real}, s.Group); err != nil || keep {
		return err
	}
	return h.Files.Update(ctx, func(t *cluster.Tables) error {
		edits.StopSpare(t, s.Host)
		return nil
	})
}

// idle refuses to stop a server that serves or is in trouble.
func (h *Ops) idle(ctx context.Context, host string) error {
	t, err := h.Files.View(ctx)
	if err != nil {
		return err
	}
	if t.Operation.Has(host) {
		return fmt.Errorf("%w: it serves", edits.ErrStale)
	}
	if t.Separation.Has(host) {
		return edits.ErrRecovery
	}
	return nil
}

// Rest saves a guest without any VIP: a saved guest keeps what it had. One
// whose services do not answer is thrown away instead, since it would come
// back as it is; it is created anew. It returns whether it is saved.
func (h *Ops) Rest(ctx context.Context, g cluster.Guest, group string) (saved bool, err error) {
	st, err := h.quietState(ctx, g)
	if err != nil || st == cluster.GuestSaved || st.Dead() {
		return st == cluster.GuestSaved, err
	}
	quick, cancel := h.Clock.Timeout(ctx, cluster.CallLimit)
	defer cancel()
	if err := errors.Join(h.strip(quick, g), h.Greets(quick, g, group)); err != nil {
		if keep := h.discardable(ctx, g); keep != nil || ctx.Err() != nil {
			return false, errors.Join(err, keep)
		}
		h.Log.Warn().Str("spare", g.Host).Err(err).Msg("spare server unhealthy, thrown away")
		return false, h.Discard(ctx, g)
	}
	long, done := h.Clock.Timeout(ctx, h.Settings.PSS.SpareDeadline.D())
	defer done()
	err = h.Fleet.Save(long, g)
	return err == nil, err
}

// Discard destroys a guest.
func (h *Ops) Discard(ctx context.Context, g cluster.Guest) error {
	short, cancel := h.Clock.Timeout(ctx, h.Settings.PSS.StepDeadline.D())
	defer cancel()
	return h.Fleet.Destroy(short, g)
}

// strip takes every VIP of the system off g, which must serve none: where there
// is one, under the exclusive lock.
func (h *Ops) strip(ctx context.Context, g cluster.Guest) error {
	t, err := h.Files.View(ctx)
	if err != nil {
		return err
	}
	addrs, err := h.Fleet.Addrs(ctx, g)
	if err != nil {
		return err
	}
	all := t.VIPs()
	addrs = slices.DeleteFunc(addrs, func(a netip.Addr) bool { return !slices.Contains(all, a) })
	if len(addrs) == 0 {
		return nil
	}
	held, err := h.Files.Hold(ctx)
	if err != nil {
		return err
	}
	defer held.Close()
	if held.Tables().Operation.Has(g.Host) {
		return fmt.Errorf("%w: %s serves", edits.ErrStale, g.Host)
	}
	for _, a := range addrs {
		if err := h.Fleet.DelVIP(ctx, g, a); err != nil {
			return err
		}
	}
	return nil
}
