package dbss_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/dbss"
	"pss-msbs/pkg/settings"
	"pss-msbs/pkg/sim"
)

// TestFencedTwice: a target that is taken over once more while it is being brought
// back, and so fenced once more, is recovered as soon as it answers.
func TestFencedTwice(t *testing.T) {
	play(t, settings.Fast, func(r *rig) {
		r.rested("M1")
		r.fault(sim.NetworkCut, "M1")
		r.logged("M1", dbss.MsgInOperation, 10*time.Second)
		time.Sleep(10 * time.Second) // its VIPs are off and its link is up again
		r.edit(func(t *cluster.Tables) {
			t.Operation = slices.DeleteFunc(t.Operation, func(r cluster.ServerRow) bool { return r.Host == "Mb" })
		})
		r.until("a second takeover", 10*time.Second, func() bool { return strings.Count(r.log.messages("M1"), dbss.MsgInOperation) == 2 })
		time.Sleep(10 * time.Second)
		r.heal("M1")
		r.logged("M1", dbss.MsgTargetRecovered, 10*time.Second)
	})
}
