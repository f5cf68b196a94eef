package plan

import (
	"cmp"
	"net/netip"
	"slices"

	"pss-msbs/pkg/cluster"
)

// Layout says who holds which VIP of a group in one of its conditions. VIPs
// that are left out (their home is in trouble) are not in it.
type Layout struct {
	Holder map[netip.Addr]cluster.Guest // who holds the VIP, and where
	Spares []cluster.Guest              // the spares put on a base, in the order in which they were
}

// LayoutOf is the layout of group in condition c: a function of its home
// layout, its bases and its spares alone. It returns why c is refused, or nothing.
// homes are those of t.
func LayoutOf(t cluster.Tables, homes cluster.Homes, group string, c cluster.Condition) (Layout, string) {
	row, ok := t.StateOf(group)
	if !ok {
		return Layout{}, NoServerOnBase
	}
	return layoutOf(t, homes, row, c)
}

func layoutOf(t cluster.Tables, homes cluster.Homes, row cluster.StateRow, c cluster.Condition) (Layout, string) {
	site := newSite(t, homes, row)
	switch {
	case c.Lighter(row.Condition) && len(site.group.Separation) > 0:
		return Layout{}, RecoveryUnderWay
	case c != cluster.Moderate && !site.knowsBases():
		return Layout{}, UnknownBase
	}
	switch c {
	case cluster.PS1:
		return site.ps1()
	case cluster.PS2:
		return site.ps2()
	}
	return site.moderate(), ""
}

// site is what a layout is a function of.
type site struct {
	group  cluster.Tables // what the files say of it
	bases  []netip.Addr
	homes  cluster.Homes       // of the VIPs that are not left out
	vips   []netip.Addr        // those VIPs, in address order
	spares []cluster.SpareRow  // free ones, in file order
	known  map[netip.Addr]bool // the real servers of both files
}

func newSite(t cluster.Tables, homes cluster.Homes, row cluster.StateRow) site {
	s := site{group: t.InGroup(row.Group), bases: row.Bases, homes: cluster.Homes{}, known: map[netip.Addr]bool{}}
	for _, r := range slices.Concat(t.Real, t.Suspended) {
		s.known[r.IP] = true
	}
	for _, v := range s.group.VIPs() {
		if h, ok := homes[v]; ok && s.known[h.Real] && !t.Separation.Has(h.Host) {
			s.homes[v] = h
			s.vips = append(s.vips, v)
		}
	}
	for _, sp := range s.group.Spares {
		if !t.Separation.Has(sp.Host) {
			s.spares = append(s.spares, sp)
		}
	}
	return s
}

func (s site) knowsBases() bool {
	return !slices.ContainsFunc(s.bases, func(b netip.Addr) bool { return !s.known[b] })
}

// moderate has every VIP at home.
func (s site) moderate() Layout {
	d := s.draft()
	for _, v := range s.vips {
		d.give(v, s.homes[v])
	}
	return d.Layout
}

// ps1 is Fig. 3: redundant on the base servers.
func (s site) ps1() (Layout, string) {
	d := s.draft()
	displaced := d.keepHomes(s.vips, func(h cluster.Guest) bool { return slices.Contains(s.bases, h.Real) })
	for _, b := range s.bases {
		if len(displaced) > 0 && !s.hasHome(b) && d.free() {
			d.give(displaced[0], d.start(b))
			displaced = displaced[1:]
		}
	}
	if len(d.Holder) == 0 {
		return Layout{}, NoServerOnBase
	}
	for _, v := range displaced {
		d.give(v, d.lightest())
	}
	if len(s.vips) >= 2 && len(d.reals()) == 1 && !d.spread() {
		return Layout{}, NotRedundant
	}
	return d.Layout, ""
}

// ps2 is Fig. 4: not redundant, on base server B1.
func (s site) ps2() (Layout, string) {
	d := s.draft()
	if len(s.bases) == 0 {
		return Layout{}, NoServerOnBase
	}
	b1 := s.bases[0]
	others := d.keepHomes(s.vips, func(h cluster.Guest) bool { return h.Real == b1 })
	if len(d.servers) == 0 && !d.startOnB1(b1) {
		return Layout{}, NoServerOnBase
	}
	for _, v := range others {
		d.give(v, d.lightest())
	}
	return d.Layout, ""
}

// hasHome reports whether a home server of the group is on base b.
func (s site) hasHome(b netip.Addr) bool {
	return slices.ContainsFunc(s.vips, func(v netip.Addr) bool { return s.homes[v].Real == b })
}

// draft is a layout in the making.
type draft struct {
	Layout
	site    site
	next    []cluster.SpareRow // free spares not yet used
	servers []cluster.Guest    // those that serve
}

func (s site) draft() *draft {
	return &draft{site: s, next: s.spares, Layout: Layout{Holder: map[netip.Addr]cluster.Guest{}}}
}

func (d *draft) free() bool { return len(d.next) > 0 }

// give places vip on a server, which serves from then on.
func (d *draft) give(vip netip.Addr, to cluster.Guest) {
	d.Holder[vip] = to
	if !slices.Contains(d.servers, to) {
		d.servers = append(d.servers, to)
	}
}

// keepHomes leaves at home the VIPs whose home may serve, and returns the others.
func (d *draft) keepHomes(vips []netip.Addr, may func(cluster.Guest) bool) []netip.Addr {
	var others []netip.Addr
	for _, v := range vips {
		if h := d.site.homes[v]; may(h) {
			d.give(v, h)
		} else {
			others = append(others, v)
		}
	}
	return others
}

// start puts the next free spare on base b.
func (d *draft) start(b netip.Addr) cluster.Guest {
	sp := cluster.Guest{Host: d.next[0].Host, IP: d.next[0].IP, Real: b}
	d.next = d.next[1:]
	d.Spares = append(d.Spares, sp)
	return sp
}

// startOnB1 puts a spare on B1 for PS2: the one that PS1 has there, or else the
// next one that PS1 leaves free. A refused PS1 uses no spare.
func (d *draft) startOnB1(b1 netip.Addr) bool {
	light, refused := d.site.ps1()
	for _, sp := range light.Spares {
		if refused == "" && sp.Real == b1 {
			d.Spares, d.servers = []cluster.Guest{sp}, []cluster.Guest{sp}
			return true
		}
	}
	d.next = slices.DeleteFunc(slices.Clone(d.next), func(r cluster.SpareRow) bool {
		return slices.ContainsFunc(light.Spares, func(g cluster.Guest) bool { return g.Host == r.Host })
	})
	if !d.free() {
		return false
	}
	d.servers = []cluster.Guest{d.start(b1)}
	return true
}

// spread makes a group redundant that one real server would serve alone: the
// next spare, on the first base that serves nothing of it, takes the highest
// VIP of the server with most.
func (d *draft) spread() bool {
	busy := d.reals()
	i := slices.IndexFunc(d.site.bases, func(b netip.Addr) bool { return !slices.Contains(busy, b) })
	if i < 0 || !d.free() {
		return false
	}
	fullest := slices.MinFunc(d.servers, func(a, b cluster.Guest) int {
		return cmp.Or(cmp.Compare(d.load(b), d.load(a)), d.rank(a, b))
	})
	vips := d.vipsOf(fullest)
	d.give(vips[len(vips)-1], d.start(d.site.bases[i]))
	return true
}

// lightest is the serving server with fewest VIPs.
func (d *draft) lightest() cluster.Guest {
	return slices.MinFunc(d.servers, func(a, b cluster.Guest) int {
		return cmp.Or(cmp.Compare(d.load(a), d.load(b)), d.rank(a, b))
	})
}

// rank settles ties: base order of the real server, then host name.
func (d *draft) rank(a, b cluster.Guest) int {
	return cmp.Or(cmp.Compare(d.base(a), d.base(b)), cmp.Compare(a.Host, b.Host))
}

// base is the place of a server's real server among the bases.
func (d *draft) base(g cluster.Guest) int { return slices.Index(d.site.bases, g.Real) }

func (d *draft) load(g cluster.Guest) int { return len(d.vipsOf(g)) }

// vipsOf returns what a server holds in the layout so far, in address order.
func (d *draft) vipsOf(g cluster.Guest) []netip.Addr {
	var out []netip.Addr
	for _, v := range d.site.vips {
		if h, ok := d.Holder[v]; ok && h == g {
			out = append(out, v)
		}
	}
	return out
}

// reals returns the real servers that serve the group in the layout so far.
func (d *draft) reals() []netip.Addr {
	var out []netip.Addr
	for _, v := range d.site.vips {
		if h, ok := d.Holder[v]; ok && !slices.Contains(out, h.Real) {
			out = append(out, h.Real)
		}
	}
	return out
}
