package sim

import (
	"fmt"
	"net/netip"
	"slices"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/mgmtdata"
	"pss-msbs/pkg/settings"
	"pss-msbs/pkg/sim/spec"
)

// realMemoryKB is the memory of a machine in Table 3.
const realMemoryKB = 8 << 20

// DefaultLoad keeps a group in Moderate: it is above [class] moderate.
const DefaultLoad = 55

// FromTables describes the fleet of which the seven files and the management
// data speak: home servers run with their VIPs, suspended hosts sleep, backups
// and spares do not exist yet unless the files have them serving. A host in
// neither real file, and a server in separation, is off.
func FromTables(t cluster.Tables, servers []mgmtdata.Server, reals []mgmtdata.Real, s settings.Settings) (spec.Spec, error) {
	if !s.Management.IP.IsValid() {
		return spec.Spec{}, fmt.Errorf("cannot emulate the fleet: settings name no [management] ip")
	}
	b := builder{t: t, s: s, servers: servers}
	b.spec = spec.Spec{Management: s.Management.IP, References: s.Network.References, Times: spec.DefaultTimes(),
		Balancer: spec.DefaultBalancer(), Load: DefaultLoad, StripDeadline: s.DSRS.StripDeadline.D()}
	b.spec.Balancer.PerSecond = s.Class.MonitorAccessesPerSecond
	b.hosts(reals)
	b.homes()
	b.backups()
	b.spares()
	b.vips()
	return b.spec, nil
}

type builder struct {
	t       cluster.Tables
	s       settings.Settings
	servers []mgmtdata.Server
	spec    spec.Spec
}

func (b *builder) hosts(reals []mgmtdata.Real) {
	add := func(ip netip.Addr, mac cluster.MAC, state spec.HostState) {
		if slices.ContainsFunc(b.spec.Hosts, func(h spec.HostSpec) bool { return h.IP == ip }) {
			return
		}
		name := ip.String()
		if i := slices.IndexFunc(reals, func(r mgmtdata.Real) bool { return r.IP == ip }); i >= 0 {
			name = reals[i].Host
		}
		p := b.s.PowerOf(ip)
		b.spec.Hosts = append(b.spec.Hosts, spec.HostSpec{Name: name, IP: ip, MAC: mac, State: state,
			ActiveW: p.ActiveW, SuspendedW: p.SuspendedW, MemoryKB: realMemoryKB})
	}
	for _, r := range b.t.Real {
		add(r.IP, r.MAC, spec.Active)
	}
	for _, r := range b.t.Suspended {
		add(r.IP, r.MAC, spec.Suspended)
	}
	for _, r := range reals {
		add(r.IP, r.MAC, spec.Off)
	}
	slices.SortFunc(b.spec.Hosts, func(x, y spec.HostSpec) int { return x.IP.Compare(y.IP) })
}

func (b *builder) homes() {
	for _, d := range b.servers {
		if !d.Real.IsValid() || b.t.IsSpare(d.Host) {
			continue
		}
		b.guest(d.Host, d.IP, d.Group, spec.Virtual, d.Daemons, d.Real)
		if n := slices.IndexFunc(b.spec.Guests, func(g spec.GuestSpec) bool { return g.Host == d.Host }); n >= 0 {
			b.spec.Guests[n].Backup = d.Backup
		}
	}
}

func (b *builder) backups() {
	for _, d := range b.servers {
		if d.Backup != "" {
			b.guest(d.Backup, d.BackupIP, d.Group, spec.Backup, d.Daemons, b.s.Management.IP)
		}
	}
}

// spares have no .dat: their daemons are those of the group's home servers.
func (b *builder) spares() {
	for _, sp := range b.t.Spares {
		var daemons []string
		for _, d := range b.servers {
			if d.Group == sp.Group {
				daemons = d.Daemons
				break
			}
		}
		b.guest(sp.Host, sp.IP, sp.Group, spec.Spare, daemons, netip.Addr{})
	}
}

func (b *builder) guest(host string, ip netip.Addr, group string, kind spec.Kind, daemons []string, home netip.Addr) {
	if slices.ContainsFunc(b.spec.Guests, func(g spec.GuestSpec) bool { return g.Host == host }) {
		return
	}
	sz := b.s.ServerOf(host)
	g := spec.GuestSpec{Host: host, IP: ip, Group: group, Kind: kind, Daemons: daemons, Home: home,
		MemoryKB: sz.MemoryKB, Cores: sz.Cores, NetworkMbps: sz.NetworkMbps}
	op, stop := b.t.Operation.Of(host), b.t.AccessStop.Of(host)
	switch {
	case len(op) > 0:
		g.On, g.VIPs = op[0].Real, op.VIPs()
	case len(stop) > 0 && (kind != spec.Spare || b.hostState(stop[0].Real) == spec.Active):
		g.On = stop[0].Real
	}
	if b.hostState(g.On) == spec.Off {
		g.On, g.VIPs = netip.Addr{}, nil
	}
	b.spec.Guests = append(b.spec.Guests, g)
}

func (b *builder) hostState(ip netip.Addr) spec.HostState {
	if ip == b.spec.Management {
		return spec.Active
	}
	for _, h := range b.spec.Hosts {
		if h.IP == ip {
			return h.State
		}
	}
	return spec.Off
}

func (b *builder) vips() {
	for _, rows := range []cluster.Rows{b.t.Operation, b.t.Separation, b.t.AccessStop} {
		for _, r := range rows {
			if !slices.ContainsFunc(b.spec.VIPs, func(v spec.VIPSpec) bool { return v.VIP == r.VIP }) {
				b.spec.VIPs = append(b.spec.VIPs, spec.VIPSpec{VIP: r.VIP, Group: r.Group})
			}
		}
	}
	slices.SortFunc(b.spec.VIPs, func(x, y spec.VIPSpec) int { return x.VIP.Compare(y.VIP) })
}
