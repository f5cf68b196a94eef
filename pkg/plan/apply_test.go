package plan

import (
	"testing"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/edits"
)

// guest finds where a server of t is.
func guest(t cluster.Tables, host string) cluster.Guest {
	for _, r := range t.Rows() {
		if r.Host == host {
			return r.Guest()
		}
	}
	panic("no row of " + host)
}

// TestHomes: what the seven files tell of homes, and what only a .dat can.
func TestHomes(t *testing.T) {
	f := &fleet{prefix: lan}
	spread := shifted(build(lan, 3, "A: A1@1=103 A2@3=101 A3@3=102 | As / 1 2"), "A=PS1")
	// A1 and A2 hold each other's VIP, as between two moves: no row tells whose is whose.
	swapped := build(lan, 2, "A: A1@1=102 A2@2=101 / 1")
	given := separate(paper(), "M1", "")
	edits.Move{VIP: f.ip(101), To: guest(given, "M2")}.Make(&given, given.Homes(nil))
	truth := cluster.HomeNames{f.ip(101): "A1", f.ip(102): "A2"}
	for _, c := range []struct {
		name  string
		t     cluster.Tables
		known cluster.HomeNames
		vip   int
		home  string
	}{
		{"in operation", paper(), nil, 105, "W2"},
		{"in access-stop", shifted(paper(), "all=PS1"), nil, 105, "W2"},
		{"in separation, served by a backup", separate(paper(), "M1", "Mb"), nil, 101, "M1"},
		{"in separation, nobody serves", separate(paper(), "M1", ""), nil, 101, "M1"},
		{"held for another, both with the backup", separate(shifted(paper(), "Mail=PS2"), "M1", "Mb"), nil, 104, "M2"},
		{"failed, given to another home", given, nil, 101, "M1"},
		{"in operation with another's VIP only", spread, nil, 103, "A1"},
		{"by the .dat: another holds it", swapped, truth, 101, "A1"},
		{"by the .dat: it holds another's", swapped, truth, 102, "A2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := c.t.Homes(c.known)[f.ip(c.vip)].Host; got != c.home {
				t.Errorf("home is %q, want %s\noperation %s\naccess-stop %s", got, c.home, rows(c.t.Operation), rows(c.t.AccessStop))
			}
		})
	}
}
