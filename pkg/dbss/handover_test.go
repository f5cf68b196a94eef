package dbss_test

import (
	"testing"
	"time"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/dbss"
	"pss-msbs/pkg/settings"
	"pss-msbs/pkg/sim"
)

// neverBoots makes every boot of host hang.
func (r *rig) neverBoots(host string) {
	r.t.Helper()
	for range 20 {
		r.fault(sim.BootFail, host)
	}
}

// TestHandOver: the backup of a target that does not come back moves off the
// management server, and its own monitor goes on.
func TestHandOver(t *testing.T) {
	play(t, settings.Fast, func(r *rig) {
		r.rested("M1")
		run := r.monitors["M1"]
		r.neverBoots("M1")
		r.fault(sim.VMShutdown, "M1")
		<-run.done
		if run.err != nil || run.m.State() != dbss.Ended {
			t.Errorf("the monitor ended %s with %v", run.m.State(), run.err)
		}
		if st, real := r.state("Mb"); st != cluster.GuestRunning || real != rs1 || !r.serves("Mb", 101) {
			t.Errorf("Mb is %s on %s, want it to serve on RS1", st, real)
		}
		if rows := r.tables().Operation.Of("Mb"); len(rows) != 1 || rows[0].Real != rs1 {
			t.Errorf("rows of Mb: %v, want one on RS1", rows)
		}
		r.logged("Mb", dbss.MsgNormal, 20*time.Second)

		// Its launcher starts it again: another try, then the backup goes home.
		r.heal("M1")
		again := r.start("M1")
		r.logged("M1", dbss.MsgTargetRecovered, 3*time.Minute)
		r.logged("M1", dbss.MsgBackupPaused, time.Minute)
		if st, real := r.state("Mb"); st != cluster.GuestPaused || real != mb.Real || !r.serves("M1", 101) {
			t.Errorf("Mb is %s on %s, want it paused at home", st, real)
		}
		if running, _ := (launcher{r}).Running("Mb"); running {
			t.Error("the backup's monitor still runs")
		}
		again.stop()
	})
}

// TestMigrationFails: the row is put back and the next real server is tried.
func TestMigrationFails(t *testing.T) {
	play(t, settings.Fast, func(r *rig) {
		r.rested("M1")
		run := r.monitors["M1"]
		r.neverBoots("M1")
		r.fault(sim.MigrateFail, "Mb")
		r.fault(sim.VMShutdown, "M1")
		<-run.done
		if _, real := r.state("Mb"); real != rs2 && real != ip(203) || !r.serves("Mb", 101) {
			t.Errorf("Mb is on %s, want it to serve on another real server", real)
		}
	})
}

// TestBackupBootsElsewhere: a backup that had moved is booted where it was by
// its own monitor, of which the target's knows nothing as it makes a new one.
func TestBackupBootsElsewhere(t *testing.T) {
	play(t, settings.Fast, func(r *rig) {
		r.rested("M1")
		r.ok(r.model.Destroy(r.ctx, mb))
		r.ok(r.model.Start(r.ctx, mb.On(rs2)))
		r.until("a new backup rests", 2*time.Minute, func() bool {
			st, real := r.state("Mb")
			return st == cluster.GuestPaused && real == mb.Real
		})
		if st, err := r.model.GuestState(r.ctx, mb.On(rs2)); err != nil || st != cluster.GuestAbsent {
			t.Errorf("the other one is %s (%v)", st, err)
		}
	})
}

// TestStoppedInGiveBack: a monitor that hangs between taking a VIP off the
// backup and putting it on the target loses its hold. Going on, it undoes no
// more than the rows then allow.
func TestStoppedInGiveBack(t *testing.T) {
	for _, taken := range []bool{false, true} {
		play(t, settings.Fast, func(r *rig) {
			r.rested("M1")
			r.taps = once(func(p point) bool { return p.op == "AddVIP" && p.host == "M1" && !p.after }, func() {
				time.Sleep(20 * time.Second)
				if taken { // by pss, for which the VIP stands in operation
					r.edit(func(t *cluster.Tables) { moveRow(t, 101, mb, m2); t.AccessStop = nil })
					r.ok(r.model.AddVIP(r.ctx, m2, ip(101)))
				}
			})
			r.fault(sim.VMShutdown, "M1")
			if taken {
				r.logged("M1", dbss.MsgAccessStop, 2*time.Minute)
				if !r.serves("M2", 101) {
					t.Errorf("%v hold the VIP, want M2", r.model.Holders(ip(101)))
				}
				return
			}
			r.logged("M1", dbss.MsgTargetRecovered, 2*time.Minute)
			if !r.serves("M1", 101) {
				t.Errorf("%v hold the VIP, want M1", r.model.Holders(ip(101)))
			}
		})
	}
}
