package ops

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/edits"
	"pss-msbs/pkg/handover"
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
	begun    time.Time
	before   cluster.Tables
	ready    map[string]*Ready // by receiver
	handover *handover.Handover
	err      error
	done     chan struct{}
}

// Change carries out one group's part of a shift: under the exclusive lock a
// re-check and the handover of its VIPs. Changes that are asked for at the same
// time share one hold and one transaction.
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
		j.handover = h.shift(t, j)
		_, err := j.handover.Advance(short)
		return err
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
		if j.err = j.handover.Committed(ctx, err); j.err == nil {
			h.moved(vipsOf(j.Moves)...)
		}
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
