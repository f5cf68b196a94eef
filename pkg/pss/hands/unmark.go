package hands

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	"pss-msbs/pkg/cluster"
)

// Unmark ends what a pss that was killed left of a move: under the lock it
// strips whoever of known answers for vip without a row for it, and takes the
// mark off once nobody does. A VIP that only an operation row names is Settle's
// to put right first; one in separation stays its owner's. It returns who was
// stripped.
func (h *Hands) Unmark(ctx context.Context, vip netip.Addr, known []cluster.Guest) ([]cluster.Guest, error) {
	held, err := h.Files.Hold(ctx)
	if err != nil {
		return nil, fmt.Errorf("cannot look at %v: %w", vip, err)
	}
	defer held.Close()
	ctx, cancel := h.Clock.Timeout(ctx, lockTime)
	defer cancel()
	strays, err := h.unnamed(ctx, held.Tables(), vip, known)
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
	return strays, h.Moving.Remove(vip)
}

// unnamed are those of known that answer for vip and may not.
func (h *Hands) unnamed(ctx context.Context, t cluster.Tables, vip netip.Addr, known []cluster.Guest) ([]cluster.Guest, error) {
	macs, err := h.Fleet.WhoHas(ctx, vip)
	if err != nil || len(macs) == 0 {
		return nil, err
	}
	return slices.DeleteFunc(h.atMACs(ctx, known, macs), func(g cluster.Guest) bool { return h.named(t, vip, g.Host) }), nil
}

// named tells whether host may have vip: an operation or separation row says so,
// or it is the backup of a server whose separation row does.
func (h *Hands) named(t cluster.Tables, vip netip.Addr, host string) bool {
	if slices.Concat(t.Operation, t.Separation).Of(host).HasVIP(vip) {
		return true
	}
	target, backs := h.Data().TargetOf(host)
	return backs && t.Separation.Of(target.Host).HasVIP(vip)
}
