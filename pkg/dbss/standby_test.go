package dbss_test

import (
	"testing"
	"time"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/dbss"
	"pss-msbs/pkg/settings"
	"pss-msbs/pkg/sim"
)

// TestSlowStandbyIsPaused: a backup whose agent does not answer runs for nothing
// no longer than any other, and gets its VIP when it is needed.
func TestSlowStandbyIsPaused(t *testing.T) {
	play(t, settings.Fast, func(r *rig) {
		r.rested("M1")
		r.fault(sim.AgentHung, "Mb")
		r.ok(r.model.Inject(sim.Fault{Kind: sim.VMStall, Target: "M1", For: time.Second}))
		r.logged("M1", dbss.MsgBackupStart, 5*time.Second)
		r.logged("M1", dbss.MsgBackupPaused, 10*time.Second)
		if st, _ := r.state("Mb"); st != cluster.GuestPaused {
			t.Errorf("Mb is %s", st)
		}
		r.heal("Mb")
		r.fault(sim.VMShutdown, "M1")
		r.logged("M1", dbss.MsgFunctionRecovered, 5*time.Second)
		if !r.serves("Mb", 101) {
			t.Errorf("%v hold the VIP, want Mb", r.model.Holders(ip(101)))
		}
	})
}

// TestDestroyedStandbyIsCreatedAnew: nobody waits with a boot slot for a backup
// that was destroyed while it booted.
func TestDestroyedStandbyIsCreatedAnew(t *testing.T) {
	play(t, settings.Fast, func(r *rig) {
		r.start("M1")
		r.until("Mb boots", time.Minute, func() bool { st, _ := r.state("Mb"); return st == cluster.GuestBooting })
		r.ok(r.model.Destroy(r.ctx, mb))
		r.logged("M1", dbss.MsgBackupPaused, time.Minute)
	})
}

// TestSlowServerHasItsVIPs: of a server that answers for no address, its own
// neither, nobody knows that it lacks a VIP.
func TestSlowServerHasItsVIPs(t *testing.T) {
	play(t, settings.Fast, func(r *rig) {
		r.rested("M1")
		r.noARP.Store(true)
		r.fault(sim.AgentHung, "M1")
		time.Sleep(2 * time.Minute)
		if l := r.log.find("M1", dbss.MsgSeparated); l != "" {
			t.Errorf("taken over: %s", l)
		}
	})
}
