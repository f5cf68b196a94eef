package check

import (
	"net/netip"
	"slices"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/conffile"
	"pss-msbs/pkg/mgmtdata"
)

// rows calls f for every row of the three server files.
func (c *checker) rows(f func(at place, row cluster.ServerRow)) {
	for _, file := range conffile.ServerFiles() {
		for i, row := range c.snap.ServerRows(file) {
			f(place{c.snap.File(file), c.snap.Line(file, i)}, row)
		}
	}
}

// server compares one .dat with the rows of its host.
func (c *checker) server(s server) {
	spare := c.snap.Tables.IsSpare(s.Host)
	stands := spare
	c.rows(func(at place, row cluster.ServerRow) {
		switch {
		case row.Host == s.Host:
			stands = true
			c.row(s, at, row, spare)
		case row.Host == s.Backup:
			if row.Group != s.Group {
				c.contradicts(s.file, mgmtdata.LineGroup, "group "+s.Group, at, "its backup "+s.Backup+" in "+row.Group)
			}
		}
	})
	for i, sp := range c.snap.Tables.Spares {
		if sp.Host == s.Host && sp.Group != s.Group {
			at := place{c.snap.File(conffile.Spare), c.snap.Line(conffile.Spare, i)}
			c.contradicts(s.file, mgmtdata.LineGroup, "group "+s.Group, at, sp.Group)
		}
	}
	if !stands && !s.IsBackup() && c.backups[s.Host].Host == "" && c.snap.Clean(conffile.ServerFiles()...) {
		c.fault(s.file, mgmtdata.LineHost, "home server %s stands in none of operation, access-stop and separation", s.Host)
	}
	c.backup(s)
}

// row compares a home server's or backup's .dat with one row of the same host.
// A backup's real server is where it runs today; a home server stays on its own.
func (c *checker) row(s server, at place, row cluster.ServerRow, spare bool) {
	if row.Group != s.Group {
		c.contradicts(s.file, mgmtdata.LineGroup, "group "+s.Group, at, row.Group)
	}
	if s.IsBackup() || spare {
		return
	}
	if row.Real != s.Real {
		c.contradicts(s.file, mgmtdata.LineReal, "real server "+s.Real.String(), at, row.Real.String())
	}
	stopped := at.file == c.snap.File(conffile.AccessStop)
	if row.VIP != s.VIP && (stopped || !c.homeVIP(row.VIP) || c.astray(s)) {
		c.contradicts(s.file, mgmtdata.LineVIP, "VIP "+s.VIP.String(), at, row.VIP.String())
	}
}

// homeVIP reports whether vip is, or may be, some home server's own: then others
// may hold it while the group is light, or while its server is in trouble.
func (c *checker) homeVIP(vip netip.Addr) (is bool) {
	for _, h := range c.homes {
		is = is || h.VIP == vip
	}
	c.rows(func(at place, row cluster.ServerRow) {
		_, home := c.homes[row.Host]
		_, backup := c.backups[row.Host]
		known := home || backup || c.snap.Tables.IsSpare(row.Host)
		stopped := at.file != c.snap.File(conffile.Operation)
		is = is || !known && (stopped || row.VIP == vip)
	})
	return is
}

// astray reports whether s serves without its own VIP though its group is
// Moderate and free of trouble: no plan leads there.
func (c *checker) astray(s server) bool {
	t := c.snap.Tables
	own := t.Operation.Of(s.Host)
	return t.Condition(s.Group) == cluster.Moderate && len(t.Separation.InGroup(s.Group)) == 0 && len(own) > 0 && !own.HasVIP(s.VIP)
}

// backup compares lines 6 and 7 with the backup's own .dat.
func (c *checker) backup(s server) {
	for _, b := range c.servers {
		if s.Backup == "" || b.Host != s.Backup {
			continue
		}
		if !b.IsBackup() {
			c.fault(b.file, mgmtdata.LineVIP, "%s is %s's backup (%s:%d): lines 1 and 8 must be blank", b.Host, s.Host, s.file, mgmtdata.LineBackup)
		}
		if b.Group != s.Group {
			c.contradicts(b.file, mgmtdata.LineGroup, "group "+b.Group, place{s.file, mgmtdata.LineGroup}, s.Group)
		}
	}
}

func (c *checker) contradicts(file string, line int, says string, at place, other string) {
	c.fault(file, line, "%s contradicts %s:%d: %s", says, at.file, at.line, other)
}

// vips demands that every VIP of the system stands in operation or, while
// nobody serves it, in separation; and that no two servers have one home VIP.
func (c *checker) vips() {
	own := map[netip.Addr]server{}
	for _, s := range c.servers {
		if !s.VIP.IsValid() || c.snap.Tables.IsSpare(s.Host) {
			continue
		}
		if first, ok := own[s.VIP]; ok {
			c.contradicts(s.file, mgmtdata.LineVIP, "VIP "+s.VIP.String(), place{first.file, mgmtdata.LineVIP}, "it is "+first.Host+"'s")
		} else {
			own[s.VIP] = s
		}
	}
	if !c.snap.Clean(conffile.Operation, conffile.Separation) {
		return
	}
	held := slices.Concat(c.snap.Tables.Operation, c.snap.Tables.Separation)
	for i, r := range c.snap.Tables.AccessStop {
		if !held.HasVIP(r.VIP) {
			c.fault(c.snap.File(conffile.AccessStop), c.snap.Line(conffile.AccessStop, i), "VIP %s stands neither in operation nor in separation", r.VIP)
		}
	}
}
