package cluster

import (
	"net/netip"
)

// Standing is how a server stands in the seven files, as A1 and B1 say it.
type Standing string

// The standings of a virtual server, and those of a real server.
const (
	Operating   Standing = "operating"
	AccessStop  Standing = "access-stop"
	Separated   Standing = "separated"
	NotInFiles  Standing = "unknown"
	RealActive  Standing = "active"    // in real-server
	RealAsleep  Standing = "suspended" // in suspension-real
	RealOutside Standing = "out"       // in neither
)

// Standing is how host stands, and its rows that say so: one that stands in
// several files (a spare may) counts as in operation, else as in separation.
func (t Tables) Standing(host string) (Standing, Rows) {
	for _, f := range []struct {
		standing Standing
		rows     Rows
	}{{Operating, t.Operation}, {Separated, t.Separation}, {AccessStop, t.AccessStop}} {
		if rows := f.rows.Of(host); len(rows) > 0 {
			return f.standing, rows
		}
	}
	return NotInFiles, nil
}

// RealStanding is in which of its two files a real server stands.
func (t Tables) RealStanding(real netip.Addr) Standing {
	switch {
	case t.IsActive(real):
		return RealActive
	case t.IsAsleep(real):
		return RealAsleep
	}
	return RealOutside
}
