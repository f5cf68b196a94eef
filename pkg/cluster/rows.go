package cluster

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
)

// ServerRow is a row of the operation, access-stop and separation files: which
// server, on which real server, holds (or held) one VIP of a group.
type ServerRow struct {
	Group string     `json:"group"`
	Real  netip.Addr `json:"real"` // the real server, or the management server for a backup
	VIP   netip.Addr `json:"vip"`
	Host  string     `json:"host"`
	IP    netip.Addr `json:"ip"` // the virtual server's own address
}

// Guest is the server the row speaks of, where the row says it is.
func (r ServerRow) Guest() Guest { return Guest{Host: r.Host, IP: r.IP, Real: r.Real} }

// Compare orders rows by group, VIP, host.
func (r ServerRow) Compare(o ServerRow) int {
	return cmp.Or(strings.Compare(r.Group, o.Group), r.VIP.Compare(o.VIP), strings.Compare(r.Host, o.Host))
}

// Rows are rows of one file, or of several, in file order. No method changes
// the rows it is called on; a selection of them shares nothing with them.
type Rows []ServerRow

// Where returns the rows for which keep is true.
func (rs Rows) Where(keep func(ServerRow) bool) Rows {
	var out Rows
	for _, r := range rs {
		if keep(r) {
			out = append(out, r)
		}
	}
	return out
}

// Of returns the rows of host.
func (rs Rows) Of(host string) Rows {
	return rs.Where(func(r ServerRow) bool { return r.Host == host })
}

// Without returns the rows but those of host.
func (rs Rows) Without(host string) Rows {
	return rs.Where(func(r ServerRow) bool { return r.Host != host })
}

// ForVIP returns the rows of one VIP.
func (rs Rows) ForVIP(vip netip.Addr) Rows {
	return rs.Where(func(r ServerRow) bool { return r.VIP == vip })
}

// InGroup returns the rows of one group.
func (rs Rows) InGroup(group string) Rows {
	return rs.Where(func(r ServerRow) bool { return r.Group == group })
}

// On returns the rows of servers on one real server.
func (rs Rows) On(real netip.Addr) Rows {
	return rs.Where(func(r ServerRow) bool { return r.Real == real })
}

// Has reports whether one of the rows is host's.
func (rs Rows) Has(host string) bool {
	return slices.ContainsFunc(rs, func(r ServerRow) bool { return r.Host == host })
}

// HasVIP reports whether one of the rows is of that VIP.
func (rs Rows) HasVIP(vip netip.Addr) bool {
	return slices.ContainsFunc(rs, func(r ServerRow) bool { return r.VIP == vip })
}

// With returns the rows and row behind them, unless its VIP and host stand
// there already.
func (rs Rows) With(row ServerRow) Rows {
	if slices.ContainsFunc(rs, func(r ServerRow) bool { return r.VIP == row.VIP && r.Host == row.Host }) {
		return rs
	}
	return append(slices.Clip(rs), row)
}

// VIPs returns the VIPs of the rows, in address order, each once.
func (rs Rows) VIPs() []netip.Addr {
	out := make([]netip.Addr, 0, len(rs))
	for _, r := range rs {
		out = append(out, r.VIP)
	}
	slices.SortFunc(out, netip.Addr.Compare)
	return slices.Compact(out)
}

// Hosts returns the servers of the rows by name, sorted, each once.
func (rs Rows) Hosts() []string {
	var out []string
	for _, r := range rs {
		out = append(out, r.Host)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Guests returns the servers of the rows, in row order, each once.
func (rs Rows) Guests() []Guest {
	var out []Guest
	for _, r := range rs {
		if !slices.Contains(out, r.Guest()) {
			out = append(out, r.Guest())
		}
	}
	return out
}
