package ipc

import (
	"net/netip"
	"slices"

	"pss-msbs/pkg/cluster"
)

// Returning are the VIPs that target gets when it serves again, in address
// order: those that it has, whatever its backup holds, and those of its
// separation rows that no other server serves by now.
func (h HeldRows) Returning(target, backup string) []netip.Addr {
	others := h.Operation.Without(backup).Without(target)
	open := h.TargetSeparation.Where(func(r cluster.ServerRow) bool { return !others.HasVIP(r.VIP) })
	return slices.Concat(h.TargetOperation, h.BackupOperation, open).VIPs()
}
