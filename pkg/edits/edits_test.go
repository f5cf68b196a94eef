package edits

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/cluster/clustertest"
)

var (
	ip, tables, text, clean = clustertest.IP, clustertest.Tables, clustertest.Text, clustertest.Clean

	mgmt = ip("200")
	mb   = cluster.Guest{Host: "Mb", IP: ip("61"), Real: mgmt}
)

func homeM1() Target { return Target{Host: "M1", Kind: HomeKind, Home: ip("101")} }

func TestRowEdits(t *testing.T) {
	a3 := func(host string) func(*cluster.Tables) error {
		return func(t *cluster.Tables) error { return Separate(t, host) }
	}
	a4 := func(t *cluster.Tables) error { return Substitute(t, "M1", mb) }
	a4failed := func(t *cluster.Tables) error { return Abandon(t, "M1", "Mb") }
	a5 := func(t *cluster.Tables) error { return GiveBack(t, homeM1(), "Mb") }
	moving := func(t *cluster.Tables) error { return Relocate(t, "M1", mb.On(ip("201"))) }
	for _, tc := range []struct {
		name    string
		edit    func(*cluster.Tables) error
		in, out string
		refused cluster.Standing // set: refused, nothing changed
		why     string
	}{
		{name: "A3 takes one row", edit: a3("M1"),
			in:  "op: Mail 201 101 M1 1\n op: Mail 202 104 M2 4",
			out: "op: Mail 202 104 M2 4\n sep: Mail 201 101 M1 1"},
		{name: "A3 takes every VIP of a light target", edit: a3("M1"),
			in:  "op: Mail 201 101 M1 1\n op: Mail 201 104 M1 1\n stop: Mail 202 104 M2 4",
			out: "stop: Mail 202 104 M2 4\n sep: Mail 201 101 M1 1\n sep: Mail 201 104 M1 1"},
		{name: "A3 again", edit: a3("M1"),
			in:  "op: Mail 202 104 M2 4\n sep: Mail 201 101 M1 1",
			out: "op: Mail 202 104 M2 4\n sep: Mail 201 101 M1 1"},
		{name: "A3 of a serving backup leaves the target's row", edit: a3("Mb"),
			in:  "op: Mail 201 101 Mb 61\n sep: Mail 201 101 M1 1",
			out: "sep: Mail 201 101 M1 1\n sep: Mail 201 101 Mb 61"},
		{name: "A3 in access stop", edit: a3("M2"), in: "op: Mail 201 104 M1 1\n stop: Mail 202 104 M2 4",
			refused: cluster.AccessStop, why: "M2 has no operation row"},
		{name: "A3 of a stranger", edit: a3("X1"), in: "op: Mail 201 101 M1 1",
			refused: cluster.NotInFiles, why: "X1 has no operation row"},

		{name: "A4 gives the backup each VIP", edit: a4,
			in:  "sep: Mail 201 101 M1 1\n sep: Mail 201 104 M1 1",
			out: "op: Mail 200 101 Mb 61\n op: Mail 200 104 Mb 61\n sep: Mail 201 101 M1 1\n sep: Mail 201 104 M1 1"},
		{name: "A4 again, after a migration", edit: a4,
			in:  "op: Mail 203 101 Mb 61\n sep: Mail 201 101 M1 1",
			out: "op: Mail 203 101 Mb 61\n sep: Mail 201 101 M1 1"},
		{name: "A4 leaves a VIP that pss gave to another", edit: a4,
			in:  "op: Mail 202 104 M2 4\n sep: Mail 201 101 M1 1\n sep: Mail 201 104 M1 1",
			out: "op: Mail 202 104 M2 4\n op: Mail 200 101 Mb 61\n sep: Mail 201 101 M1 1\n sep: Mail 201 104 M1 1"},
		{name: "A4 ends the backup's own separation", edit: a4,
			in:  "sep: Mail 201 101 M1 1\n sep: Mail 200 101 Mb 61",
			out: "op: Mail 200 101 Mb 61\n sep: Mail 201 101 M1 1"},
		{name: "A4 where another serves", edit: a4, in: "op: Mail 202 101 M2 4\n sep: Mail 201 101 M1 1",
			refused: cluster.Separated, why: "others serve every VIP of M1"},
		{name: "A4 of a target in operation", edit: a4, in: "op: Mail 201 101 M1 1",
			refused: cluster.Operating, why: "M1 has no separation row"},

		{name: "A4-failed before A4", edit: a4failed, in: "sep: Mail 201 101 M1 1", out: "sep: Mail 201 101 M1 1"},
		{name: "A4-failed after A4", edit: a4failed,
			in:  "op: Mail 202 104 M2 4\n op: Mail 200 101 Mb 61\n sep: Mail 201 101 M1 1",
			out: "op: Mail 202 104 M2 4\n sep: Mail 201 101 M1 1"},
		{name: "A4-failed loses no VIP of the backup", edit: a4failed,
			in:  "op: Mail 200 101 Mb 61\n op: Mail 200 104 Mb 61\n sep: Mail 201 101 M1 1",
			out: "sep: Mail 201 101 M1 1\n sep: Mail 201 104 M1 1"},
		{name: "A4-failed of a target in operation", edit: a4failed, in: "op: Mail 201 101 M1 1",
			refused: cluster.Operating, why: "M1 has no separation row"},

		{name: "A5 recovered", edit: a5,
			in:  "op: Mail 202 104 M2 4\n op: Mail 200 101 Mb 61\n sep: Mail 201 101 M1 1",
			out: "op: Mail 202 104 M2 4\n op: Mail 201 101 M1 1"},
		{name: "A5 recovered again", edit: a5, in: "op: Mail 201 101 M1 1", out: "op: Mail 201 101 M1 1"},
		{name: "A5 recovered, two VIPs", edit: a5,
			in:  "op: Mail 200 101 Mb 61\n op: Mail 200 104 Mb 61\n stop: Mail 202 104 M2 4\n sep: Mail 201 101 M1 1\n sep: Mail 201 104 M1 1",
			out: "op: Mail 201 101 M1 1\n op: Mail 201 104 M1 1\n stop: Mail 202 104 M2 4"},
		{name: "A5 recovered, nobody serves", edit: a5, in: "sep: Mail 201 101 M1 1", out: "op: Mail 201 101 M1 1"},
		{name: "A5 recovered, pss took the foreign VIP and its row", edit: a5,
			in:  "op: Mail 200 101 Mb 61\n op: Mail 202 104 M2 4\n sep: Mail 201 101 M1 1",
			out: "op: Mail 202 104 M2 4\n op: Mail 201 101 M1 1"},
		{name: "A5 recovered, another serves the foreign VIP", edit: a5,
			in:  "op: Mail 200 101 Mb 61\n op: Mail 202 104 M2 4\n sep: Mail 201 101 M1 1\n sep: Mail 201 104 M1 1",
			out: "op: Mail 202 104 M2 4\n op: Mail 201 101 M1 1"},
		{name: "A5 recovered, others serve all: access stop with the home VIP", edit: a5,
			in:  "op: Mail 202 101 M2 4\n op: Mail 202 104 M2 4\n sep: Mail 201 101 M1 1\n sep: Mail 201 104 M1 1",
			out: "op: Mail 202 101 M2 4\n op: Mail 202 104 M2 4\n stop: Mail 201 101 M1 1"},
		{name: "A5 recovered again, in access stop", edit: a5,
			in:  "op: Mail 202 101 M2 4\n stop: Mail 201 101 M1 1",
			out: "op: Mail 202 101 M2 4\n stop: Mail 201 101 M1 1"},
		{name: "A5 recovered ends the backup's separation", edit: a5,
			in:  "sep: Mail 201 101 M1 1\n sep: Mail 200 101 Mb 61",
			out: "op: Mail 201 101 M1 1"},
		{name: "A5 recovered takes over a VIP of the backup without a row", edit: a5,
			in:  "op: Mail 200 101 Mb 61\n op: Mail 200 104 Mb 61\n sep: Mail 201 101 M1 1",
			out: "op: Mail 201 101 M1 1\n op: Mail 201 104 M1 1"},
		{name: "A5 recovered, no row of the target", edit: a5, in: "op: Mail 202 101 M2 4",
			refused: cluster.NotInFiles, why: "M1 has no separation row left"},
		{name: "A5 recovered, no row of the target, the backup serves", edit: a5, in: "op: Mail 200 101 Mb 61",
			refused: cluster.NotInFiles, why: "M1 has no separation row left"},
		{name: "A5 recovered, the server that had its VIP meanwhile has failed", edit: a5,
			in:  "sep: Mail 201 101 M1 1\n sep: Mail 202 101 M2 4\n sep: Mail 202 104 M2 4",
			out: "stop: Mail 201 101 M1 1\n sep: Mail 202 101 M2 4\n sep: Mail 202 104 M2 4"},
		{name: "A5 recovered, of that other server", edit: func(t *cluster.Tables) error {
			return GiveBack(t, Target{Host: "M2", Kind: HomeKind, Home: ip("104")}, "")
		},
			in:  "sep: Mail 201 101 M1 1\n sep: Mail 202 101 M2 4\n sep: Mail 202 104 M2 4",
			out: "op: Mail 202 101 M2 4\n op: Mail 202 104 M2 4\n sep: Mail 201 101 M1 1"},
		{name: "A5 recovered, a spare", edit: func(t *cluster.Tables) error { return GiveBack(t, Target{Host: "Ms", Kind: SpareKind}, "") },
			in:  "op: Mail 202 101 M2 4\n op: Mail 202 104 M2 4\n sep: Mail 201 101 Ms 51\n sep: Mail 201 104 Ms 51\n spare: Mail Ms 51",
			out: "op: Mail 202 101 M2 4\n op: Mail 202 104 M2 4\n stop: Mail 201 101 Ms 51\n stop: Mail 201 104 Ms 51\n spare: Mail Ms 51"},
		{name: "A5 recovered, a backup that nobody replaced", edit: func(t *cluster.Tables) error { return GiveBack(t, Target{Host: "Mb", Kind: BackupKind}, "") },
			in:  "sep: Mail 201 101 M1 1\n sep: Mail 203 101 Mb 61",
			out: "op: Mail 203 101 Mb 61\n sep: Mail 201 101 M1 1"},
		{name: "A5 recovered, a backup that pss replaced", edit: func(t *cluster.Tables) error { return GiveBack(t, Target{Host: "Mb", Kind: BackupKind}, "") },
			in:  "op: Mail 202 101 M2 4\n sep: Mail 201 101 M1 1\n sep: Mail 203 101 Mb 61",
			out: "op: Mail 202 101 M2 4\n sep: Mail 201 101 M1 1"},
		{name: "A5 recovered, no .dat tells the home", edit: func(t *cluster.Tables) error { return GiveBack(t, Target{Host: "M1"}, "Mb") },
			in:  "op: Mail 203 101 M3 9\n op: Mail 203 104 M3 9\n stop: Mail 202 104 M2 4\n sep: Mail 201 101 M1 1\n sep: Mail 201 104 M1 1",
			out: "op: Mail 203 101 M3 9\n op: Mail 203 104 M3 9\n stop: Mail 202 104 M2 4\n stop: Mail 201 101 M1 1"},

		{name: "A5 moving", edit: moving,
			in:  "op: Mail 200 101 Mb 61\n op: Mail 200 104 Mb 61\n op: Web 201 102 W1 2\n sep: Mail 201 101 M1 1",
			out: "op: Mail 201 101 Mb 61\n op: Mail 201 104 Mb 61\n op: Web 201 102 W1 2\n sep: Mail 201 101 M1 1"},
		{name: "A5 moving again", edit: moving,
			in:  "op: Mail 201 101 Mb 61\n sep: Mail 201 101 M1 1",
			out: "op: Mail 201 101 Mb 61\n sep: Mail 201 101 M1 1"},
		{name: "A5 moving after the target came back", edit: moving, in: "op: Mail 201 101 M1 1",
			refused: cluster.Operating, why: "M1 has no separation row left"},
		{name: "A5 moving a backup that serves nothing", edit: moving, in: "sep: Mail 201 101 M1 1",
			refused: cluster.Separated, why: "Mb has no operation row"},

		{name: "sleep", edit: func(t *cluster.Tables) error { return Sleep(t, ip("201")) },
			in: "real: 201\n real: 202", out: "real: 202\n asleep: 201"},
		{name: "sleep again", edit: func(t *cluster.Tables) error { return Sleep(t, ip("201")) },
			in: "real: 202\n asleep: 201", out: "real: 202\n asleep: 201"},
		{name: "wake", edit: func(t *cluster.Tables) error { return Wake(t, ip("201")) },
			in: "real: 202\n asleep: 201", out: "real: 202\n real: 201"},
		{name: "a spare stopped", edit: func(t *cluster.Tables) error { StopSpare(t, "Ms"); return nil },
			in: "stop: Mail 201 101 Ms 51\n stop: Mail 202 104 M2 4\n spare: Mail Ms 51", out: "stop: Mail 202 104 M2 4\n spare: Mail Ms 51"},

		{name: "B3", edit: func(t *cluster.Tables) error { return DropReal(t, ip("201")) },
			in: "real: 201\n real: 202", out: "real: 202"},
		{name: "B3 again", edit: func(t *cluster.Tables) error { return DropReal(t, ip("201")) },
			in: "real: 202", out: "real: 202"},
		{name: "B3 of a suspended one", edit: func(t *cluster.Tables) error { return DropReal(t, ip("201")) },
			in: "real: 202\n asleep: 201", refused: cluster.RealAsleep, why: ip("201").String() + " is suspended"},
		{name: "B4 row", edit: func(t *cluster.Tables) error {
			return ReturnReal(t, cluster.RealRow{IP: ip("201"), MAC: cluster.MAC{5: 1}})
		}, in: "real: 202", out: "real: 202\n real: 201"},
		{name: "B4 row again", edit: func(t *cluster.Tables) error { return ReturnReal(t, cluster.RealRow{IP: ip("201")}) },
			in: "real: 201", out: "real: 201"},
		{name: "B4 row of a suspended one", edit: func(t *cluster.Tables) error { return ReturnReal(t, cluster.RealRow{IP: ip("201")}) },
			in: "asleep: 201", refused: cluster.RealAsleep, why: ip("201").String() + " is suspended"},
		{name: "B4 row without MAC", edit: func(t *cluster.Tables) error { return ReturnReal(t, cluster.RealRow{IP: ip("201")}) },
			in: "real: 202", refused: cluster.RealOutside, why: "the MAC address of " + ip("201").String() + " is not known"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			before := tables(t, tc.in)
			got := before.Clone()
			err := tc.edit(&got)
			if tc.refused != "" {
				var no *Refusal
				if !errors.As(err, &no) || no.Standing != tc.refused || no.Why != tc.why {
					t.Fatalf("got error %v, want refusal %q (%s)", err, tc.why, tc.refused)
				}
				tc.out = tc.in
			} else if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(clean(tc.out), text(got)); d != "" {
				t.Errorf("(-want +got)\n%s", d)
			}
			if d := cmp.Diff(clean(tc.in), text(before)); d != "" {
				t.Errorf("the edit changed the tables of its caller (-want +got)\n%s", d)
			}
		})
	}
}
