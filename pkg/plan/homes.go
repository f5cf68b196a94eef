package plan

import (
	"cmp"
	"net/netip"
	"slices"

	"pss-msbs/pkg/cluster"
)

// Known says which host is the home of a VIP where management data tell (line 1
// and 2 of a .dat). It may be nil or incomplete: the seven files alone will do,
// but for one rare state: a home server that serves another's VIP while two of
// its group hold its own and theirs (half of a shift, or a host lost in PS1).
type Known map[netip.Addr]string

// Homes tells for every VIP which server holds it in Moderate, and where that
// server is. Where k does not say, the files do, if not outright: an access-stop
// row of a home server names its home VIP; of the others each home server has
// exactly one. A spare is never a home, and a backup (all its VIPs stand in
// separation for another server) is none either. A VIP whose home no row tells
// is missing.
func (k Known) Homes(t cluster.Tables) map[netip.Addr]cluster.Guest {
	homes := map[netip.Addr]cluster.Guest{}
	for _, g := range t.Groups() {
		k.findHomes(rowsOfGroup(t, g), homes)
	}
	return homes
}

// Homes is Known.Homes with the seven files alone.
func Homes(t cluster.Tables) map[netip.Addr]cluster.Guest { return Known(nil).Homes(t) }

// groupRows are one group's rows, sorted, so that no row order matters.
type groupRows struct {
	operation, accessStop, separation cluster.Rows
	spares                            []cluster.SpareRow // in file order
}

func rowsOfGroup(t cluster.Tables, group string) groupRows {
	pick := func(rows cluster.Rows) cluster.Rows {
		out := rows.InGroup(group)
		slices.SortFunc(out, cluster.ServerRow.Compare)
		return out
	}
	out := groupRows{operation: pick(t.Operation), accessStop: pick(t.AccessStop), separation: pick(t.Separation)}
	for _, s := range t.Spares {
		if s.Group == group {
			out.spares = append(out.spares, s)
		}
	}
	return out
}

// isSpare tells whether host is a spare of the group.
func (g groupRows) isSpare(host string) bool {
	return slices.ContainsFunc(g.spares, func(s cluster.SpareRow) bool { return s.Host == host })
}

// vips returns the group's VIPs in address order.
func (g groupRows) vips() []netip.Addr {
	return slices.Concat(g.operation, g.accessStop, g.separation).VIPs()
}

// isBackup tells whether host looks like a backup: it serves, and every VIP it
// serves stands in separation for another server that may have a backup.
func (g groupRows) isBackup(host string) bool {
	rows := g.operation.Of(host)
	if len(rows) == 0 || g.separation.Has(host) {
		return false
	}
	for _, r := range rows {
		if !slices.ContainsFunc(g.separation, func(s cluster.ServerRow) bool {
			return s.VIP == r.VIP && s.Host != host && !g.isSpare(s.Host)
		}) {
			return false
		}
	}
	return true
}

// findHomes matches the group's VIPs with its home servers: first what is known
// and what access-stop says, then the VIPs that only one server can be home of,
// then what is left, by address.
func (k Known) findHomes(g groupRows, homes map[netip.Addr]cluster.Guest) {
	taken := map[string]bool{}
	settle := func(r cluster.ServerRow, vip netip.Addr) { homes[vip], taken[r.Host] = r.Guest(), true }
	for _, r := range slices.Concat(g.accessStop, g.separation, g.operation) {
		for _, v := range g.vips() {
			if k[v] == r.Host && !g.isSpare(r.Host) {
				settle(r, v)
			}
		}
	}
	for _, r := range g.accessStop {
		if !homes[r.VIP].IP.IsValid() && !g.isSpare(r.Host) {
			settle(r, r.VIP)
		}
	}
	open := slices.DeleteFunc(g.vips(), func(v netip.Addr) bool { _, ok := homes[v]; return ok })
	for settled := true; settled; {
		settled = false
		for _, v := range open {
			if c := g.candidates(v, taken); len(c) == 1 && !homes[v].IP.IsValid() {
				settle(c[0], v)
				settled = true
			}
		}
	}
	for _, pick := range []func(netip.Addr) cluster.Rows{
		func(v netip.Addr) cluster.Rows { return g.candidates(v, taken) },
		func(netip.Addr) cluster.Rows { return g.homeless(taken) },
		func(v netip.Addr) cluster.Rows { return g.candidates(v, nil) },
	} {
		for _, v := range open {
			if c := pick(v); len(c) > 0 && !homes[v].IP.IsValid() {
				settle(c[0], v)
			}
		}
	}
}

// candidates are the rows of servers not taken that may be the home of vip:
// those that stand in separation with it before the one that serves it.
func (g groupRows) candidates(vip netip.Addr, taken map[string]bool) cluster.Rows {
	var out cluster.Rows
	for _, r := range slices.Concat(g.separation, g.operation) {
		if r.VIP == vip && !taken[r.Host] && !g.isSpare(r.Host) && !g.isBackup(r.Host) {
			out = append(out, r)
		}
	}
	return out
}

// homeless are the home servers whose home VIP no row tells: today another
// server holds it, while they hold one of others. Ordered by own address.
func (g groupRows) homeless(taken map[string]bool) cluster.Rows {
	var out cluster.Rows
	for _, r := range slices.Concat(g.separation, g.operation) {
		if !taken[r.Host] && !g.isSpare(r.Host) && !g.isBackup(r.Host) {
			out = append(out, r)
		}
	}
	slices.SortStableFunc(out, func(a, b cluster.ServerRow) int {
		return cmp.Or(a.IP.Compare(b.IP), cmp.Compare(a.Host, b.Host))
	})
	return out
}
