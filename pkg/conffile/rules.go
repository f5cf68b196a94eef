package conffile

import (
	"net/netip"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/diag"
)

// ServerFiles are the three files of rows about servers.
func ServerFiles() []string { return []string{Operation, AccessStop, Separation} }

// ServerRows are the rows of one of the ServerFiles.
func (s *Snapshot) ServerRows(file string) cluster.Rows {
	switch file {
	case Operation:
		return s.Tables.Operation
	case AccessStop:
		return s.Tables.AccessStop
	}
	return s.Tables.Separation
}

// rules collects the faults of rows that contradict each other (SPEC 3). What
// may arise while the programs run is none: a backup on the management server
// or migrated, a home server with several VIPs, a spare in any of the files
// besides its own, a VIP in separation and in operation, a real server or a
// base in neither real file.
type rules struct {
	s      *Snapshot
	faults diag.List

	vips  map[netip.Addr]place // in operation
	roles map[netip.Addr]role
	hosts map[string]*host
	group map[netip.Addr]string // of a VIP
}

// place is where a row stands.
type place struct {
	file string
	line int
}

// role is what an address was first seen as.
type role struct {
	vip  bool
	host string // whose own address it is
}

// host is what the rows say of one server.
type host struct {
	ip, real netip.Addr
	group    string
	file     string // the first of the three files it stands in
	spare    bool
}

func (s *Snapshot) cross() diag.List {
	r := &rules{s: s, vips: map[netip.Addr]place{}, roles: map[netip.Addr]role{}, hosts: map[string]*host{}, group: map[netip.Addr]string{}}
	for i, sp := range s.Tables.Spares {
		at := place{Spare, s.Line(Spare, i)}
		r.hostAt(at, sp.Host, sp.IP, sp.Group).spare = true
		r.hasState(at, sp.Group)
	}
	for _, file := range ServerFiles() {
		for i, row := range s.ServerRows(file) {
			r.server(place{file, s.Line(file, i)}, row)
		}
	}
	r.reals()
	return r.faults
}

func (r *rules) fault(at place, format string, args ...any) {
	r.faults.Add(r.s.File(at.file), at.line, format, args...)
}

func (r *rules) server(at place, row cluster.ServerRow) {
	h := r.hostAt(at, row.Host, row.IP, row.Group)
	if !h.real.IsValid() {
		h.real = row.Real
	}
	if h.real != row.Real {
		r.fault(at, "%s has two real servers, %s and %s", row.Host, h.real, row.Real)
	}
	if h.file == "" {
		h.file = at.file
	}
	if h.file != at.file && !h.spare {
		r.fault(at, "%s stands in %s too", row.Host, h.file)
	}
	r.vip(at, row)
	r.hasState(at, row.Group)
}

func (r *rules) vip(at place, row cluster.ServerRow) {
	if first, ok := r.vips[row.VIP]; ok && at.file == Operation {
		r.fault(at, "VIP %s stands in operation twice, first in line %d", row.VIP, first.line)
	}
	if _, ok := r.vips[row.VIP]; !ok && at.file == Operation {
		r.vips[row.VIP] = at
	}
	if g, ok := r.group[row.VIP]; ok && g != row.Group {
		r.fault(at, "VIP %s has two groups, %s and %s", row.VIP, g, row.Group)
	}
	r.group[row.VIP] = row.Group
	if was, ok := r.roles[row.VIP]; ok && !was.vip {
		r.fault(at, "VIP %s is %s's own address too", row.VIP, was.host)
	} else {
		r.roles[row.VIP] = role{vip: true}
	}
}

// hostAt notes one mention of a server and compares it with the earlier ones.
func (r *rules) hostAt(at place, name string, ip netip.Addr, group string) *host {
	h := r.hosts[name]
	if h == nil {
		h = &host{ip: ip, group: group}
		r.hosts[name] = h
	}
	if h.ip != ip {
		r.fault(at, "%s has two IP addresses, %s and %s", name, h.ip, ip)
	}
	if h.group != group {
		r.fault(at, "%s has two groups, %s and %s", name, h.group, group)
	}
	was, ok := r.roles[ip]
	switch {
	case !ok:
		r.roles[ip] = role{host: name}
	case was.vip:
		r.fault(at, "%s's own address %s is a VIP too", name, ip)
	case was.host != name:
		r.fault(at, "%s has two names, %s and %s", ip, was.host, name)
	}
	return h
}

func (r *rules) hasState(at place, group string) {
	if !r.s.clean[State] {
		return // its row may be the faulty one
	}
	if _, ok := r.s.Tables.StateOf(group); ok {
		return
	}
	r.fault(at, "group %s has no row in %s", group, State)
}

// reals demands that a real server's IP and MAC stand once over both files.
func (r *rules) reals() {
	ips, macs := map[netip.Addr]place{}, map[cluster.MAC]place{}
	for _, f := range []struct {
		file string
		rows cluster.RealRows
	}{{Real, r.s.Tables.Real}, {Suspended, r.s.Tables.Suspended}} {
		for i, row := range f.rows {
			at := place{f.file, r.s.Line(f.file, i)}
			if first, ok := ips[row.IP]; ok {
				r.fault(at, "real server %s stands in %s line %d too", row.IP, first.file, first.line)
			} else if first, ok := macs[row.MAC]; ok {
				r.fault(at, "MAC address %s stands in %s line %d too", row.MAC, first.file, first.line)
			}
			ips[row.IP], macs[row.MAC] = at, at
		}
	}
}

// emptied finds files of no byte at all that cannot be meant: an editor that
// writes in place empties the file first. The programs never leave such a file.
func (s *Snapshot) emptied(contents map[string][]byte) diag.List {
	var faults diag.List
	t := s.Tables
	served := len(t.Operation)+len(t.Separation) > 0
	for name, odd := range map[string]bool{
		Operation: !served && len(t.State) > 0,
		Real:      served && len(t.Suspended) == 0,
		State:     served,
	} {
		if b, ok := contents[name]; ok && len(b) == 0 && odd {
			s.clean[name] = false
			faults.Add(s.File(name), 1, "empty: half written?")
		}
	}
	return faults
}
