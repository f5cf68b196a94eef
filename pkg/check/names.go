package check

import (
	"net/netip"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/conffile"
	"pss-msbs/pkg/mgmtdata"
)

// registry holds every name with its address and every address with its name.
type registry struct {
	c    *checker
	ips  map[string]claim
	host map[netip.Addr]claim
	vips map[netip.Addr]place
}

type claim struct {
	host string
	ip   netip.Addr
	at   place
}

// names demands one address a name and one name an address, over all files.
// What the rows say of each other is told by conffile.
func (c *checker) names() {
	r := &registry{c: c, ips: map[string]claim{}, host: map[netip.Addr]claim{}, vips: map[netip.Addr]place{}}
	c.rows(func(at place, row cluster.ServerRow) {
		r.note(claim{row.Host, row.IP, at})
		r.vips[row.VIP] = at
	})
	for i, s := range c.snap.Tables.Spares {
		r.note(claim{s.Host, s.IP, place{c.snap.File(conffile.Spare), c.snap.Line(conffile.Spare, i)}})
	}
	r.files()
	for _, s := range c.servers {
		r.add(claim{s.Host, s.IP, place{s.file, mgmtdata.LineIP}})
		if s.VIP.IsValid() {
			r.vip(s.VIP, place{s.file, mgmtdata.LineVIP})
		}
	}
	for _, s := range c.servers {
		if s.Backup != "" {
			r.add(claim{s.Backup, s.BackupIP, place{s.file, mgmtdata.LineBackupIP}})
		}
	}
	for _, s := range c.reals {
		r.add(claim{s.Host, s.IP, place{s.file, mgmtdata.LineRealIP}})
	}
}

// files demands one .dat a name.
func (r *registry) files() {
	first := map[string]string{}
	see := func(host, file string) {
		if other, ok := first[host]; ok {
			r.c.fault(file, mgmtdata.LineHost, "%s has a file already: %s", host, other)
			return
		}
		first[host] = file
	}
	for _, s := range r.c.servers {
		see(s.Host, s.file)
	}
	for _, s := range r.c.reals {
		see(s.Host, s.file)
	}
}

func (r *registry) note(n claim) {
	if _, ok := r.ips[n.host]; !ok {
		r.ips[n.host] = n
	}
	if _, ok := r.host[n.ip]; !ok {
		r.host[n.ip] = n
	}
}

// add compares a claim with what is known and notes it.
func (r *registry) add(n claim) {
	if was, ok := r.ips[n.host]; ok && was.ip != n.ip {
		r.c.fault(n.at.file, n.at.line, "%s has two IP addresses: %s here, %s in %s:%d", n.host, n.ip, was.ip, was.at.file, was.at.line)
	}
	if was, ok := r.host[n.ip]; ok && was.host != n.host {
		r.c.fault(n.at.file, n.at.line, "%s has two names: %s here, %s in %s:%d", n.ip, n.host, was.host, was.at.file, was.at.line)
	}
	if at, ok := r.vips[n.ip]; ok {
		r.c.fault(n.at.file, n.at.line, "%s's own address %s is a VIP in %s:%d", n.host, n.ip, at.file, at.line)
	}
	r.note(n)
}

func (r *registry) vip(vip netip.Addr, at place) {
	if was, ok := r.host[vip]; ok {
		r.c.fault(at.file, at.line, "VIP %s is %s's own address in %s:%d", vip, was.host, was.at.file, was.at.line)
	}
	r.vips[vip] = at
}
