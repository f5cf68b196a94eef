package hands

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"pss-msbs/pkg/cluster"
)

// ErrUnproved says that a real server missed its last wake and has not
// answered since, so it may not sleep.
var ErrUnproved = errors.New("its last wake failed and it has not answered since")

// Suspend puts a real server to sleep, file before sleep: its row goes to
// suspension-real first, so that its dsrs sees no trouble, and comes back if
// the suspend fails.
func (h *Hands) Suspend(ctx context.Context, real netip.Addr) error {
	begun := h.Clock.Now()
	if !h.Wakes.Proved(real) {
		return fmt.Errorf("cannot suspend %v: %w", real, ErrUnproved)
	}
	if err := h.rowToSleep(ctx, real); err != nil {
		return fmt.Errorf("cannot suspend %v: %w", real, err)
	}
	if err := h.sleep(ctx, real); err != nil {
		back, cancel := h.detached(ctx, h.Settings.Lock.Wait.D())
		defer cancel()
		return errors.Join(fmt.Errorf("cannot suspend %v: %w", real, err), h.rowToActive(back, real))
	}
	h.Log.Info().Stringer("real", real).Stringer("took", h.Took(begun)).Msg("real server suspended")
	return nil
}

// SleepAgain puts a real server to sleep that is awake though its row stands in
// suspension-real: pss died between file and sleep, or somebody woke it. One
// that sleeps, or that somebody is waking for us, is left alone.
func (h *Hands) SleepAgain(ctx context.Context, real netip.Addr) (bool, error) {
	lock := h.wakeLock(real)
	if !lock.TryLock() {
		return false, nil
	}
	defer lock.Unlock()
	if h.Awake(ctx, real) != nil {
		return false, nil
	}
	if err := h.stillAsleep(ctx, real); err != nil {
		return false, fmt.Errorf("cannot suspend %v: %w", real, err)
	}
	if err := h.sleep(ctx, real); err != nil {
		return false, fmt.Errorf("cannot suspend %v: %w", real, err)
	}
	return true, nil
}

// stillAsleep re-checks under the lock that the files have real asleep, and
// that nothing there is needed.
func (h *Hands) stillAsleep(ctx context.Context, real netip.Addr) error {
	held, err := h.Files.Hold(ctx)
	if err != nil {
		return err
	}
	defer held.Close()
	short, cancel := h.Clock.Timeout(ctx, lockTime)
	defer cancel()
	t := held.Tables()
	if !slices.ContainsFunc(t.Suspended, func(r cluster.RealRow) bool { return r.IP == real }) {
		return fmt.Errorf("%w: it is not in suspension-real", ErrStale)
	}
	return h.Unneeded(short, t, real)
}

func (h *Hands) wakeLock(real netip.Addr) *sync.Mutex {
	lock, _ := h.waking.LoadOrStore(real, &sync.Mutex{})
	return lock.(*sync.Mutex)
}

// sleep suspends and, whatever the driver said, believes the network: a host
// that no longer answers sleeps.
func (h *Hands) sleep(ctx context.Context, real netip.Addr) error {
	long, cancel := h.detached(ctx, h.Settings.PSS.StepDeadline.D()) // a suspend does not stop halfway because pss does
	defer cancel()
	err := h.Fleet.SuspendReal(long, real)
	if err == nil {
		return nil
	}
	short, done := h.detached(ctx, callTime)
	defer done()
	if h.Fleet.Ping(short, real) != nil {
		return nil
	}
	return err
}

// rowToSleep checks under the lock that nothing on real is needed, and moves
// its row to suspension-real.
func (h *Hands) rowToSleep(ctx context.Context, real netip.Addr) error {
	held, err := h.Files.Hold(ctx)
	if err != nil {
		return err
	}
	defer held.Close()
	short, cancel := h.Clock.Timeout(ctx, lockTime)
	defer cancel()
	if err := h.Unneeded(short, held.Tables(), real); err != nil {
		return err
	}
	return held.Commit(func(t *cluster.Tables) error {
		return moveReal(&t.Real, &t.Suspended, real)
	})
}

// Unneeded is nil when no row of operation or separation names real and
// nothing runs there but servers in access stop.
func (h *Hands) Unneeded(ctx context.Context, t cluster.Tables, real netip.Addr) error {
	if names(t, real) {
		return fmt.Errorf("%w: a server there serves or is being recovered", ErrStale)
	}
	guests, err := h.Fleet.Guests(ctx, real)
	if err != nil {
		return err
	}
	for _, g := range guests {
		up := g.State == cluster.GuestRunning || g.State == cluster.GuestBooting
		if up && len(cluster.RowsOf(t.AccessStop, g.Host)) == 0 {
			return fmt.Errorf("%s runs there", g.Host)
		}
	}
	return nil
}

// Wake wakes a real server (magic packet, several tries), confirms it by ping
// and hypervisor, and only then moves its row back to real-server. A missed
// deadline gives the row back too, so that its dsrs takes over.
func (h *Hands) Wake(ctx context.Context, real netip.Addr) error {
	lock := h.wakeLock(real)
	lock.Lock()
	defer lock.Unlock()
	t, err := h.Files.View(ctx)
	if err != nil {
		return fmt.Errorf("cannot wake %v: %w", real, err)
	}
	i := slices.IndexFunc(t.Suspended, func(r cluster.RealRow) bool { return r.IP == real })
	if i < 0 {
		return nil // somebody else has woken it
	}
	if err := h.wake(ctx, t.Suspended[i]); err != nil {
		return fmt.Errorf("cannot wake %v: %w", real, err)
	}
	return nil
}

func (h *Hands) wake(ctx context.Context, row cluster.RealRow) error {
	begun := h.Clock.Now()
	err := h.rouse(ctx, row)
	if ctx.Err() != nil {
		return ctx.Err() // pss ends: the row stays, and the next start goes on from it
	}
	if err != nil {
		return errors.Join(err, h.missed(ctx, row.IP, err))
	}
	if err := h.rowToActive(ctx, row.IP); err != nil {
		return err
	}
	took := h.Clock.Since(begun)
	h.Log.Info().Stringer("real", row.IP).Stringer("took", took.Round(fine)).Msg("real server woken")
	return h.Wakes.Woke(row.IP, took)
}

// missed remembers first that the real server owes a wake, so that it is not
// slept again even if pss dies here, then gives its row back.
func (h *Hands) missed(ctx context.Context, real netip.Addr, why error) error {
	h.Log.Error().Stringer("real", real).Err(why).Msg("real server does not wake, left to its dsrs")
	return errors.Join(h.Wakes.Missed(real), h.rowToActive(ctx, real))
}

// rouse sends the magic packets, evenly over the deadline, and waits for ping
// and hypervisor.
func (h *Hands) rouse(ctx context.Context, row cluster.RealRow) error {
	deadline, tries := h.Settings.PSS.WakeDeadline.D(), max(h.Settings.PSS.WakeTries, 1)
	for range tries {
		if err := h.Fleet.WakeReal(ctx, row.MAC); err != nil {
			h.Log.Warn().Stringer("real", row.IP).Err(err).Msg("magic packet not sent")
		}
		try, cancel := h.Clock.Timeout(ctx, deadline/time.Duration(2*tries))
		err := h.until(try, func(ctx context.Context) error { return h.Awake(ctx, row.IP) })
		cancel()
		if err == nil || ctx.Err() != nil {
			return err
		}
	}
	last, cancel := h.Clock.Timeout(ctx, deadline/2)
	defer cancel()
	return h.until(last, func(ctx context.Context) error { return h.Awake(ctx, row.IP) })
}

// Awake is nil when a real server answers pings and its hypervisor calls.
func (h *Hands) Awake(ctx context.Context, real netip.Addr) error {
	short, cancel := h.Clock.Timeout(ctx, pingTime)
	defer cancel()
	if err := h.Fleet.Ping(short, real); err != nil {
		return err
	}
	return h.Fleet.HypervisorAlive(ctx, real)
}

func (h *Hands) rowToActive(ctx context.Context, real netip.Addr) error {
	return h.Files.Update(ctx, func(t *cluster.Tables) error {
		return moveReal(&t.Suspended, &t.Real, real)
	})
}

// moveReal moves the row of real from one real file to the other; already
// there is no error.
func moveReal(from, to *[]cluster.RealRow, real netip.Addr) error {
	is := func(r cluster.RealRow) bool { return r.IP == real }
	if slices.ContainsFunc(*to, is) {
		return nil
	}
	i := slices.IndexFunc(*from, is)
	if i < 0 {
		return fmt.Errorf("%w: %v is in neither real file", ErrStale, real)
	}
	row := (*from)[i]
	*from = slices.Delete(slices.Clone(*from), i, i+1)
	*to = append(slices.Clone(*to), row)
	return nil
}
