package pss_test

import (
	"path/filepath"
	"slices"
	"testing"
	"time"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/ipc"
)

// A spare that is still remembered as failed is not thrown away while a shift
// starts it: between its start and its first row it looks unused.
func TestSpareIsNotRetiredWhileAShiftStartsIt(t *testing.T) {
	play(t, "", noPS2, func(r *rig) {
		r.load(80)
		r.start()
		r.spares()
		r.load(10)
		r.until(time.Minute, "the start of Ws", func() bool { return r.logged("spare server start") == 2 })
		r.ok(ipc.Failed{Dir: filepath.Join(r.dir, "run")}.Add("Ws"))
		r.reach(cluster.PS1, time.Minute)
		if n := r.logged("failed spare server thrown away"); n != 0 {
			r.Errorf("thrown away %d times", n)
		}
		if got := r.mon.hosts(); !slices.Equal(got, []string{"Fs", "Ws"}) {
			r.Errorf("monitors of spares: %v", got)
		}
	})
}
