package ops

import (
	"cmp"
	"net/netip"
	"slices"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/mgmtdata"
)

// ServerData is the management data of one virtual server.
type ServerData = mgmtdata.Server

// Data is the management data of all servers (Table 2), with which pss tells
// home servers, backups and spares apart.
type Data struct {
	Servers []mgmtdata.Server
	Reals   []mgmtdata.Real
}

// Of returns the data of host.
func (d Data) Of(host string) (mgmtdata.Server, bool) {
	i := slices.IndexFunc(d.Servers, func(s mgmtdata.Server) bool { return s.Host == host })
	if i < 0 {
		return mgmtdata.Server{}, false
	}
	return d.Servers[i], true
}

// TargetOf is the server whose backup host is.
func (d Data) TargetOf(backup string) (mgmtdata.Server, bool) {
	i := slices.IndexFunc(d.Servers, func(s mgmtdata.Server) bool { return s.Backup == backup && backup != "" })
	if i < 0 {
		return mgmtdata.Server{}, false
	}
	return d.Servers[i], true
}

// IsBackup reports whether host stands in for another server.
func (d Data) IsBackup(host string) bool { _, ok := d.TargetOf(host); return ok }

// HasBackup reports whether a backup can stand in for host.
func (d Data) HasBackup(host string) bool { s, ok := d.Of(host); return ok && s.Backup != "" }

// Daemons are the service daemons of host; a spare's are those of its group's
// first home server in name order.
func (d Data) Daemons(host, group string) []string {
	if s, ok := d.Of(host); ok {
		return s.Daemons
	}
	var first *mgmtdata.Server
	for i, s := range d.Servers {
		if s.Group == group && s.VIP.IsValid() && (first == nil || cmp.Less(s.Host, first.Host)) {
			first = &d.Servers[i]
		}
	}
	if first == nil {
		return nil
	}
	return first.Daemons
}

// Homes are the homes that the data name.
func (d Data) Homes() cluster.HomeNames {
	out := cluster.HomeNames{}
	for _, s := range d.Servers {
		if s.VIP.IsValid() {
			out[s.VIP] = s.Host
		}
	}
	return out
}

// Spare is the management data of a spare that serves vip on real: the eight
// lines that its sif writes for its dbss.
func (d Data) Spare(s cluster.SpareRow, real, vip netip.Addr) mgmtdata.Server {
	return mgmtdata.Server{VIP: vip, Host: s.Host, IP: s.IP, Group: s.Group,
		Daemons: d.Daemons(s.Host, s.Group), Real: real}
}
