package ops

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
	"pss-msbs/pkg/edits"
	"pss-msbs/pkg/pss/retry"
)

// gather is how long the first of several changes waits for the others: groups
// whose receivers got ready together change under one hold of the lock.
const gather = 2 * time.Millisecond

// queue are the changes that wait; the first to come carries out those that
// came meanwhile.
type queue struct {
	mu      sync.Mutex
	waiting []*changing
	busy    bool
}

// changing is a change under way.
type changing struct {
	edits.Change
	begun  time.Time
	before cluster.Tables
	ready  map[string]*Ready // by receiver
	err    error
	done   chan struct{}
}

// Change carries out one group's part of a shift: under the exclusive lock
// re-check, ask who holds each VIP, off the old holder, on the new one (with
// gratuitous ARP), verify, commit. On failure all address changes are undone
// before the lock is given back. Changes that are asked for at the same time
// share one hold and one transaction.
func (h *Ops) Change(ctx context.Context, c edits.Change, ready map[string]*Ready) error {
	j := &changing{Change: c, begun: h.Clock.Now(), ready: ready, done: make(chan struct{})}
	h.queue.mu.Lock()
	h.queue.waiting = append(h.queue.waiting, j)
	leads := !h.queue.busy
	h.queue.busy = true
	h.queue.mu.Unlock()
	if leads {
		h.lead(ctx)
	}
	<-j.done
	if j.err != nil {
		h.finishAll(ctx, j.before, vipsOf(c.Moves))
		return fmt.Errorf("cannot change %s: %w", c.Group, j.err)
	}
	for _, m := range c.Moves {
		h.Log.Info().Stringer("vip", m.VIP).Str("from", m.From.Host).Str("to", m.To.Host).
			Stringer("took", h.Took(j.begun)).Msg("VIP moved")
	}
	if c.To != "" {
		h.Log.Info().Str("group", c.Group).Str("condition", string(c.To)).Msg("condition set")
	}
	return nil
}

// lead carries out the waiting changes until there is none. Between two holds it
// gathers again, so that whoever waited for the first goes on before the second.
func (h *Ops) lead(ctx context.Context) {
	for more := true; more; {
		_ = h.Clock.Sleep(ctx, gather)
		batch := h.queue.take()
		h.carry(ctx, batch)
		more = h.queue.more()
		for _, j := range batch {
			close(j.done)
		}
	}
}

// take are the changes that wait now.
func (q *queue) take() []*changing {
	q.mu.Lock()
	defer q.mu.Unlock()
	batch := q.waiting
	q.waiting = nil
	return batch
}

// more reports whether others wait; if not, the next to come leads.
func (q *queue) more() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.busy = len(q.waiting) > 0
	return q.busy
}

// carry carries out changes under one hold.
func (h *Ops) carry(ctx context.Context, batch []*changing) {
	held, err := h.Files.Hold(ctx)
	if err != nil {
		for _, j := range batch {
			j.err = err
		}
		return
	}
	defer held.Close()
	short, cancel := h.Clock.Timeout(ctx, lockTime)
	defer cancel()
	t := held.Tables()
	each(batch, func(j *changing) error {
		j.before = t
		if err := j.Check(t); err != nil {
			return err
		}
		return h.exchangeAll(short, t, j)
	})
	whole := h.commit(held, batch)
	for _, j := range batch {
		if j.err != nil {
			continue
		}
		err := whole
		if err != nil { // one that the files refuse must not spoil the others
			err = h.commit(held, []*changing{j})
		}
		if err != nil {
			j.err = errors.Join(err, h.takeBack(ctx, t, j.Moves))
			continue
		}
		h.moved(vipsOf(j.Moves)...)
	}
}

func vipsOf(moves []edits.Move) []netip.Addr {
	var out []netip.Addr
	for _, m := range moves {
		out = append(out, m.VIP)
	}
	return out
}

// each calls do for every change that has not failed so far, in parallel.
func each(batch []*changing, do func(j *changing) error) {
	var all sync.WaitGroup
	for _, j := range batch {
		if j.err == nil {
			all.Go(func() { j.err = do(j) })
		}
	}
	all.Wait()
}

// commit writes the changes that have not failed.
func (h *Ops) commit(held Held, batch []*changing) error {
	homes := h.Data().Homes()
	return held.Commit(func(t *cluster.Tables) error {
		for _, j := range batch {
			if j.err == nil {
				j.Make(t, homes)
			}
		}
		return nil
	})
}

// exchangeAll changes the addresses of one group, or none of them: it asks for
// all VIPs before it touches one.
func (h *Ops) exchangeAll(ctx context.Context, t cluster.Tables, j *changing) error {
	if err := all(j.Moves, func(m edits.Move) error { return h.movable(ctx, m) }); err != nil {
		return err
	}
	if err := h.mark(ctx, vipsOf(j.Moves)...); err != nil {
		return err
	}
	for _, wave := range j.Waves(t) {
		if err := all(wave, func(m edits.Move) error { return h.exchange(ctx, m, j.ready[m.To.Host]) }); err != nil {
			return errors.Join(err, h.takeBack(ctx, t, j.Moves))
		}
	}
	return nil
}

// all does the same for every move, in parallel.
func all(moves []edits.Move, do func(m edits.Move) error) error {
	var all errgroup.Group
	for _, m := range moves {
		all.Go(func() error {
			if err := do(m); err != nil {
				return fmt.Errorf("cannot move %v from %s to %s: %w", m.VIP, m.From.Host, m.To.Host, err)
			}
			return nil
		})
	}
	return all.Wait()
}

// exchange moves one VIP.
func (h *Ops) exchange(ctx context.Context, m edits.Move, ready *Ready) error {
	if err := h.Fleet.DelVIP(ctx, m.From, m.VIP); err != nil {
		return err
	}
	if err := ready.Wait(ctx); err != nil {
		return err
	}
	if err := h.give(ctx, m.To, m.VIP); err != nil {
		return err
	}
	return h.verify(ctx, m.VIP, m.To)
}

// movable refuses a move that could not be done once the VIP is off its holder.
func (h *Ops) movable(ctx context.Context, m edits.Move) error {
	if err := h.ask(ctx, m.VIP, m.From.IP, m.To.IP); err != nil {
		return err
	}
	if err := h.Fleet.Quiet(ctx, m.To); err != nil {
		return err
	}
	return h.Fleet.Free(ctx, m.To, m.VIP)
}

// ask refuses the move of a VIP that somebody else answers for, and a receiver
// that does not answer for its own address.
func (h *Ops) ask(ctx context.Context, vip, from, to netip.Addr) error {
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

// takeBack undoes moves whose addresses may have changed. Where the new holder
// cannot be stripped the old one gets the VIP all the same if only the new one is
// out of reach: behind a silent real server, whose dsrs strips it when it is back.
// Else the old one is left without: one holder too few is mended later, one too
// many would answer clients meanwhile.
func (h *Ops) takeBack(ctx context.Context, t cluster.Tables, moves []edits.Move) error {
	ctx, cancel := retry.Detached(ctx, h.Clock, undoTime)
	defer cancel()
	errs := make([]error, len(moves))
	var all sync.WaitGroup
	for i, m := range moves {
		all.Go(func() {
			err := h.letGo(ctx, t, m.To, m.VIP)
			if err != nil && (!errors.Is(err, errAway) || h.Fleet.Away(ctx, m.From)) {
				errs[i] = fmt.Errorf("cannot take %v off %s: %w", m.VIP, m.To.Host, err)
				return
			}
			if errs[i] = h.give(ctx, m.From, m.VIP); errs[i] == nil && err == nil {
				h.moved(m.VIP) // else its mark stays until the new holder is heard
			}
		})
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("cannot undo: %w", err)
	}
	return nil
}

// errAway says that a server is out of reach.
var errAway = errors.New("it is out of reach")

// letGo takes vip off g, for good; errAway where it is out of reach. A server that
// does not let go of it and serves nothing is destroyed: nothing of value is on it.
func (h *Ops) letGo(ctx context.Context, t cluster.Tables, g cluster.Guest, vip netip.Addr) error {
	quick, cancel := h.Clock.Timeout(ctx, undoTime/2)
	defer cancel()
	away := make(chan bool, 1)
	go func() {
		is := h.Fleet.Away(quick, g)
		if is {
			cancel()
		}
		away <- is
	}()
	err := h.Fleet.DelVIP(quick, g, vip)
	switch {
	case err == nil:
		return nil
	case <-away:
		return errAway
	case t.Serves(g.Host):
		return err
	}
	if derr := h.Fleet.Destroy(ctx, g); derr != nil {
		return errors.Join(err, derr)
	}
	h.Log.Warn().Str("server", g.Host).Stringer("vip", vip).Err(err).Msg("server that does not let go of a VIP destroyed")
	return nil
}
