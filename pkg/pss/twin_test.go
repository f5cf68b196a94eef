package pss_test

import (
	"path/filepath"
	"slices"
	"testing"
	"time"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/ipc"
	"pss-msbs/pkg/sim"
)

// A spare's real server is cut off, its VIP is taken over, and its dsrs takes
// the real server out of the files. The spare may still run there, so it is not
// created anew before the real server says that it does not.
func TestNoTwinOfASpareThatIsCutOff(t *testing.T) {
	play(t, "", noPS2, func(r *rig) {
		r.load(80)
		r.start()
		r.spares()
		r.load(10)
		r.reach(cluster.PS1, time.Minute)
		ws := r.guest("Ws")
		r.inject(sim.Partition, "RS2")
		row := cluster.RealRow{IP: ws.Real, MAC: r.mac(ws.Real)}
		r.ok(r.conf.Update(r.ctx, func(t *cluster.Tables) error {
			t.Real = slices.DeleteFunc(t.Real, func(o cluster.RealRow) bool { return o == row })
			return nil
		}))
		r.abandon("Ws")
		failed := ipc.Failed{Dir: filepath.Join(r.dir, "run")}
		r.until(time.Minute, "VIP of Ws taken", func() bool { return r.holder(105) == "W1" || r.holder(105) == "W2" })
		time.Sleep(3 * time.Minute) // a twin is a violation
		if !failed.Has("Ws") {
			r.Error("Ws counts as thrown away, but nobody has reached it")
		}
		r.ok(r.model.Heal("RS2"))
		r.ok(r.model.DelVIP(r.ctx, ws, ip(105))) // what dsrs does first
		r.ok(r.conf.Update(r.ctx, func(t *cluster.Tables) error {
			t.Real = append(t.Real, row)
			return nil
		}))
		r.until(5*time.Minute, "Ws at rest", func() bool {
			st, err := r.model.GuestState(r.ctx, ws)
			return err == nil && st == cluster.GuestSaved && !failed.Has("Ws")
		})
	})
}
