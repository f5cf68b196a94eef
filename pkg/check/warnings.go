package check

import (
	"net/netip"
	"os"
	"path/filepath"
	"slices"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/conffile"
	"pss-msbs/pkg/diag"
	"pss-msbs/pkg/settings"
)

type warner struct{ list diag.List }

func (w *warner) add(file string, line int, format string, args ...any) {
	w.list.Add(file, line, "warning: "+format, args...)
}

// warnings are what is valid and probably not meant. Looked for only where
// there is no fault.
func (c *checker) warnings(set settings.Settings) diag.List {
	w := &warner{}
	c.thresholds(w, set)
	for i, st := range c.snap.Tables.State {
		c.bases(w, i, st)
	}
	c.missing(w)
	c.strangers(w, set)
	c.management(w, set)
	c.references(w, set)
	return w.list.Sorted()
}

// thresholds: PS2 halves the servers, which doubles the load of each. A light
// group would be moderate at once.
func (c *checker) thresholds(w *warner, set settings.Settings) {
	file := filepath.Join(c.dir, settings.File)
	b, _ := os.ReadFile(file) // missing: the defaults stand in no line
	warn := func(of, at string, cl settings.Class) {
		if 2*cl.Light >= cl.Moderate {
			w.add(file, settings.Line(b, at+".light", at+".moderate"), "%s: 2 x light (%g) >= moderate (%g): PS2 doubles the load of the servers left, and the group may go back at once", of, cl.Light, cl.Moderate)
		}
	}
	warn("[class]", "class", set.Class)
	for name, g := range set.Group {
		if g.Class.Light != set.Class.Light || g.Class.Moderate != set.Class.Moderate {
			warn("[group."+name+"]", "group."+name, g.Class)
		}
	}
}

// bases warns where no real server can sleep by this group: in PS1 because its
// bases are all there are, in PS2 because its servers are already where the
// first bases keep real servers awake.
func (c *checker) bases(w *warner, i int, st cluster.StateRow) {
	file, line := c.snap.File(conffile.State), c.snap.Line(conffile.State, i)
	all := c.allReals()
	if len(all) > 0 && contains(st.Bases, all) {
		w.add(file, line, "the bases of %s save nothing in PS1: no real server is left to sleep (%s)", st.Group, joined(all))
	}
	var first, homes []netip.Addr
	for _, s := range c.snap.Tables.State {
		first = append(first, s.Bases[0])
	}
	for _, h := range c.homeServers() {
		if h.group == st.Group {
			homes = append(homes, h.real)
		}
	}
	if len(homes) > 0 && contains(first, homes) {
		w.add(file, line, "the bases of %s save nothing in PS2: its servers stay on first bases anyway (%s)", st.Group, joined(sorted(homes)))
	}
}

// strangers warns of settings for what does not exist: a slip in a name that
// would silently do nothing.
func (c *checker) strangers(w *warner, set settings.Settings) {
	file := filepath.Join(c.dir, settings.File)
	b, _ := os.ReadFile(file)
	warn := func(known bool, table, what string) {
		if !known {
			w.add(file, settings.Line(b, table), "[%s]: there is no such %s", table, what)
		}
	}
	for name := range set.Group {
		_, known := c.snap.Tables.StateOf(name)
		warn(known, "group."+name, "group")
	}
	for name := range set.Servers {
		warn(c.isServer(name), "server."+name, "server")
	}
	for ip := range set.Reals {
		known := slices.Contains(c.allReals(), ip) || slices.ContainsFunc(c.reals, func(r realServer) bool { return r.IP == ip })
		warn(known || ip == set.Management.IP, "real."+ip.String(), "real server")
	}
}

func (c *checker) isServer(name string) (is bool) {
	c.rows(func(_ place, row cluster.ServerRow) { is = is || row.Host == name })
	_, backup := c.backups[name]
	_, home := c.homes[name]
	return is || backup || home || c.snap.Tables.IsSpare(name)
}

func (c *checker) allReals() []netip.Addr {
	var all []netip.Addr
	for _, rows := range [][]cluster.RealRow{c.snap.Tables.Real, c.snap.Tables.Suspended} {
		for _, r := range rows {
			all = append(all, r.IP)
		}
	}
	return sorted(all)
}

func sorted(a []netip.Addr) []netip.Addr {
	slices.SortFunc(a, netip.Addr.Compare)
	return slices.Compact(a)
}

func contains(set, all []netip.Addr) bool {
	return !slices.ContainsFunc(all, func(a netip.Addr) bool { return !slices.Contains(set, a) })
}
