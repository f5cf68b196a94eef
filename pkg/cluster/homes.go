package cluster

import (
	"cmp"
	"net/netip"
	"slices"
)

// HomeNames say which host is the home of a VIP where management data tell (line
// 1 and 2 of a .dat). They may be nil or incomplete: the seven files alone will
// do, but for one rare state: a home server that serves another's VIP while two
// of its group hold its own and theirs (half of a shift, or a host lost in PS1).
type HomeNames map[netip.Addr]string

// Homes are the servers that hold the VIPs in Moderate, and where they are.
type Homes map[netip.Addr]Guest

// VIPsOf returns the VIPs whose home host is; none for a spare or a backup.
func (h Homes) VIPsOf(host string) []netip.Addr {
	var out []netip.Addr
	for v, g := range h {
		if g.Host == host {
			out = append(out, v)
		}
	}
	slices.SortFunc(out, netip.Addr.Compare)
	return out
}

// GetsBack returns the VIPs for which the server of row, which serves or served its
// VIP, stands in access-stop once it serves none (SPEC 3): a home server for its
// home VIP, a spare for each VIP it served, a backup for none.
func (t Tables) GetsBack(homes Homes, row ServerRow) []netip.Addr {
	if t.IsSpare(row.Host) {
		return append(t.Operation.Of(row.Host), row).VIPs()
	}
	return homes.VIPsOf(row.Host)
}

// Homes tells for every VIP which server holds it in Moderate. Where known does
// not say, the files do, if not outright: an access-stop row of a home server
// names its home VIP; of the others each home server has exactly one. A spare is
// never a home, and a backup (all its VIPs stand in separation for another
// server) is none either. A VIP whose home no row tells is missing.
func (t Tables) Homes(known HomeNames) Homes {
	homes := Homes{}
	for _, group := range t.Groups() {
		t.InGroup(group).findHomes(known, homes)
	}
	return homes
}

// looksLikeBackup reports whether host serves, and every VIP it serves stands in
// separation for another server that may have a backup.
func (t Tables) looksLikeBackup(host string) bool {
	rows := t.Operation.Of(host)
	if len(rows) == 0 || t.Separation.Has(host) {
		return false
	}
	return !slices.ContainsFunc(rows, func(r ServerRow) bool {
		return !slices.ContainsFunc(t.Separation, func(s ServerRow) bool {
			return s.VIP == r.VIP && s.Host != host && !t.IsSpare(s.Host)
		})
	})
}

// findHomes matches the VIPs of one group's tables with its home servers: first
// what is known and what access-stop says, then the VIPs that only one server can
// be home of, then what is left, by address.
func (t Tables) findHomes(known HomeNames, homes Homes) {
	vips := t.VIPs()
	taken := map[string]bool{}
	place := func(r ServerRow, vip netip.Addr) { homes[vip], taken[r.Host] = r.Guest(), true }
	for _, r := range slices.Concat(t.AccessStop, t.Separation, t.Operation) {
		for _, v := range vips {
			if known[v] == r.Host && !t.IsSpare(r.Host) {
				place(r, v)
			}
		}
	}
	for _, r := range t.AccessStop {
		if !homes[r.VIP].IP.IsValid() && !t.IsSpare(r.Host) {
			place(r, r.VIP)
		}
	}
	open := slices.DeleteFunc(vips, func(v netip.Addr) bool { _, ok := homes[v]; return ok })
	for placed := true; placed; {
		placed = false
		for _, v := range open {
			if c := t.candidates(v, taken); len(c) == 1 && !homes[v].IP.IsValid() {
				place(c[0], v)
				placed = true
			}
		}
	}
	for _, pick := range []func(netip.Addr) Rows{
		func(v netip.Addr) Rows { return t.candidates(v, taken) },
		func(netip.Addr) Rows { return t.homeless(taken) },
		func(v netip.Addr) Rows { return t.candidates(v, nil) },
	} {
		for _, v := range open {
			if c := pick(v); len(c) > 0 && !homes[v].IP.IsValid() {
				place(c[0], v)
			}
		}
	}
}

// candidates are the rows of servers not taken that may be the home of vip:
// those that stand in separation with it before the one that serves it.
func (t Tables) candidates(vip netip.Addr, taken map[string]bool) Rows {
	return t.mayBeHomes(slices.Concat(t.Separation, t.Operation).ForVIP(vip), taken)
}

// homeless are the home servers whose home VIP no row tells: today another
// server holds it, while they hold one of others. Ordered by own address.
func (t Tables) homeless(taken map[string]bool) Rows {
	out := t.mayBeHomes(slices.Concat(t.Separation, t.Operation), taken)
	slices.SortStableFunc(out, func(a, b ServerRow) int {
		return cmp.Or(a.IP.Compare(b.IP), cmp.Compare(a.Host, b.Host))
	})
	return out
}

// mayBeHomes are those of rows whose server is not taken, no spare and no backup.
func (t Tables) mayBeHomes(rows Rows, taken map[string]bool) Rows {
	return rows.Where(func(r ServerRow) bool { return !taken[r.Host] && !t.IsSpare(r.Host) && !t.looksLikeBackup(r.Host) })
}
