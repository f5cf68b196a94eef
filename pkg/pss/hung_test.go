package pss_test

import (
	"testing"
	"time"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/sim"
)

// A home server in access stop hangs, or its boot does: nobody monitors it, so
// the shift back boots it again.
func TestHungHomeInAccessStop(t *testing.T) {
	for name, hang := range map[string]func(r *rig){
		"frozen":        func(r *rig) { r.inject(sim.VMFreeze, "F2") },
		"service":       func(r *rig) { r.inject(sim.ServiceFreeze, "F2") },
		"hangs in boot": func(r *rig) { r.inject(sim.BootFail, "F2"); r.inject(sim.VMRestart, "F2") },
	} {
		t.Run(name, func(t *testing.T) {
			play(t, "", noPS2, func(r *rig) {
				r.load(80)
				r.start()
				r.spares()
				r.load(10, "FTP")
				r.until(time.Minute, "FTP in PS1", func() bool { return r.condition("FTP") == cluster.PS1 })
				hang(r)
				r.load(80)
				r.reach(cluster.Moderate, 5*time.Minute)
				if r.holder(106) != "F2" {
					r.Errorf("106 is on %s", r.holder(106))
				}
			})
		})
	}
}
