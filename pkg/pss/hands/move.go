package hands

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"pss-msbs/pkg/cluster"
)

// gather is how long the first of several moves waits for the others: VIPs
// whose receivers got ready together move under one hold of the lock.
const gather = 5 * time.Millisecond

// moves is the queue of VIP moves; the first to come carries out those that
// came meanwhile.
type moves struct {
	mu      sync.Mutex
	waiting []*moving
	busy    bool
}

type moving struct {
	Move
	begun time.Time
	done  chan error
}

// Move moves one VIP: under the exclusive lock re-check, ask who holds it, off
// the old holder, on the new one (with gratuitous ARP), verify, commit. On
// failure both address changes are undone before the lock is given back.
// Moves that are asked for at the same time share one hold and one transaction.
func (h *Hands) Move(ctx context.Context, m Move) error {
	j := &moving{Move: m, begun: h.Clock.Now(), done: make(chan error, 1)}
	h.moves.mu.Lock()
	h.moves.waiting = append(h.moves.waiting, j)
	leads := !h.moves.busy
	h.moves.busy = true
	h.moves.mu.Unlock()
	if leads {
		h.lead(ctx)
	}
	if err := <-j.done; err != nil {
		return fmt.Errorf("cannot move %v from %s to %s: %w", m.VIP, m.From.Host, m.To.Host, err)
	}
	h.Log.Info().Stringer("vip", m.VIP).Str("from", m.From.Host).Str("to", m.To.Host).
		Stringer("took", h.Took(j.begun)).Msg("VIP moved")
	return nil
}

// lead carries out the waiting moves until there is none.
func (h *Hands) lead(ctx context.Context) {
	_ = h.Clock.Sleep(ctx, gather)
	for {
		h.moves.mu.Lock()
		batch := h.moves.waiting
		h.moves.waiting = nil
		h.moves.busy = len(batch) > 0
		h.moves.mu.Unlock()
		if len(batch) == 0 {
			return
		}
		for i, err := range h.carry(ctx, batch) {
			batch[i].done <- err
		}
	}
}

// carry carries out moves under one hold and says how each went.
func (h *Hands) carry(ctx context.Context, batch []*moving) []error {
	errs := make([]error, len(batch))
	held, err := h.Files.Hold(ctx)
	if err != nil {
		return fill(errs, err)
	}
	defer held.Close()
	short, cancel := h.Clock.Timeout(ctx, lockTime)
	defer cancel()
	t := held.Tables()
	each(batch, errs, func(i int, m Move) error {
		if err := m.check(t, batch[:i]); err != nil {
			return err
		}
		return h.exchange(short, m)
	})
	if err := held.Commit(func(t *cluster.Tables) error { return applyAll(t, batch, errs) }); err != nil {
		each(batch, errs, func(_ int, m Move) error { return errors.Join(err, h.takeBack(ctx, m)) })
	}
	return errs
}

// each calls do for every move that has not failed so far, in parallel.
func each(batch []*moving, errs []error, do func(i int, m Move) error) {
	var all sync.WaitGroup
	for i, j := range batch {
		if errs[i] == nil {
			all.Go(func() { errs[i] = do(i, j.Move) })
		}
	}
	all.Wait()
}

func applyAll(t *cluster.Tables, batch []*moving, errs []error) error {
	for i, j := range batch {
		if errs[i] != nil {
			continue
		}
		if err := j.apply(t); err != nil {
			return err
		}
	}
	return nil
}

func fill(errs []error, err error) []error {
	for i := range errs {
		errs[i] = err
	}
	return errs
}

// exchange changes the addresses of one move, and undoes that if it fails.
func (h *Hands) exchange(ctx context.Context, m Move) error {
	if err := h.ask(ctx, m.VIP, m.From.IP, m.To.IP); err != nil {
		return err
	}
	if err := h.hand(ctx, m.VIP, []cluster.Guest{m.From}, m.To); err != nil {
		return errors.Join(err, h.takeBack(ctx, m))
	}
	return nil
}

// ask refuses the move of a VIP that somebody else answers for, and a receiver
// that does not answer for its own address.
func (h *Hands) ask(ctx context.Context, vip, from, to netip.Addr) error {
	macs, err := h.whoHave(ctx, vip, from, to)
	if err != nil {
		return err
	}
	if len(macs[2]) == 0 {
		return fmt.Errorf("%v does not answer: %w", to, cluster.ErrNoAnswer)
	}
	for _, mac := range macs[0] {
		if !slices.Contains(macs[1], mac) && !slices.Contains(macs[2], mac) {
			return fmt.Errorf("%v is held by %v", vip, mac)
		}
	}
	return nil
}

// whoHave asks for several addresses at once.
func (h *Hands) whoHave(ctx context.Context, ips ...netip.Addr) ([][]cluster.MAC, error) {
	out := make([][]cluster.MAC, len(ips))
	g, ctx := errgroup.WithContext(ctx)
	for i, ip := range ips {
		g.Go(func() (err error) {
			out[i], err = h.Fleet.WhoHas(ctx, ip)
			return err
		})
	}
	return out, g.Wait()
}

// hand takes vip off the old holders and puts it on the new one, and returns
// once the new one alone answers for it.
func (h *Hands) hand(ctx context.Context, vip netip.Addr, off []cluster.Guest, on cluster.Guest) error {
	for _, g := range off {
		if err := h.Fleet.DelVIP(ctx, g, vip); err != nil {
			return err
		}
	}
	if err := h.Fleet.AddVIP(ctx, on, vip); err != nil {
		return err
	}
	return h.verify(ctx, vip, on)
}

// verify waits until on, and nobody else, answers for vip.
func (h *Hands) verify(ctx context.Context, vip netip.Addr, on cluster.Guest) error {
	var last error
	err := h.Clock.Poll(ctx, pollTime, func() bool {
		last = h.holds(ctx, vip, on)
		return last == nil
	})
	if err != nil && last != nil {
		return last
	}
	return err
}

// holds is nil where on, and nobody else, answers for vip.
func (h *Hands) holds(ctx context.Context, vip netip.Addr, on cluster.Guest) error {
	macs, err := h.whoHave(ctx, vip, on.IP)
	if err != nil {
		return err
	}
	if len(macs[0]) != 1 || !slices.Equal(macs[0], macs[1]) {
		return fmt.Errorf("%v is not on %s alone: it answers %v, the VIP %v", vip, on.Host, macs[1], macs[0])
	}
	return nil
}

// takeBack undoes a move whose addresses may have changed. Where the new
// holder cannot be stripped the old one is left without: one holder too few
// is mended by the next cycle, one too many would answer clients meanwhile.
func (h *Hands) takeBack(ctx context.Context, m Move) error {
	short, cancel := h.Clock.Timeout(context.WithoutCancel(ctx), undoTime)
	defer cancel()
	if err := h.Fleet.DelVIP(short, m.To, m.VIP); err != nil {
		return fmt.Errorf("cannot undo: %v", err)
	}
	if err := h.Fleet.AddVIP(short, m.From, m.VIP); err != nil {
		return fmt.Errorf("cannot undo: %v", err)
	}
	return nil
}
