package ipc

import (
	"net/netip"
	"slices"
	"testing"

	"pss-msbs/pkg/cluster"
)

func TestReturning(t *testing.T) {
	vip1, vip2 := netip.MustParseAddr("172.21.14.101"), netip.MustParseAddr("172.21.14.102")
	row := func(host string, vip netip.Addr) cluster.ServerRow { return cluster.ServerRow{Host: host, VIP: vip} }
	for name, c := range map[string]struct {
		rows HeldRows
		want []netip.Addr
	}{
		"held by its backup": {HeldRows{TargetSeparation: cluster.Rows{row("M1", vip1)},
			BackupOperation: cluster.Rows{row("Mb", vip1)}, Operation: cluster.Rows{row("Mb", vip1)}}, []netip.Addr{vip1}},
		"held by nobody": {HeldRows{TargetSeparation: cluster.Rows{row("M1", vip1)}}, []netip.Addr{vip1}},
		"held by another home": {HeldRows{TargetSeparation: cluster.Rows{row("M1", vip1), row("M1", vip2)},
			Operation: cluster.Rows{row("M2", vip2), row("Mb", vip1)}, BackupOperation: cluster.Rows{row("Mb", vip1)}}, []netip.Addr{vip1}},
		"in operation, its dbss gone": {HeldRows{TargetOperation: cluster.Rows{row("M1", vip2), row("M1", vip1)}}, []netip.Addr{vip1, vip2}},
		"in access stop":              {HeldRows{TargetAccessStop: cluster.Rows{row("M1", vip1)}}, nil},
	} {
		if got := c.rows.Returning("M1", "Mb"); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}
