package cluster_test

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/cluster/clustertest"
)

var ip = clustertest.IP

// light are the rows of W1, which holds the VIP of W2 too, and of two others.
func light(t *testing.T) cluster.Rows {
	return clustertest.Tables(t, `
		op: Web 201 105 W1 2
		op: Web 201 102 W1 2
		op: Mail 202 104 M2 4
		op: FTP 201 106 Fs 53`).Operation
}

func TestSelections(t *testing.T) {
	rows := light(t)
	for name, tt := range map[string]struct {
		got  cluster.Rows
		want []int // of rows
	}{
		"of a server":            {rows.Of("W1"), []int{0, 1}},
		"of a stranger":          {rows.Of("W2"), nil},
		"without a server":       {rows.Without("W1"), []int{2, 3}},
		"without a stranger":     {rows.Without("W2"), []int{0, 1, 2, 3}},
		"for a VIP":              {rows.ForVIP(ip("104")), []int{2}},
		"in a group":             {rows.InGroup("FTP"), []int{3}},
		"on a real server":       {rows.On(ip("201")), []int{0, 1, 3}},
		"with a row there":       {rows.With(rows[2]), []int{0, 1, 2, 3}},
		"with the row of others": {rows[:2].With(rows[2]), []int{0, 1, 2}},
	} {
		t.Run(name, func(t *testing.T) {
			var want cluster.Rows
			for _, i := range tt.want {
				want = append(want, rows[i])
			}
			if d := cmp.Diff(want, tt.got, cmpopts.EquateComparable(rows[0].VIP)); d != "" {
				t.Errorf("(-want +got)\n%s", d)
			}
		})
	}
	if !slices.Equal(rows, light(t)) {
		t.Error("a selection changed the rows")
	}
}

func TestWhoStandsInRows(t *testing.T) {
	rows := light(t)
	for what, ok := range map[string]bool{
		"a server":           rows.Has("Fs") && !rows.Has("F2"),
		"a VIP":              rows.HasVIP(ip("106")) && !rows.HasVIP(ip("103")),
		"VIPs by address":    slices.Equal(rows.Of("W1").VIPs(), []netip.Addr{ip("102"), ip("105")}),
		"servers by name":    slices.Equal(rows.Hosts(), []string{"Fs", "M2", "W1"}),
		"servers by row":     slices.Equal(rows.Guests(), []cluster.Guest{rows[0].Guest(), rows[2].Guest(), rows[3].Guest()}),
		"order of the group": slices.MinFunc(rows, cluster.ServerRow.Compare) == rows[3],
		"order of the VIP":   slices.MinFunc(rows[:2], cluster.ServerRow.Compare) == rows[1],
	} {
		if !ok {
			t.Errorf("%s: wrong", what)
		}
	}
}
