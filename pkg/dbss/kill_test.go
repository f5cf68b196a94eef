package dbss_test

import (
	"fmt"
	"testing"
	"time"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/dbss"
	"pss-msbs/pkg/settings"
	"pss-msbs/pkg/sim"
)

// TestKilledAnywhere kills the monitor before and after each of its calls from
// the trouble to the end of the give-back, lets its launcher start it again
// after a second, and wants the same end: the target serves, its backup is
// paused, nobody ever held a VIP twice.
func TestKilledAnywhere(t *testing.T) {
	for _, fault := range []string{sim.VMShutdown, sim.VMFreeze, sim.ServiceFreeze, sim.VMRestart} {
		total := 0
		t.Run(fault+" untouched", func(t *testing.T) { total = recoverKilledAt(t, fault, -1) })
		if total < 10 {
			t.Fatalf("%s: %d calls seen, want at least 10", fault, total)
		}
		for n := range total {
			t.Run(fmt.Sprintf("%s at call %d", fault, n), func(t *testing.T) { recoverKilledAt(t, fault, n) })
		}
	}
}

// recoverKilledAt plays one trouble of M1 and returns how many calls its
// monitor made; it is killed at call n.
func recoverKilledAt(t *testing.T, fault string, n int) (calls int) {
	play(t, settings.Fast, func(r *rig) {
		r.rested("M1")
		r.mu.Lock()
		victim := r.monitors["M1"]
		r.mu.Unlock()
		dead := make(chan point, 1)
		r.mu.Lock()
		r.taps = func(p point) {
			r.mu.Lock()
			defer r.mu.Unlock()
			if calls++; calls == n+1 {
				victim.cancel()
				dead <- p
			}
		}
		r.mu.Unlock()
		r.fault(fault, "M1")
		if n >= 0 {
			p := <-dead
			<-victim.done
			t.Logf("killed at %+v", p)
			time.Sleep(time.Second)
			r.start("M1")
		} else {
			r.logged("M1", dbss.MsgTargetRecovered, 2*time.Minute)
		}
		r.until("the recovery", 4*time.Minute, func() bool {
			if !r.serves("M1", 101) || !row(r.tables().Operation, 101, "M1") {
				return false
			}
			st, _ := r.state("Mb") // costs most, so last
			return st == cluster.GuestPaused
		})
		if rows := r.tables().Separation; len(rows) > 0 {
			t.Errorf("rows left in separation: %v", rows)
		}
	})
	return calls
}
