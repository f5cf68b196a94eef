package model

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/ipc"
	"pss-msbs/pkg/mgmtdata"
	"pss-msbs/pkg/sif/verbs"
)

// Scope says what is let loose on the system: the fewer, the smaller the search.
type Scope struct {
	Name     string
	Wants    map[string][]cluster.Condition // of each group, one after the other
	Monitors []string                       // the virtual servers with a dbss
	Reals    []string                       // the real servers with a dsrs
	Victims  []string                       // the guests that may die or freeze
	Left     map[string]int                 // budgets: how often something may go wrong
	Broken   Broken                         // the deliberate fault of the protocol; "" is the protocol
}

// System is a small system under a scope: two groups of two home servers each
// on three real servers, every home server with a backup, each group a spare.
type System struct {
	scope   Scope
	groups  []string
	vips    []netip.Addr
	guests  []cluster.Guest // as they stand at home; spares nowhere
	hosts   []netip.Addr    // the last is the management server
	servers []mgmtdata.Server
	reals   []mgmtdata.Real
	homes   cluster.HomeNames
	tables  known
	plans   []planned
	planIDs map[string]int16
	memo    memo

	chains, powers, stops, monitors, restores []int8 // indices of processes
	rescue                                    int8
	names                                     []string // of processes
}

// The guests, in the order of System.guests.
const (
	homesN = 4 // W1 W2 F1 F2, then their backups, then the spares
	spares = 8
)

func addr(last int) netip.Addr { return netip.AddrFrom4([4]byte{172, 21, 14, byte(last)}) }

// New builds the system: W1 on RS1, W2 on RS3, F1 on RS2, F2 on RS3, bases RS1 RS2.
func New(scope Scope) *System {
	y := &System{scope: scope, groups: []string{"Web", "FTP"}, homes: cluster.HomeNames{},
		hosts:  []netip.Addr{addr(201), addr(202), addr(203), addr(200)},
		tables: known{ids: map[string]int16{}}, planIDs: map[string]int16{}, memo: newMemo()}
	y.tables.all = append(y.tables.all, cluster.Tables{}) // 0 is none
	y.plans = append(y.plans, planned{})
	for _, h := range []struct {
		name, group, backup string
		real, ip            int
	}{{"W1", "Web", "Wb", 201, 2}, {"W2", "Web", "Wb2", 203, 5}, {"F1", "FTP", "Fb", 202, 3}, {"F2", "FTP", "Fb2", 203, 6}} {
		d := mgmtdata.Server{VIP: addr(100 + h.ip), Host: h.name, IP: addr(h.ip), Group: h.group, Daemons: []string{"httpd"},
			Backup: h.backup, BackupIP: addr(60 + h.ip), Real: addr(h.real)}
		y.servers, y.vips = append(y.servers, d), append(y.vips, d.VIP)
		y.guests = append(y.guests, cluster.Guest{Host: d.Host, IP: d.IP, Real: d.Real})
		y.homes[d.VIP] = d.Host
	}
	for _, d := range y.servers[:homesN] {
		y.guests = append(y.guests, cluster.Guest{Host: d.Backup, IP: d.BackupIP, Real: addr(200)})
		y.servers = append(y.servers, mgmtdata.Server{Host: d.Backup, IP: d.BackupIP, Group: d.Group, Daemons: d.Daemons})
	}
	y.guests = append(y.guests, cluster.Guest{Host: "Ws", IP: addr(52)}, cluster.Guest{Host: "Fs", IP: addr(53)})
	for i := range 3 {
		r := mgmtdata.Real{IP: addr(201 + i), Host: fmt.Sprintf("RS%d", i+1), MAC: cluster.MAC{2, 0, 0, 0, 0, byte(i + 1)}}
		for _, d := range y.servers {
			if d.Real == r.IP {
				r.Servers = append(r.Servers, d.Host)
			}
		}
		y.reals = append(y.reals, r)
	}
	y.staff()
	return y
}

// staff gives every process its index.
func (y *System) staff() {
	add := func(name string) int8 {
		y.names = append(y.names, name)
		return int8(len(y.names) - 1)
	}
	add("pss")
	for _, g := range y.groups {
		y.chains = append(y.chains, add("pss/"+g))
	}
	for _, r := range y.reals {
		y.powers = append(y.powers, add("pss/"+r.Host))
	}
	for _, s := range y.guests[spares:] {
		y.stops = append(y.stops, add("pss/"+s.Host))
	}
	y.rescue = add("pss/rescue")
	for _, m := range y.scope.Monitors {
		y.monitors = append(y.monitors, add("dbss "+m))
	}
	for _, r := range y.scope.Reals {
		y.restores = append(y.restores, add("dsrs "+r))
	}
}

// initial is the system in Moderate, everything served.
func (y *System) initial() State {
	var t cluster.Tables
	for _, d := range y.servers[:homesN] {
		t.Operation = append(t.Operation, cluster.ServerRow{Group: d.Group, Real: d.Real, VIP: d.VIP, Host: d.Host, IP: d.IP})
	}
	for i, g := range y.groups {
		t.Spares = append(t.Spares, cluster.SpareRow{Group: g, Host: y.guests[spares+i].Host, IP: y.guests[spares+i].IP})
		t.State = append(t.State, cluster.StateRow{Group: g, Condition: cluster.Moderate, Bases: []netip.Addr{addr(201), addr(202)}})
	}
	for _, r := range y.reals {
		t.Real = append(t.Real, cluster.RealRow{IP: r.IP, MAC: r.MAC})
	}
	s := State{files: y.intern(t), lock: nobody}
	for i, g := range y.guests {
		s.guests[i] = guest{at: y.host(g.Real), power: paused}
		s.monitor[i] = nobody
		switch {
		case i < homesN:
			s.guests[i].power, s.guests[i].vips = up, 1<<i
		case i >= spares:
			s.guests[i].power = saved
		}
	}
	for i, name := range budgets {
		s.left[i] = uint8(y.scope.Left[name])
	}
	for p := range y.names {
		if !y.isTask(int8(p)) {
			s.procs[p].pc = started
		}
	}
	for i, m := range y.scope.Monitors {
		s.monitor[y.guest(m)] = y.monitors[i]
	}
	return s
}

// nobody holds a lock; nowhere is no host.
const (
	nobody  = -1
	nowhere = -1
)

// isTask reports whether p is one of pss's parallel tasks.
func (y *System) isTask(p int8) bool { return p > 0 && p <= y.rescue }

func (y *System) host(ip netip.Addr) int8 { return int8(slices.Index(y.hosts, ip)) }

func (y *System) guest(name string) int8 {
	return int8(slices.IndexFunc(y.guests, func(g cluster.Guest) bool { return g.Host == name }))
}

func (y *System) vip(ip netip.Addr) int { return slices.Index(y.vips, ip) }

func (y *System) mask(ips []netip.Addr) vips {
	var m vips
	for _, ip := range ips {
		m |= 1 << y.vip(ip)
	}
	return m
}

// intern is the number of tables, whatever the order of their rows.
func (y *System) intern(t cluster.Tables) int16 {
	t = t.Clone()
	for _, rows := range []cluster.Rows{t.Operation, t.AccessStop, t.Separation} {
		slices.SortFunc(rows, cluster.ServerRow.Compare)
	}
	for _, rows := range []cluster.RealRows{t.Real, t.Suspended} {
		slices.SortFunc(rows, func(a, b cluster.RealRow) int { return a.IP.Compare(b.IP) })
	}
	key := text(t)
	id, ok := y.tables.ids[key]
	if !ok {
		id = int16(len(y.tables.all))
		y.tables.all, y.tables.ids[key] = append(y.tables.all, t), id
	}
	return id
}

// text is tables as a trace prints them.
func text(t cluster.Tables) string {
	var b strings.Builder
	last := func(a netip.Addr) string { f := strings.Split(a.String(), "."); return f[len(f)-1] }
	rows := func(name string, rows cluster.Rows) {
		fmt.Fprintf(&b, "%s[", name)
		for _, r := range rows {
			fmt.Fprintf(&b, " %s:%s@%s", last(r.VIP), r.Host, last(r.Real))
		}
		b.WriteString(" ] ")
	}
	rows("op", t.Operation)
	rows("stop", t.AccessStop)
	rows("sep", t.Separation)
	b.WriteString("asleep[")
	for _, r := range t.Suspended {
		b.WriteString(" " + last(r.IP))
	}
	b.WriteString(" ] real[")
	for _, r := range t.Real {
		b.WriteString(" " + last(r.IP))
	}
	b.WriteString(" ]")
	for _, r := range t.State {
		fmt.Fprintf(&b, " %s=%s", r.Group, r.Condition)
	}
	return b.String()
}

// facts are what sif knows beside the files.
func (y *System) facts(failed guests) verbs.Facts {
	return verbs.Facts{
		Management: addr(200),
		Failed:     func(host string) bool { g := y.guest(host); return g >= 0 && failed&(1<<g) != 0 },
		Server: func(host string) (mgmtdata.Server, bool) {
			i := slices.IndexFunc(y.servers, func(d mgmtdata.Server) bool { return d.Host == host })
			if i < 0 {
				return mgmtdata.Server{}, false
			}
			return y.servers[i], true
		},
		Real: func(ip netip.Addr) (mgmtdata.Real, bool) {
			i := slices.IndexFunc(y.reals, func(d mgmtdata.Real) bool { return d.IP == ip })
			if i < 0 {
				return mgmtdata.Real{}, false
			}
			return y.reals[i], true
		},
	}
}

// backupOf is the backup of a home server as a request names it.
func (y *System) backupOf(g int8) *ipc.Server {
	if g >= homesN {
		return nil
	}
	return ipc.BackupOf(y.servers[g])
}
