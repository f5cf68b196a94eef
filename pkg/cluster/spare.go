package cluster

import (
	"net/netip"
	"slices"
)

// SpareRow is a row of the spare-server file. The row stays while its spare serves.
type SpareRow struct {
	Group string     `json:"group"`
	Host  string     `json:"host"`
	IP    netip.Addr `json:"ip"`
}

// IsSpare reports whether host has a row in the spare-server file.
func (t Tables) IsSpare(host string) bool {
	return slices.ContainsFunc(t.Spares, func(s SpareRow) bool { return s.Host == host })
}

// Birthplace is where a spare of a group can be created: on a base, but where all
// of them sleep on any other active real server, as its image lies on shared
// storage. The zero address: nowhere.
func (t Tables) Birthplace(group string) netip.Addr {
	if b := t.AwakeBase(group); b.IsValid() || len(t.Real) == 0 {
		return b
	}
	return t.Real[0].IP
}

// Berth is where a spare that neither serves nor is in trouble could serve now:
// where it stands in access stop if that is active, else on the first active base
// of its group. The zero address: nowhere.
func (t Tables) Berth(spare SpareRow) netip.Addr {
	if t.Serves(spare.Host) {
		return netip.Addr{}
	}
	for _, row := range t.AccessStop.Of(spare.Host) {
		if t.IsActive(row.Real) {
			return row.Real
		}
	}
	return t.AwakeBase(spare.Group)
}
