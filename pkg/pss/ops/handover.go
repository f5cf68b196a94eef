package ops

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/edits"
	"pss-msbs/pkg/handover"
)

// shift is the handover of a change.
func (h *Ops) shift(t cluster.Tables, j *changing) *handover.Handover {
	var legs []handover.Leg
	for _, m := range j.Moves {
		legs = append(legs, handover.Leg{VIP: m.VIP, From: []cluster.Guest{m.From}, To: m.To, Returns: true})
	}
	var waves []handover.Set
	for _, wave := range j.Waves(t) {
		var set handover.Set
		for _, m := range wave {
			set = set.With(handover.One(slices.IndexFunc(legs, func(l handover.Leg) bool { return l.VIP == m.VIP })))
		}
		waves = append(waves, set)
	}
	return h.handover(t, legs, waves, j.ready, nil)
}

// handover is one under the lock that the caller has on the files, which say t.
func (h *Ops) handover(t cluster.Tables, legs []handover.Leg, waves []handover.Set, ready map[string]*Ready, commit func() error) *handover.Handover {
	return &handover.Handover{Network: h.Fleet, Clock: h.Clock, Legs: legs, Waves: waves, Undo: undoTime,
		Rows: locked{commit}, Acts: &acts{Ops: h, tables: t, ready: ready, away: map[netip.Addr]bool{}}}
}

// locked are rows under a lock that nobody can lose, and with commits that
// everything is known of.
type locked struct{ commit func() error }

// Commit implements handover.Rows.
func (l locked) Commit(context.Context) error { return l.commit() }

// Look implements handover.Rows.
func (locked) Look(context.Context) bool { return false }

// Hold implements handover.Rows.
func (locked) Hold(context.Context) ([]netip.Addr, bool, error) { return nil, false, edits.ErrStale }

// Lost implements handover.Rows.
func (locked) Lost() bool { return false }

// Whole implements handover.Rows.
func (locked) Whole(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithCancel(ctx)
}

// acts are what pss does for a VIP. What is marked stays so until it is known
// where it is.
type acts struct {
	*Ops
	tables cluster.Tables
	ready  map[string]*Ready // by receiver

	mu   sync.Mutex
	away map[netip.Addr]bool // its receiver is out of reach: Unmark, or its real server's dsrs, strips it when it is heard
}

// Fit implements handover.Acts.
func (a *acts) Fit(ctx context.Context, l handover.Leg) error {
	if err := a.Fleet.Quiet(ctx, l.To); err != nil {
		return err
	}
	return a.Fleet.Free(ctx, l.To, l.VIP)
}

// Begin implements handover.Acts.
func (a *acts) Begin(ctx context.Context, legs []handover.Leg) error {
	var vips []netip.Addr
	for _, l := range legs {
		vips = append(vips, l.VIP)
	}
	return a.mark(ctx, vips...)
}

// Off implements handover.Acts.
func (a *acts) Off(ctx context.Context, l handover.Leg) error {
	for _, g := range l.From {
		if err := a.Fleet.DelVIP(ctx, g, l.VIP); err != nil {
			return err
		}
	}
	return nil
}

// On implements handover.Acts.
func (a *acts) On(ctx context.Context, l handover.Leg) error {
	if err := a.ready[l.To.Host].Wait(ctx); err != nil {
		return err
	}
	return a.give(ctx, l.To, l.VIP)
}

// LetGo implements handover.Acts. Where the receiver cannot be stripped the giver
// gets the VIP all the same if only the receiver is out of reach, else it is left
// without: one holder too few is mended later, one too many would answer clients
// meanwhile.
func (a *acts) LetGo(ctx context.Context, l handover.Leg) error {
	err := a.letGo(ctx, a.tables, l.To, l.VIP)
	switch {
	case errors.Is(err, errAway) && l.Returns && !a.Fleet.Away(ctx, l.From[0]):
		a.mu.Lock()
		defer a.mu.Unlock()
		a.away[l.VIP] = true
		return nil
	case err == nil && !l.Returns:
		a.moved(l.VIP)
	}
	return err
}

// Return implements handover.Acts.
func (a *acts) Return(ctx context.Context, l handover.Leg) error {
	if err := a.give(ctx, l.From[0], l.VIP); err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.away[l.VIP] { // else its mark stays until the receiver is heard
		a.moved(l.VIP)
	}
	return nil
}

// errAway says that a server is out of reach.
var errAway = errors.New("it is out of reach")

// letGo takes vip off g, for good; errAway where it is out of reach, or was put there,
// because it serves nothing and does not let go. One that was never given vip, and does
// not answer for it, is only too slow to say so.
func (h *Ops) letGo(ctx context.Context, t cluster.Tables, g cluster.Guest, vip netip.Addr) error {
	quick, cancel := h.Clock.Timeout(ctx, undoTime*2/3)
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
	case !h.given(g, vip) && h.lacks(ctx, g, vip):
		return nil
	case t.Serves(g.Host):
		return err
	}
	return h.bar(ctx, t, g, vip, err)
}

// bar keeps a server that serves nothing from answering for vip, which it does not let
// go of, as err says: a spare is destroyed, a home cut off until Unmark has stripped it.
// By ssh nothing reaches a server that is cut off.
func (h *Ops) bar(ctx context.Context, t cluster.Tables, g cluster.Guest, vip netip.Addr, err error) error {
	if t.IsSpare(g.Host) || h.Settings.Guest.BySSH() {
		if derr := h.Fleet.Destroy(ctx, g); derr != nil {
			return errors.Join(err, derr)
		}
		h.Log.Warn().Str("server", g.Host).Stringer("vip", vip).Err(err).Msg("server that does not let go of a VIP destroyed")
		return nil
	}
	if lerr := h.Fleet.SetLink(ctx, g, false); lerr != nil {
		return errors.Join(err, lerr)
	}
	h.Log.Warn().Str("server", g.Host).Stringer("vip", vip).Err(err).Msg("server that does not let go of a VIP cut off")
	return errAway
}

// put makes the server that the rows name for a VIP its holder, and strays none;
// macs are who answers for the VIP and for the server.
func (h *Ops) put(ctx context.Context, t cluster.Tables, vip netip.Addr, strays []cluster.Guest, on cluster.Guest, macs [][]cluster.MAC) error {
	put := h.handover(t, []handover.Leg{{VIP: vip, From: strays, To: on}}, nil, nil, func() error { return nil })
	put.Keeps, put.Asked = true, handover.Answers{vip: macs[0], on.IP: macs[1]}
	for _, g := range strays {
		put.Asked[g.IP] = macs[0] // that is who strays are
	}
	return put.Run(ctx)
}

// take gives a VIP that nobody has to a server, under the lock.
func (h *Ops) take(ctx context.Context, held Held, vip netip.Addr, to cluster.Guest) error {
	short, cancel := h.Clock.Timeout(ctx, lockTime)
	defer cancel()
	t := held.Tables()
	abandoned, err := h.Abandoned() // the set changes only under this lock
	if err != nil {
		return err
	}
	if !t.LeftToPSS(vip, abandoned) {
		return fmt.Errorf("%w: %v is not ours to give", edits.ErrStale, vip)
	}
	if err := edits.Receivable(t, to); err != nil {
		return err
	}
	take := h.handover(t, []handover.Leg{{VIP: vip, To: to}}, nil, nil, func() error {
		return held.Commit(func(t *cluster.Tables) error {
			edits.Move{VIP: vip, To: to}.Make(t, t.Homes(h.Data().Homes()))
			return nil
		})
	})
	if err := take.Run(short); err != nil {
		return err
	}
	h.moved(vip)
	return nil
}
