package ops

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/ipc"
)

// Unmark ends what is left of a move: under the lock it strips whoever of known
// answers for its VIP without a row for it, or of the mark's servers has it so, and
// takes the mark off. A VIP that only an operation row names is Settle's to put
// right first; one in separation stays its owner's. Whoever was cut off for it is
// reconnected. It returns who was stripped.
func (h *Ops) Unmark(ctx context.Context, m ipc.Move, known []cluster.Guest) ([]cluster.Guest, error) {
	vip := m.VIP
	held, err := h.Files.Hold(ctx)
	if err != nil {
		return nil, fmt.Errorf("cannot look at %v: %w", vip, err)
	}
	defer held.Close()
	if now, marked := h.Moving.Get(vip); !marked || !now.Given.Equal(m.Given) {
		return nil, nil // it was moved again meanwhile
	}
	ctx, cancel := h.Clock.Timeout(ctx, lockTime)
	defer cancel()
	strays, err := h.unnamed(ctx, held.Tables(), vip, known)
	if err == nil {
		strays, err = h.withMarked(ctx, held.Tables(), m, strays)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot look at %v: %w", vip, err)
	}
	for _, g := range strays {
		if err := h.Fleet.DelVIP(ctx, g, vip); err != nil {
			return nil, fmt.Errorf("cannot take %v off %s: %w", vip, g.Host, err)
		}
	}
	if len(strays) > 0 {
		h.Log.Warn().Stringer("vip", vip).Strs("off", hosts(strays)).Msg("mended: VIP of a move that was cut off removed")
	}
	if err := h.reconnect(ctx, held.Tables(), m); err != nil {
		return nil, fmt.Errorf("cannot reconnect a server that had %v: %w", vip, err)
	}
	return strays, h.Moving.Remove(vip)
}

// reconnect raises the links of the servers of a mark that serve nothing and no other
// mark names: they may have been cut off for it. A real server that is out is its dsrs's.
func (h *Ops) reconnect(ctx context.Context, t cluster.Tables, m ipc.Move) error {
	marks, err := h.Moving.All()
	if err != nil {
		return err
	}
	for _, g := range m.On {
		elsewhere := slices.ContainsFunc(marks, func(o ipc.Move) bool { return o.VIP != m.VIP && o.Names(g.Host) })
		if t.Serves(g.Host) || elsewhere || !t.IsActive(g.Real) || h.Fleet.Gone(ctx, g) {
			continue
		}
		if err := h.Fleet.SetLink(ctx, g, true); err != nil {
			return err
		}
	}
	return nil
}

// unnamed are those of known that answer for vip and may not.
func (h *Ops) unnamed(ctx context.Context, t cluster.Tables, vip netip.Addr, known []cluster.Guest) ([]cluster.Guest, error) {
	ask := []netip.Addr{vip}
	if row, served := t.Holder(vip); served {
		ask = append(ask, row.IP)
	}
	macs, err := h.whoHave(ctx, ask...)
	if err != nil || len(macs[0]) == 0 || len(macs) > 1 && sameHolder(macs[0], macs[1]) {
		return nil, err
	}
	return slices.DeleteFunc(h.atMACs(ctx, known, macs[0]), func(g cluster.Guest) bool { return h.named(t, vip, g.Host) }), nil
}

// withMarked adds to strays the servers of a mark that have its VIP and may not,
// though they do not answer for it.
func (h *Ops) withMarked(ctx context.Context, t cluster.Tables, m ipc.Move, strays []cluster.Guest) ([]cluster.Guest, error) {
	for _, g := range m.On {
		if h.named(t, m.VIP, g.Host) || slices.ContainsFunc(strays, func(s cluster.Guest) bool { return s.Host == g.Host }) {
			continue
		}
		has, err := h.Fleet.Settle(ctx, g, m.VIP)
		if err != nil {
			return nil, err
		}
		if has {
			strays = append(strays, g)
		}
	}
	return strays, nil
}

// named reports whether host may have vip: an operation or separation row says so,
// or it is the backup of a server whose separation row does.
func (h *Ops) named(t cluster.Tables, vip netip.Addr, host string) bool {
	if slices.Concat(t.Operation, t.Separation).Of(host).HasVIP(vip) {
		return true
	}
	target, backs := h.Data().TargetOf(host)
	return backs && t.Separation.Of(target.Host).HasVIP(vip)
}
