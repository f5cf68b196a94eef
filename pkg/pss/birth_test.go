package pss_test

import (
	"net/netip"
	"testing"

	"pss-msbs/pkg/cluster"
)

// Every base of a group sleeps, which no server of it has at home: its spare is
// created elsewhere, else it could never shift.
func TestSpareIsBornWhereNoBaseIsAwake(t *testing.T) {
	play(t, "", func(r *rig) {
		noPS2(r)
		rs4 := cluster.RealRow{IP: ip(204), MAC: cluster.MAC{5: 4}}
		r.ok(r.conf.Update(r.ctx, func(t *cluster.Tables) error {
			t.Suspended = append(t.Suspended, rs4)
			for i := range t.State {
				if t.State[i].Group == "Web" {
					t.State[i].Bases = []netip.Addr{rs4.IP}
				}
			}
			return nil
		}))
	}, func(r *rig) {
		r.load(80)
		r.start()
		r.spares()
	})
}
