package check

import (
	"net/netip"
	"path/filepath"
	"strings"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/conffile"
	"pss-msbs/pkg/mgmtdata"
	"pss-msbs/pkg/settings"
)

// realServers compares each real server's .dat with the rows of the two real
// files, with the servers it names, and with the other ones.
func (c *checker) realServers() {
	macs, hosts := map[cluster.MAC]realServer{}, map[string]realServer{}
	for _, r := range c.reals {
		c.realRows(r, conffile.Real, c.snap.Tables.Real)
		c.realRows(r, conffile.Suspended, c.snap.Tables.Suspended)
		if first, ok := macs[r.MAC]; ok {
			c.contradicts(r.file, mgmtdata.LineRealMAC, "MAC address "+r.MAC.String(), place{first.file, mgmtdata.LineRealMAC}, "it is "+first.Host+"'s")
		} else {
			macs[r.MAC] = r
		}
		for _, name := range r.Servers {
			if first, ok := hosts[name]; ok {
				c.contradicts(r.file, mgmtdata.LineServers, name+" on "+r.Host, place{first.file, mgmtdata.LineServers}, "it is on "+first.Host)
				continue
			}
			hosts[name] = r
			c.hosted(r, name)
		}
	}
}

func (c *checker) realRows(r realServer, file string, rows cluster.RealRows) {
	for i, row := range rows {
		at := place{c.snap.File(file), c.snap.Line(file, i)}
		if row.IP == r.IP && row.MAC != r.MAC {
			c.contradicts(r.file, mgmtdata.LineRealMAC, "MAC address "+r.MAC.String(), at, row.MAC.String())
		}
		if row.MAC == r.MAC && row.IP != r.IP {
			c.contradicts(r.file, mgmtdata.LineRealIP, "IP address "+r.IP.String(), at, row.IP.String())
		}
	}
}

// hosted compares one name of line 4 with that server's .dat and rows.
func (c *checker) hosted(r realServer, name string) {
	if s, ok := c.homes[name]; ok {
		if s.Real != r.IP {
			c.contradicts(r.file, mgmtdata.LineServers, name+" on "+r.IP.String(), place{s.file, mgmtdata.LineReal}, s.Real.String())
		}
		return
	}
	if _, backup := c.backups[name]; backup || c.snap.Tables.IsSpare(name) {
		return
	}
	c.rows(func(at place, row cluster.ServerRow) {
		if row.Host == name && row.Real != r.IP {
			c.contradicts(r.file, mgmtdata.LineServers, name+" on "+r.IP.String(), at, row.Real.String())
		}
	})
}

// home is where a home server of a group stays.
type home struct {
	group string
	real  netip.Addr
}

// homeServers are the home servers by host: from the .dat files, and from the
// rows of hosts without one. A row whose VIP stands in separation under another
// host is a backup's.
func (c *checker) homeServers() map[string]home {
	out := map[string]home{}
	c.rows(func(_ place, row cluster.ServerRow) {
		_, backup := c.backups[row.Host]
		for _, sep := range c.snap.Tables.Separation {
			backup = backup || sep.VIP == row.VIP && sep.Host != row.Host
		}
		if !backup && !c.snap.Tables.IsSpare(row.Host) {
			out[row.Host] = home{row.Group, row.Real}
		}
	})
	for host, s := range c.homes {
		if !c.snap.Tables.IsSpare(host) {
			out[host] = home{s.Group, s.Real}
		}
	}
	return out
}

// missing warns of data that a monitor will look for.
func (c *checker) missing(w *warner) {
	if len(c.servers)+len(c.reals) == 0 {
		return
	}
	for _, s := range c.servers {
		c.fileName(w, s.file, s.Host)
		if s.Backup != "" && !c.exists(s.Backup+".dat") {
			w.add(s.file, mgmtdata.LineBackup, "there is no %s.dat: nobody can monitor %s while it serves", s.Backup, s.Backup)
		}
	}
	for _, r := range c.reals {
		c.fileName(w, r.file, r.Host)
		for _, name := range r.Servers {
			if !c.exists(name + ".dat") {
				w.add(r.file, mgmtdata.LineServers, "there is no %s.dat: nobody monitors %s", name, name)
			}
		}
	}
}

func (c *checker) fileName(w *warner, file, host string) {
	if filepath.Base(file) != host+".dat" {
		w.add(file, mgmtdata.LineHost, "the programs look for %s.dat", host)
	}
}

// management warns where backups have nowhere to run.
func (c *checker) management(w *warner, set settings.Settings) {
	if len(c.backups) > 0 && !set.Management.IP.IsValid() {
		w.add(filepath.Join(c.dir, settings.File), 1, "[management] ip is not set: backups need it")
	}
}

func joined(reals []netip.Addr) string {
	var out []string
	for _, r := range reals {
		out = append(out, r.String())
	}
	return strings.Join(out, " ")
}
