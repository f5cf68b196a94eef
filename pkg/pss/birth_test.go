package pss_test

import (
	"context"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/pss"
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

// lateLists tells what ran on a real server some seconds ago, and how often a
// saved guest was restored.
type lateLists struct {
	pss.Fleet
	restored *atomic.Int32
}

func (l lateLists) Guests(ctx context.Context, real netip.Addr) ([]cluster.GuestInfo, error) {
	list, err := l.Fleet.Guests(ctx, real)
	time.Sleep(4900 * time.Millisecond)
	return list, err
}

func (l lateLists) Restore(ctx context.Context, g cluster.Guest) error {
	l.restored.Add(1)
	return l.Fleet.Restore(ctx, g)
}

// A spare still runs when the real servers are asked, and is at rest by the
// time they all have answered: it is not brought up again to be put to rest.
func TestSpareAtRestStaysThere(t *testing.T) {
	play(t, "", noPS2, func(r *rig) {
		fleet := lateLists{r.model, new(atomic.Int32)}
		r.fleet = fleet
		r.load(80)
		r.start()
		r.spares()
		time.Sleep(time.Minute)
		if n := fleet.restored.Load(); n > 0 {
			r.Errorf("restored %d times", n)
		}
	})
}
