package check

import (
	"net/netip"
	"os"
	"path/filepath"
	"slices"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/settings"
)

// references warns where the network references cannot tell "the target is
// dead" from "we are cut off": there is none, or what stands there answers, or
// is silent, whatever the network does.
func (c *checker) references(w *warner, set settings.Settings) {
	file := filepath.Join(c.dir, settings.File)
	b, _ := os.ReadFile(file)
	line := settings.Line(b, "network.references", "network")
	refs := set.Network.References
	if len(refs) == 0 {
		w.add(file, line, "[network] references is empty: a management server that is cut off takes sound servers for dead")
	}
	for i, ip := range refs {
		if why := c.useless(ip, set); why != "" {
			w.add(file, line, "[network] references: %v proves nothing: %s", ip, why)
		} else if slices.Contains(refs[:i], ip) {
			w.add(file, line, "[network] references: %v stands there twice", ip)
		}
	}
}

// useless says why ip is no reference, or nothing.
func (c *checker) useless(ip netip.Addr, set settings.Settings) string {
	ip = ip.Unmap()
	switch {
	case ip == set.Management.IP:
		return "it is the management server itself, which always answers itself"
	case ip.IsLoopback():
		return "a loopback address always answers"
	case ip.IsUnspecified() || ip.IsMulticast():
		return "it is no address of a host"
	case slices.Contains(c.allReals(), ip) || slices.ContainsFunc(c.reals, func(r realServer) bool { return r.IP == ip }):
		return "it is a real server, which may be asleep"
	case slices.Contains(c.allVIPs(), ip):
		return "it is a VIP, which is silent when its server fails"
	}
	if host := c.guestAt(ip); host != "" {
		return "it is the address of " + host + ", which may be what fails"
	}
	return ""
}

func (c *checker) allVIPs() []netip.Addr {
	var all []netip.Addr
	c.rows(func(_ place, row cluster.ServerRow) { all = append(all, row.VIP) })
	for _, s := range c.servers {
		all = append(all, s.VIP) // a backup's is invalid, as no reference is
	}
	return all
}

// guestAt is the managed guest with this address of its own, "" for none.
func (c *checker) guestAt(ip netip.Addr) (host string) {
	c.rows(func(_ place, row cluster.ServerRow) {
		if row.IP == ip {
			host = row.Host
		}
	})
	for _, s := range c.servers {
		switch ip {
		case s.IP:
			host = s.Host
		case s.BackupIP:
			host = s.Backup
		}
	}
	for _, s := range c.snap.Tables.Spares {
		if s.IP == ip {
			host = s.Host
		}
	}
	return host
}
