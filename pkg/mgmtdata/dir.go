package mgmtdata

import (
	"errors"
	"net/netip"
	"strings"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/diag"
)

// add reads one .dat, a server's or a real server's by its shape.
func (d Dir) add(path string) diag.List {
	b, err := read(path)
	if err != nil {
		return diag.List{{File: path, Line: 1, Text: err.Error()}}
	}
	if isReal(b) {
		r, err := ParseReal(path, b)
		if err == nil {
			d.Reals[path] = r
		}
		return asList(path, err)
	}
	s, err := ParseServer(path, b)
	if err == nil {
		d.Servers[path] = s
	}
	return asList(path, err)
}

// Server is the data of the virtual server host.
func (d Dir) Server(host string) (Server, bool) {
	for _, s := range d.Servers {
		if s.Host == host {
			return s, true
		}
	}
	return Server{}, false
}

// Real is the data of the real server at ip.
func (d Dir) Real(ip netip.Addr) (Real, bool) {
	for _, r := range d.Reals {
		if r.IP == ip {
			return r, true
		}
	}
	return Real{}, false
}

func asList(path string, err error) diag.List {
	var l *diag.List
	switch {
	case err == nil:
		return nil
	case errors.As(err, &l):
		return *l
	}
	return diag.List{{File: path, Line: 1, Text: err.Error()}}
}

// isReal tells a DSRS's data from a DBSS's: by the number of lines, and where
// that fits neither, by what stands in lines 1 and 3.
func isReal(b []byte) bool {
	text := split(b)
	switch n := len(text); {
	case n == RealLines, n == RealLines+1 && text[RealLines] == "":
		return true
	case n == ServerLines, n == ServerLines+1 && text[ServerLines] == "":
		return false
	}
	if len(text) >= LineRealMAC {
		if _, err := cluster.ParseMAC(text[LineRealMAC-1]); err == nil {
			return true
		}
		if _, err := netip.ParseAddr(text[LineIP-1]); err == nil {
			return false
		}
	}
	return len(text) <= RealLines
}

// FormatServer writes the eight lines of s, the inverse of ParseServer.
func FormatServer(s Server) []byte {
	return join(addr(s.VIP), s.Host, addr(s.IP), s.Group, strings.Join(s.Daemons, " "), s.Backup, addr(s.BackupIP), addr(s.Real))
}

// FormatReal writes the four lines of r, the inverse of ParseReal.
func FormatReal(r Real) []byte {
	return join(addr(r.IP), r.Host, r.MAC.String(), strings.Join(r.Servers, " "))
}

func addr(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

func join(lines ...string) []byte { return []byte(strings.Join(lines, "\n") + "\n") }

// IsBackup reports whether s is a backup's data: no VIP of its own, no real server.
func (s Server) IsBackup() bool { return !s.VIP.IsValid() && !s.Real.IsValid() }
