package ipc

import (
	"net/netip"

	"pss-msbs/pkg/cluster"
)

// Returning are the VIPs that target gets when it serves again, in address
// order: those that it has, whatever its backup holds, and those of its
// separation rows that no other server serves by now.
func (h HeldRows) Returning(target, backup string) []netip.Addr {
	served := map[netip.Addr]bool{} // by others
	for _, r := range h.Operation {
		if r.Host != backup && r.Host != target {
			served[r.VIP] = true
		}
	}
	rows := append([]cluster.ServerRow{}, h.TargetOperation...)
	rows = append(rows, h.BackupOperation...)
	for _, r := range h.TargetSeparation {
		if !served[r.VIP] {
			rows = append(rows, r)
		}
	}
	return cluster.VIPsOf(rows)
}
