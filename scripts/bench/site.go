package main

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/mgmtdata"
)

// site is a generated system: every real server hosts the same number of
// virtual servers, each with a backup, spread over the groups.
type site struct {
	servers []mgmtdata.Server
	reals   []mgmtdata.Real
	groups  []string
}

// management is the address of the management server, references those of the
// balancer and the client.
const (
	management = "10.9.0.200"
	references = `["10.9.0.210", "10.9.0.220"]`
	bases      = 2 // base servers of each group
)

func addr(kind, host, n int) netip.Addr {
	return netip.AddrFrom4([4]byte{10, byte(kind), byte(host), byte(n)})
}

func newSite(o options) site {
	var s site
	for g := range o.groups {
		s.groups = append(s.groups, fmt.Sprintf("G%d", g+1))
	}
	for h := 1; h <= o.reals; h++ {
		real := mgmtdata.Real{IP: addr(9, 0, h), Host: fmt.Sprintf("RS%d", h), MAC: cluster.MAC{2, 0, 0, 0, 0, byte(h)}}
		for n := 1; n <= o.each; n++ {
			name := fmt.Sprintf("V%d-%d", h, n)
			s.servers = append(s.servers, mgmtdata.Server{
				VIP: addr(1, h, n), Host: name, IP: addr(0, h, n), Group: s.groups[n%o.groups], Daemons: []string{"httpd"},
				Backup: "B" + name, BackupIP: addr(2, h, n), Real: real.IP,
			})
			real.Servers = append(real.Servers, name)
		}
		s.reals = append(s.reals, real)
	}
	return s
}

// write lays the configuration out in dir: the seven files, every .dat, those
// of backups too, and the settings.
func (s site) write(dir, settings string) error {
	files := map[string]string{
		"settings.toml": settings, "operation.conf": s.operation(), "state.conf": s.state(), "spare-server.conf": s.spares(),
		"real-server.conf": s.realRows(), "access-stop.conf": "", "separation.conf": "", "suspension-real.conf": "",
	}
	for _, d := range s.servers {
		backup := mgmtdata.Server{Host: d.Backup, IP: d.BackupIP, Group: d.Group, Daemons: d.Daemons}
		files[d.Host+".dat"] = string(mgmtdata.FormatServer(d))
		files[d.Backup+".dat"] = string(mgmtdata.FormatServer(backup))
	}
	for _, r := range s.reals {
		files[r.Host+".dat"] = string(mgmtdata.FormatReal(r))
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}

func (s site) operation() string {
	var b strings.Builder
	for _, d := range s.servers {
		fmt.Fprintln(&b, d.Group, d.Real, d.VIP, d.Host, d.IP)
	}
	return b.String()
}

func (s site) realRows() string {
	var b strings.Builder
	for _, r := range s.reals {
		fmt.Fprintln(&b, r.IP, r.MAC)
	}
	return b.String()
}

// state gives every group its bases, the groups spread over the real servers.
func (s site) state() string {
	var b strings.Builder
	for i, g := range s.groups {
		fmt.Fprint(&b, g, " ", cluster.Moderate)
		for k := range min(bases, len(s.reals)) {
			fmt.Fprint(&b, " ", s.reals[(i+k)%len(s.reals)].IP)
		}
		fmt.Fprintln(&b)
	}
	return b.String()
}

func (s site) spares() string {
	var b strings.Builder
	for i, g := range s.groups {
		fmt.Fprintln(&b, g, "- -", "S"+g, addr(3, 0, i+1))
	}
	return b.String()
}

func (s site) names() (servers, reals []string) {
	for _, d := range s.servers {
		servers = append(servers, d.Host)
	}
	for _, r := range s.reals {
		reals = append(reals, r.Host)
	}
	return servers, reals
}
