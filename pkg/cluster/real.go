package cluster

import (
	"net/netip"
	"slices"
)

// RealRow is a row of the real-server and suspension-real files.
type RealRow struct {
	IP  netip.Addr `json:"ip"`
	MAC MAC        `json:"mac"`
}

// RealRows are rows of one of these files, or of both, in file order. No method
// changes the rows it is called on; a selection of them shares nothing with them.
type RealRows []RealRow

// Of returns the row of a real server, if it has one.
func (rs RealRows) Of(real netip.Addr) (RealRow, bool) {
	i := slices.IndexFunc(rs, func(r RealRow) bool { return r.IP == real })
	if i < 0 {
		return RealRow{}, false
	}
	return rs[i], true
}

// Has reports whether a real server has a row.
func (rs RealRows) Has(real netip.Addr) bool { _, ok := rs.Of(real); return ok }

// Without returns the rows but that of a real server.
func (rs RealRows) Without(real netip.Addr) RealRows {
	return slices.DeleteFunc(slices.Clone(rs), func(r RealRow) bool { return r.IP == real })
}

// With returns the rows and row behind them, unless its real server has one already.
func (rs RealRows) With(row RealRow) RealRows {
	if rs.Has(row.IP) {
		return rs
	}
	return append(slices.Clip(rs), row)
}

// IPs returns the addresses of the real servers, in file order.
func (rs RealRows) IPs() []netip.Addr {
	out := make([]netip.Addr, len(rs))
	for i, r := range rs {
		out[i] = r.IP
	}
	return out
}

// IsActive reports whether a real server stands in the real-server file.
func (t Tables) IsActive(real netip.Addr) bool { return t.Real.Has(real) }

// IsAsleep reports whether a real server stands in the suspension-real file.
func (t Tables) IsAsleep(real netip.Addr) bool { return t.Suspended.Has(real) }
