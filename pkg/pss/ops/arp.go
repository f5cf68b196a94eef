package ops

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"

	"pss-msbs/pkg/cluster"
)

// whoHave asks for several addresses at once; the error is that of the first of
// them that could not be asked for.
func (h *Ops) whoHave(ctx context.Context, ips ...netip.Addr) ([][]cluster.MAC, error) {
	out, errs := make([][]cluster.MAC, len(ips)), make([]error, len(ips))
	var all sync.WaitGroup
	for i, ip := range ips {
		all.Go(func() { out[i], errs[i] = h.Fleet.WhoHas(ctx, ip) })
	}
	all.Wait()
	return out, cmp.Or(errs...)
}

// atMACs are those of known whose own address is at one of macs; one that
// cannot be asked is none.
func (h *Ops) atMACs(ctx context.Context, known []cluster.Guest, macs []cluster.MAC) []cluster.Guest {
	found := make([]bool, len(known))
	var all sync.WaitGroup
	for i, g := range known {
		all.Go(func() {
			own, err := h.Fleet.WhoHas(ctx, g.IP)
			found[i] = err == nil && slices.ContainsFunc(own, func(m cluster.MAC) bool { return slices.Contains(macs, m) })
		})
	}
	all.Wait()
	var out []cluster.Guest
	for i, g := range known {
		if found[i] {
			out = append(out, g)
		}
	}
	return out
}

// hand takes a marked VIP off the old holders and puts it on the new one, and returns
// once the new one alone answers for it.
func (h *Ops) hand(ctx context.Context, vip netip.Addr, off []cluster.Guest, on cluster.Guest) error {
	for _, g := range off {
		if err := h.Fleet.DelVIP(ctx, g, vip); err != nil {
			return err
		}
	}
	if err := h.give(ctx, on, vip); err != nil {
		return err
	}
	return h.verify(ctx, vip, on)
}

// verify waits until on, and nobody else, answers for vip.
func (h *Ops) verify(ctx context.Context, vip netip.Addr, on cluster.Guest) error {
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
func (h *Ops) holds(ctx context.Context, vip netip.Addr, on cluster.Guest) error {
	macs, err := h.whoHave(ctx, vip, on.IP)
	if err != nil {
		return err
	}
	if len(macs[0]) != 1 || !slices.Equal(macs[0], macs[1]) {
		return fmt.Errorf("%v is not on %s alone: it answers %v, the VIP %v", vip, on.Host, macs[1], macs[0])
	}
	return nil
}
