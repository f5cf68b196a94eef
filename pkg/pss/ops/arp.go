package ops

import (
	"cmp"
	"context"
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

// lacks reports whether g answers for its own address and not for vip.
func (h *Ops) lacks(ctx context.Context, g cluster.Guest, vip netip.Addr) bool {
	macs, err := h.whoHave(ctx, g.IP, vip)
	return err == nil && len(macs[0]) > 0 && !slices.ContainsFunc(macs[1], func(m cluster.MAC) bool { return slices.Contains(macs[0], m) })
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
