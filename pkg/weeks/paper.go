package weeks

import (
	"net/netip"
	"time"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/load"
	"pss-msbs/pkg/replay"
	"pss-msbs/pkg/settings"
)

// Paper is a week of the paper's system (SPEC 1) and what to replay it with: its
// seven files and backups, and the settings, where only the types of the groups
// are no default.
func Paper(set settings.Settings, interval time.Duration) (Plan, replay.Input) {
	ip := func(n byte) netip.Addr { return netip.AddrFrom4([4]byte{172, 21, 14, n}) }
	in := replay.Input{Settings: set, Backups: map[string]string{"M1": "Mb", "M2": "Mb2", "W1": "Wb", "W2": "Wb2", "F1": "Fb", "F2": "Fb2"}}
	in.Settings.Group = map[string]settings.Group{"Mail": {Type: cluster.Network, Class: set.Class}, "Web": {Type: cluster.CPUNet, Class: set.Class},
		"FTP": {Type: cluster.Network, Class: set.Class}}
	for i, r := range []struct {
		group, host string
		real        byte
	}{{"Mail", "M1", 201}, {"Web", "W1", 201}, {"FTP", "F1", 202}, {"Mail", "M2", 202}, {"Web", "W2", 203}, {"FTP", "F2", 203}} {
		n := byte(i + 1)
		in.Tables.Operation = append(in.Tables.Operation, cluster.ServerRow{Group: r.group, Real: ip(r.real), VIP: ip(100 + n), Host: r.host, IP: ip(n)})
	}
	for n := byte(1); n <= 3; n++ {
		in.Tables.Real = append(in.Tables.Real, cluster.RealRow{IP: ip(200 + n), MAC: cluster.MAC{5: n}})
	}
	size := load.Capacity{MemKB: float64(set.Server.MemoryKB), Cores: float64(set.Server.Cores), NetKBs: load.RatedKBs(set.Server.NetworkMbps)}
	p := Plan{Interval: interval, Days: 7, Size: size}
	for i, g := range []string{"Mail", "Web", "FTP"} {
		in.Tables.Spares = append(in.Tables.Spares, cluster.SpareRow{Group: g, Host: g[:1] + "s", IP: ip(byte(51 + i))})
		in.Tables.State = append(in.Tables.State, cluster.StateRow{Group: g, Condition: cluster.Moderate, Bases: []netip.Addr{ip(201), ip(202)}})
		p.Groups = append(p.Groups, Group{Name: g, Hosts: []string{g[:1] + "1", g[:1] + "2"}})
	}
	return p, in
}
