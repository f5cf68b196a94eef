package plan

import (
	"slices"
	"testing"

	"pss-msbs/pkg/cluster"
)

// guest finds where a server of t is.
func guest(t cluster.Tables, host string) cluster.Guest {
	for _, r := range slices.Concat(t.Operation, t.AccessStop, t.Separation) {
		if r.Host == host {
			return r.Guest()
		}
	}
	panic("no row of " + host)
}

// TestMoveRows: what one VIP move does to operation, access-stop and separation (SPEC 3).
func TestMoveRows(t *testing.T) {
	f := &fleet{prefix: lan}
	a4 := shifted(paper(), "all=PS1")
	mail2 := shifted(a4, "Mail=PS2")
	big := shifted(build(lan, 5, "A: A1@1=101 A2@3=102 A3@4=103 A4@5=104 | As / 1 2"), "A=PS1") // As holds 102 and 104
	dat := cluster.HomeNames{f.ip(101): "M1", f.ip(104): "M2"}                                  // once M2 serves .101, no row tells whose .104 is
	for _, c := range []struct {
		name                              string
		from                              cluster.Tables
		vip                               int
		to                                string
		held                              []int
		operation, accessStop, separation string
	}{
		{"a home server that holds no VIP any more", paper(), 105, "W1", nil,
			"101:M1@201 102:W1@201 103:F1@202 104:M2@202 105:W1@201 106:F2@203", "105:W2@203", ""},
		{"back home: it leaves access-stop, the spare enters it", a4, 105, "W2", nil,
			"101:M1@201 102:W1@201 103:F1@202 104:M2@202 105:W2@203 106:Fs@201", "105:Ws@202 106:F2@203", ""},
		{"a VIP only held for another leaves no row", mail2, 104, "M2", nil,
			"101:M1@201 102:W1@201 103:F1@202 104:M2@202 105:Ws@202 106:Fs@201", "105:W2@203 106:F2@203", ""},
		{"a spare keeps serving its other VIP", big, 104, "A4", nil,
			"101:A1@201 102:As@202 103:A1@201 104:A4@205", "102:A2@203 103:A3@204", ""},
		{"a spare stands for each VIP it held", MoveRows(big, big.Homes(nil), Move{VIP: f.ip(104), To: guest(big, "A4")}), 102, "A2", []int{102, 104},
			"101:A1@201 102:A2@203 103:A1@201 104:A4@205", "102:As@202 103:A3@204 104:As@202", ""},
		{"the same VIP to who has it", paper(), 105, "W2", nil, home3a, "", ""},
		{"from a backup: separation keeps the home VIP", separate(mail2, "M1", "Mb"), 104, "M2", nil,
			"101:Mb@200 102:W1@201 103:F1@202 104:M2@202 105:Ws@202 106:Fs@201", "105:W2@203 106:F2@203", "101:M1@201"},
		{"a spare failed: its separation row goes", separate(a4, "Ws", ""), 105, "W1", nil,
			"101:M1@201 102:W1@201 103:F1@202 104:M2@202 105:W1@201 106:Fs@201", "105:W2@203 106:F2@203", ""},
		{"a home without backup failed: its recovery goes on", separate(paper(), "M1", ""), 101, "M2", nil,
			"101:M2@202 102:W1@201 103:F1@202 104:M2@202 105:W2@203 106:F2@203", "", "101:M1@201"},
		{"its VIP only held for another goes, its own stays", MoveRows(separate(mail2, "M1", ""), separate(mail2, "M1", "").Homes(dat), Move{VIP: f.ip(101), To: guest(mail2, "M2")}), 104, "M2", nil,
			"101:M2@202 102:W1@201 103:F1@202 104:M2@202 105:Ws@202 106:Fs@201", "105:W2@203 106:F2@203", "101:M1@201"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := Move{VIP: f.ip(c.vip), To: guest(c.from, c.to)}
			for _, n := range c.held {
				m.Held = append(m.Held, f.ip(n))
			}
			got := MoveRows(c.from, c.from.Homes(dat), m)
			if rows(got.Operation) != c.operation || rows(got.AccessStop) != c.accessStop || rows(got.Separation) != c.separation {
				t.Errorf("\n got %s | %s | %s\nwant %s | %s | %s", rows(got.Operation), rows(got.AccessStop), rows(got.Separation),
					c.operation, c.accessStop, c.separation)
			}
		})
	}
}

// TestHomes: what the seven files tell of homes, and what only a .dat can.
func TestHomes(t *testing.T) {
	f := &fleet{prefix: lan}
	spread := shifted(build(lan, 3, "A: A1@1=103 A2@3=101 A3@3=102 | As / 1 2"), "A=PS1")
	// A1 and A2 hold each other's VIP, as between two moves: no row tells whose is whose.
	swapped := build(lan, 2, "A: A1@1=102 A2@2=101 / 1")
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
		{"failed, given to another home", MoveRows(separate(paper(), "M1", ""), separate(paper(), "M1", "").Homes(nil), Move{VIP: f.ip(101), To: guest(paper(), "M2")}), nil, 101, "M1"},
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
