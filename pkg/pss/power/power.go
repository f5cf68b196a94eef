// Package power puts real servers to sleep and wakes them (paper, section 2.2;
// SPEC 4, "Execute").
package power

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"pss-msbs/pkg/clock"
	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/edits"
	"pss-msbs/pkg/pss/ops"
	"pss-msbs/pkg/pss/retry"
	"pss-msbs/pkg/settings"
)

// Fleet is what power needs of a fleet driver.
type Fleet interface {
	Ping(ctx context.Context, ip netip.Addr) error
	WhoHas(ctx context.Context, ip netip.Addr) ([]cluster.MAC, error)
	Guests(ctx context.Context, real netip.Addr) ([]cluster.GuestInfo, error)
	HypervisorAlive(ctx context.Context, real netip.Addr) error
	SuspendReal(ctx context.Context, real netip.Addr) error
	WakeReal(ctx context.Context, mac cluster.MAC) error
}

// Wakes is the memory of wakes (wake-IP.json in the state directory).
type Wakes interface {
	Woke(real netip.Addr, took time.Duration) error
	Missed(real netip.Addr) error
	FallsAsleep(real netip.Addr) error
	Asleep(real netip.Addr) error
	// FellAsleep is how long ago a suspend began whose end nobody has seen.
	FellAsleep(real netip.Addr) (ago time.Duration, ok bool)
	// Proved is false from a missed wake until the real server answers again.
	Proved(real netip.Addr) bool
}

// Power does the single steps. Its methods may run in parallel.
type Power struct {
	Fleet    Fleet
	Files    ops.Files
	Clock    clock.Clock
	Settings settings.Settings
	Log      zerolog.Logger
	Wakes    Wakes // which real servers have proved a wake
	// Starting reports whether something is just being started on a real server
	// that neither the files nor its hypervisor show yet; nil: never.
	Starting func(ctx context.Context, real netip.Addr) bool
	// Slot waits for one of the wake slots that all programs share; nil: no limit.
	Slot func(ctx context.Context) (release func(), err error)

	turns sync.Map // netip.Addr -> chan struct{}: one wake or suspend of a real server at a time
}

const (
	lockTime = 3 * time.Second        // one step under the lock
	pingTime = 200 * time.Millisecond // one ping of a host that is about to answer
	fine     = 10 * time.Millisecond  // resolution of durations in the log
)

// ErrUnproved says that a real server missed its last wake and has not
// answered since, so it may not sleep.
var ErrUnproved = errors.New("its last wake failed and it has not answered since")

// Suspend puts a real server to sleep, file before sleep: its row goes to
// suspension-real first, so that its dsrs sees no trouble, and comes back if
// the suspend fails.
func (p *Power) Suspend(ctx context.Context, real netip.Addr) error {
	begun := p.Clock.Now()
	if !p.Wakes.Proved(real) {
		return fmt.Errorf("cannot suspend %v: %w", real, ErrUnproved)
	}
	turn := p.turn(real)
	select {
	case turn <- struct{}{}: // who wants it awake meanwhile waits until it can hear
		defer func() { <-turn }()
	case <-ctx.Done():
		return fmt.Errorf("cannot suspend %v: %w", real, ctx.Err())
	}
	if err := p.rowToSleep(ctx, real); err != nil {
		return fmt.Errorf("cannot suspend %v: %w", real, err)
	}
	if err := p.sleep(ctx, real); err != nil {
		back, cancel := retry.Detached(ctx, p.Clock, p.Settings.Lock.Wait.D())
		defer cancel()
		return errors.Join(fmt.Errorf("cannot suspend %v: %w", real, err), p.rowToActive(back, real))
	}
	p.Log.Info().Stringer("real", real).Stringer("took", p.Clock.Since(begun).Round(fine)).Msg("real server suspended")
	return nil
}

// SleepAgain puts a real server to sleep that is awake though its row stands in
// suspension-real: pss died between file and sleep, or somebody woke it. One
// that sleeps, or that somebody is waking for us, is left alone.
func (p *Power) SleepAgain(ctx context.Context, real netip.Addr) (bool, error) {
	turn := p.turn(real)
	select {
	case turn <- struct{}{}:
		defer func() { <-turn }()
	default:
		return false, nil
	}
	if !p.Wakes.Proved(real) { // pss died, or the files were locked, before its row went back
		return false, p.rowToActive(ctx, real)
	}
	if p.fallsAsleep(real) || !p.Answers(ctx, real) {
		return false, nil
	}
	if err := p.stillAsleep(ctx, real); err != nil {
		return false, fmt.Errorf("cannot suspend %v: %w", real, err)
	}
	if err := p.sleep(ctx, real); err != nil {
		return false, fmt.Errorf("cannot suspend %v: %w", real, err)
	}
	return true, nil
}

// stillAsleep re-checks under the lock that the files have real asleep, and
// that nothing there is needed.
func (p *Power) stillAsleep(ctx context.Context, real netip.Addr) error {
	held, err := p.Files.Hold(ctx)
	if err != nil {
		return err
	}
	defer held.Close()
	short, cancel := p.Clock.Timeout(ctx, lockTime)
	defer cancel()
	t := held.Tables()
	if !t.IsAsleep(real) {
		return fmt.Errorf("%w: it is not in suspension-real", edits.ErrNeeded)
	}
	return p.unneeded(short, t, real)
}

// turn takes one value: who has put it there may wake real or put it to sleep.
// Both last, so the wait for the turn ends with its context.
func (p *Power) turn(real netip.Addr) chan struct{} {
	turn, _ := p.turns.LoadOrStore(real, make(chan struct{}, 1))
	return turn.(chan struct{})
}

// sleep suspends and, whatever the driver said, believes the network: a host
// that no longer answers sleeps.
func (p *Power) sleep(ctx context.Context, real netip.Addr) error {
	long, cancel := retry.Detached(ctx, p.Clock, p.Settings.PSS.StepDeadline.D()) // a suspend does not stop halfway because pss does
	defer cancel()
	if err := p.Wakes.FallsAsleep(real); err != nil {
		return err
	}
	err := p.Fleet.SuspendReal(long, real)
	if err != nil {
		short, done := retry.Detached(ctx, p.Clock, cluster.CallLimit)
		defer done()
		if p.Fleet.Ping(short, real) == nil {
			return err
		}
	}
	return p.Wakes.Asleep(real)
}

// fallsAsleep reports whether real may still be falling asleep by the word of a pss
// before this one: it answers, and soon will not.
func (p *Power) fallsAsleep(real netip.Addr) bool {
	ago, ok := p.Wakes.FellAsleep(real)
	return ok && ago >= 0 && ago < p.Settings.PSS.StepDeadline.D()
}

// afterSleep waits until a real server that may be falling asleep is silent, or
// has had its time: a magic packet would be lost on it.
func (p *Power) afterSleep(ctx context.Context, real netip.Addr) error {
	return p.Clock.Poll(ctx, pingTime, func() bool { return !p.fallsAsleep(real) || !p.Answers(ctx, real) })
}

// rowToSleep checks under the lock that nothing on real is needed, and moves
// its row to suspension-real.
func (p *Power) rowToSleep(ctx context.Context, real netip.Addr) error {
	held, err := p.Files.Hold(ctx)
	if err != nil {
		return err
	}
	defer held.Close()
	short, cancel := p.Clock.Timeout(ctx, lockTime)
	defer cancel()
	if err := p.unneeded(short, held.Tables(), real); err != nil {
		return err
	}
	return held.Commit(func(t *cluster.Tables) error {
		return edits.Sleep(t, real)
	})
}

// unneeded is nil when no row of operation or separation names real and
// nothing runs there but servers in access stop, none of them just coming up.
func (p *Power) unneeded(ctx context.Context, t cluster.Tables, real netip.Addr) error {
	if t.Needs(real) {
		return fmt.Errorf("%w: a server there serves or is being recovered", edits.ErrNeeded)
	}
	if p.Starting != nil && p.Starting(ctx, real) {
		return errors.New("a spare server starts there")
	}
	guests, err := p.Fleet.Guests(ctx, real)
	if err != nil {
		return err
	}
	var idle cluster.Rows
	for _, g := range guests {
		rows := t.AccessStop.Of(g.Host)
		switch {
		case g.State == cluster.GuestBooting:
			return fmt.Errorf("%s is booting there", g.Host)
		case g.State == cluster.GuestRunning && len(rows) == 0:
			return fmt.Errorf("%s runs there", g.Host)
		case g.State == cluster.GuestRunning:
			idle = append(idle, rows[0])
		}
	}
	all, ctx := errgroup.WithContext(ctx)
	for _, r := range idle {
		all.Go(func() error { return p.holdsNothing(ctx, t, r) })
	}
	return all.Wait()
}

// holdsNothing is nil when a server in access stop answers for no VIP of its
// group: it may have one since a move was cut off.
func (p *Power) holdsNothing(ctx context.Context, t cluster.Tables, server cluster.ServerRow) error {
	all, ctx := errgroup.WithContext(ctx)
	var own []cluster.MAC
	all.Go(func() (err error) { own, err = p.Fleet.WhoHas(ctx, server.IP); return err })
	holders := make([][]cluster.MAC, len(t.Operation))
	for i, r := range t.Operation {
		if r.Group == server.Group {
			all.Go(func() (err error) { holders[i], err = p.Fleet.WhoHas(ctx, r.VIP); return err })
		}
	}
	if err := all.Wait(); err != nil {
		return err
	}
	for i, macs := range holders {
		if slices.ContainsFunc(macs, func(m cluster.MAC) bool { return slices.Contains(own, m) }) {
			return fmt.Errorf("%w: %s answers for %v there", edits.ErrNeeded, server.Host, t.Operation[i].VIP)
		}
	}
	return nil
}

// Wake wakes a real server (magic packet, several tries), confirms it by ping
// and hypervisor, and only then moves its row back to real-server. A missed
// deadline gives the row back too, so that its dsrs takes over. It waits for its
// turn where others are being woken.
func (p *Power) Wake(ctx context.Context, real netip.Addr) error {
	if p.Slot != nil {
		release, err := p.Slot(ctx) // before the turn, which a rescue may want
		if err != nil {
			return fmt.Errorf("cannot wake %v: %w", real, err)
		}
		defer release()
	}
	return p.WakeNow(ctx, real)
}

// WakeNow is Wake for a rescue: clients wait, so it waits for nobody else's wake.
func (p *Power) WakeNow(ctx context.Context, real netip.Addr) error {
	turn := p.turn(real)
	select {
	case turn <- struct{}{}:
		defer func() { <-turn }()
	case <-ctx.Done():
		return fmt.Errorf("cannot wake %v: %w", real, ctx.Err())
	}
	t, err := p.Files.View(ctx)
	if err != nil {
		return fmt.Errorf("cannot wake %v: %w", real, err)
	}
	row, asleep := t.Suspended.Of(real)
	if !asleep && !p.Wakes.Proved(real) {
		return fmt.Errorf("cannot wake %v: %w", real, errMissed)
	}
	if !asleep {
		return nil // somebody else has woken it
	}
	if err := p.wake(ctx, row); err != nil {
		return fmt.Errorf("cannot wake %v: %w", real, err)
	}
	return nil
}

// errMissed says that who tried to wake a real server before has given up.
var errMissed = errors.New("it did not wake a moment ago, its dsrs looks after it")

func (p *Power) wake(ctx context.Context, row cluster.RealRow) error {
	begun := p.Clock.Now()
	err := p.afterSleep(ctx, row.IP)
	if err == nil {
		err = p.rouse(ctx, row)
	}
	if ctx.Err() != nil {
		return ctx.Err() // pss ends: the row stays, and the next start goes on from it
	}
	if err != nil {
		return errors.Join(err, p.missed(ctx, row.IP, err))
	}
	if err := p.rowToActive(ctx, row.IP); err != nil {
		return err
	}
	took := p.Clock.Since(begun)
	p.Log.Info().Stringer("real", row.IP).Stringer("took", took.Round(fine)).Msg("real server woken")
	return p.Wakes.Woke(row.IP, took)
}

// missed remembers first that the real server owes a wake, so that it is not
// slept again even if pss dies here, then gives its row back.
func (p *Power) missed(ctx context.Context, real netip.Addr, why error) error {
	p.Log.Error().Stringer("real", real).Err(why).Msg("real server does not wake, left to its dsrs")
	return errors.Join(p.Wakes.Missed(real), p.rowToActive(ctx, real))
}

// rouse sends the magic packets, evenly over the deadline, and waits for ping
// and hypervisor.
func (p *Power) rouse(ctx context.Context, row cluster.RealRow) error {
	deadline, tries := p.Settings.PSS.WakeDeadline.D(), max(p.Settings.PSS.WakeTries, 1)
	for range tries {
		if err := p.send(ctx, row.MAC); err != nil && ctx.Err() == nil {
			p.Log.Warn().Stringer("real", row.IP).Err(err).Msg("magic packet not sent")
		}
		try, cancel := p.Clock.Timeout(ctx, deadline/time.Duration(2*tries))
		err := retry.Until(try, p.Clock, func(ctx context.Context) error { return p.awake(ctx, row.IP) })
		cancel()
		if err == nil || ctx.Err() != nil {
			return err
		}
	}
	last, cancel := p.Clock.Timeout(ctx, deadline/2)
	defer cancel()
	return retry.Until(last, p.Clock, func(ctx context.Context) error { return p.awake(ctx, row.IP) })
}

// send sends one magic packet. That nobody says whether it was sent must not
// keep the wake, and the turn, for good.
func (p *Power) send(ctx context.Context, mac cluster.MAC) error {
	short, cancel := p.Clock.Timeout(ctx, cluster.CallLimit)
	defer cancel()
	return p.Fleet.WakeReal(short, mac)
}

// Answers asks once whether a real server is awake.
func (p *Power) Answers(ctx context.Context, real netip.Addr) bool {
	short, cancel := p.Clock.Timeout(ctx, cluster.CallLimit)
	defer cancel()
	return p.awake(short, real) == nil
}

// awake is nil when a real server answers pings and its hypervisor calls.
func (p *Power) awake(ctx context.Context, real netip.Addr) error {
	short, cancel := p.Clock.Timeout(ctx, pingTime)
	defer cancel()
	if err := p.Fleet.Ping(short, real); err != nil {
		return err
	}
	return p.Fleet.HypervisorAlive(ctx, real)
}

func (p *Power) rowToActive(ctx context.Context, real netip.Addr) error {
	return p.Files.Update(ctx, func(t *cluster.Tables) error {
		return edits.Wake(t, real)
	})
}
