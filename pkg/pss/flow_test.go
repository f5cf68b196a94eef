package pss_test

import (
	"testing"
	"time"

	"pss-msbs/pkg/cluster"
)

// A full round of Fig. 2: Moderate, PS1, PS2, PS1, Moderate.
func TestRound(t *testing.T) {
	play(t, "", nil, func(r *rig) {
		begun := time.Now()
		r.start()
		r.spares()
		r.reach(cluster.PS2, 10*time.Minute)
		if got := r.mon.hosts(); len(got) != 1 || got[0] != "Fs" {
			r.Logf("monitors in PS2: %v", got)
		}
		r.accesses(5)
		r.reach(cluster.PS1, 3*time.Minute)
		r.load(80)
		r.reach(cluster.Moderate, 2*time.Minute)
		r.noLoss(begun)
	})
}
