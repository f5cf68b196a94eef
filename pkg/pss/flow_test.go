package pss_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/pss/record"
	"pss-msbs/pkg/settings"
	"pss-msbs/pkg/sim"
)

// light makes a group shift at the first light cycle.
func light(r *rig) { r.class(func(c *settings.Class) { c.LightStreak = 1 }) }

// noPS2 keeps the light condition at PS1 besides.
func noPS2(r *rig) {
	r.class(func(c *settings.Class) { c.LightStreak, c.PS2Accesses = 1, -1 })
}

// A full round of Fig. 2: Moderate, PS1, PS2, PS1, Moderate.
func TestRound(t *testing.T) {
	play(t, "", nil, func(r *rig) {
		begun := time.Now()
		r.start()
		r.spares()
		r.reach(cluster.PS2, 10*time.Minute)
		if got := r.mon.hosts(); !slices.Equal(got, []string{"Fs", "Ws"}) {
			r.Errorf("monitors in PS2: %v", got)
		}
		r.accesses(5)
		r.reach(cluster.PS1, 3*time.Minute)
		r.load(80)
		r.reach(cluster.Moderate, 2*time.Minute)
		r.until(time.Minute, "spares' monitors ended", func() bool { return len(r.mon.hosts()) == 0 })
		r.spares()
		r.noLoss(begun)
		r.neverDark(begun)
	})
}

// From PS2 every VIP of FTP moves at once: one goes first, so that the load
// balancer finds a server at every instant.
func TestAllVIPsOfAGroupMove(t *testing.T) {
	play(t, "", nil, func(r *rig) {
		r.start()
		r.spares()
		r.reach(cluster.PS2, 10*time.Minute)
		begun := time.Now()
		r.load(80)
		r.reach(cluster.Moderate, 2*time.Minute)
		r.neverDark(begun)
	})
}

// The times of Table 4: Moderate to PS1 in 3.73 s, back in 9.43 s.
func TestShiftTimes(t *testing.T) {
	play(t, "", noPS2, func(r *rig) {
		r.load(80)
		r.start()
		r.spares()
		r.load(10)
		r.reach(cluster.PS1, time.Minute)
		r.load(80)
		r.reach(cluster.Moderate, time.Minute)
		took := r.took()
		if len(took) != 2 || took[0] > 3730*time.Millisecond || took[1] > 9430*time.Millisecond {
			r.Errorf("shifts took %v", took)
		}
	})
}

// A suspend that fails leaves the row in real-server, and is tried again later.
func TestSuspendFails(t *testing.T) {
	play(t, "", noPS2, func(r *rig) {
		r.inject(sim.SuspendFail, "RS3")
		r.start()
		r.until(3*time.Minute, "suspend failed", func() bool { return r.logged("real server not suspended") == 1 })
		if got := len(r.tables().Suspended); got != 0 {
			r.Errorf("%d rows in suspension-real after a suspend that failed", got)
		}
		r.reach(cluster.PS1, time.Minute)
		r.until(time.Minute, "RS3 asleep", func() bool { return len(r.tables().Suspended) == 1 && r.consistent() == nil })
	})
}

// A lost magic packet is sent again.
func TestWakePacketLost(t *testing.T) {
	play(t, "", noPS2, func(r *rig) {
		r.start()
		r.reach(cluster.PS1, 3*time.Minute)
		r.inject(sim.WakeLost, "RS3")
		r.load(80)
		r.reach(cluster.Moderate, time.Minute)
	})
}

// A host that misses its wake deadline raises one alarm; its row goes back to
// real-server for its dsrs, its groups stay served, and it sleeps again only
// once it has answered.
func TestWakeMissed(t *testing.T) {
	play(t, "", noPS2, func(r *rig) {
		begun := time.Now()
		r.start()
		r.reach(cluster.PS1, 3*time.Minute)
		r.inject(sim.WakeNever, "RS3")
		r.load(80)
		r.until(2*time.Minute, "alarm", func() bool { return r.logged("real server does not wake, left to its dsrs") == 1 })
		r.until(time.Second, "row back", func() bool { return len(r.tables().Suspended) == 0 })
		if r.holder(105) != "Ws" || r.holder(106) != "Fs" {
			r.Error(r.describe())
		}
		record := func() record.Wake {
			w, err := record.ReadWake(nil, filepath.Join(r.dir, "state", "wake-172.21.14.203.json"))
			r.ok(err)
			return w
		}
		if record().Missed.IsZero() {
			r.Error("the missed wake is not remembered")
		}
		time.Sleep(2 * time.Minute)
		if got := r.logged("real server does not wake, left to its dsrs"); got != 1 {
			r.Errorf("%d alarms", got)
		}
		r.ok(r.model.Heal("RS3"))
		r.ok(r.model.WakeReal(r.ctx, r.mac(rs3))) // its dsrs
		r.reach(cluster.Moderate, 12*time.Minute)
		r.until(time.Minute, "wake proved", func() bool { return record().Missed.IsZero() })
		r.load(10)
		r.reach(cluster.PS1, 6*time.Minute) // the one before did not last
		r.noLoss(begun)
	})
}

// Nothing is asked of a host that missed its wake, until it answers: the files
// have it active until its dsrs has found out.
func TestNothingIsAskedOfAHostThatDidNotWake(t *testing.T) {
	play(t, "", light, func(r *rig) {
		r.start()
		r.reach(cluster.PS2, 5*time.Minute)
		r.until(time.Minute, "RS2 and RS3 asleep", func() bool { return len(r.tables().Suspended) == 2 && r.consistent() == nil })
		r.inject(sim.WakeNever, "RS2")
		r.load(80)
		r.until(2*time.Minute, "alarm", func() bool { return r.logged("real server does not wake, left to its dsrs") == 1 })
		r.load(10)
		r.until(2*time.Minute, "refusal", func() bool { return r.logged("shift refused") > 0 })
		time.Sleep(time.Minute)
		if vs := r.model.Violations(); len(vs) > 0 {
			r.Errorf("%v", vs)
		}
	})
}

// A restore that fails undoes its group; the others go on, and it is tried again.
func TestRestoreFails(t *testing.T) {
	play(t, "", noPS2, func(r *rig) {
		begun := time.Now()
		r.load(80)
		r.start()
		r.spares()
		r.inject(sim.RestoreFail, "Fs")
		r.load(10)
		r.until(time.Minute, "shift failed", func() bool { return r.logged("shift failed, undone") == 1 })
		r.until(10*time.Second, "the others", func() bool { return r.logged("shift done") == 1 })
		if got := []cluster.Condition{r.condition("Mail"), r.condition("Web"), r.condition("FTP")}; !slices.Equal(got, []cluster.Condition{cluster.PS1, cluster.PS1, cluster.Moderate}) {
			r.Errorf("conditions %v", got)
		}
		if r.holder(106) != "F2" || !slices.Equal(r.mon.hosts(), []string{"Ws"}) {
			r.Error(r.describe())
		}
		r.reach(cluster.PS1, time.Minute)
		r.noLoss(begun)
	})
}

// A spare whose monitor does not start is not used.
func TestMonitorFails(t *testing.T) {
	play(t, "", noPS2, func(r *rig) {
		r.mon.fail["Ws"] = true
		r.start()
		r.until(4*time.Minute, "shift failed", func() bool { return r.logged("shift failed, undone") == 1 })
		if r.holder(105) != "W2" || r.condition("Web") != cluster.Moderate {
			r.Error(r.describe())
		}
		r.mon.mu.Lock()
		r.mon.fail["Ws"] = false
		r.mon.mu.Unlock()
		r.reach(cluster.PS1, time.Minute)
	})
}

// A hand edit that breaks a file stops shifts with one alarm; mending the file
// lets them go on.
func TestBrokenFile(t *testing.T) {
	play(t, "", noPS2, func(r *rig) {
		r.load(80)
		r.start()
		r.spares()
		file := filepath.Join(r.dir, "operation.conf")
		good, err := os.ReadFile(file)
		r.ok(err)
		r.ok(os.WriteFile(file, append(good, "Mail 172.21.14.201 nonsense\n"...), 0o644))
		r.load(10, "Mail", "Web", "FTP")
		time.Sleep(2 * time.Minute)
		if got := r.logged("alarm: files not usable, no shifts until they are"); got != 1 || r.logged("shift start") != 0 {
			r.Errorf("%d alarms, %d shifts", got, r.logged("shift start"))
		}
		if !strings.Contains(r.log.String(), "operation.conf:") {
			r.Error("the alarm does not name the line")
		}
		last, err := record.ReadLastCycle(nil, filepath.Join(r.dir, "run"))
		r.ok(err)
		if len(last.Faults) == 0 || len(last.Groups) != 3 || !last.Groups[0].Examined {
			r.Errorf("last cycle %+v", last)
		}
		r.stop()
		r.start() // one that starts beside a broken file works from the last good copies
		time.Sleep(time.Minute)
		r.ok(os.WriteFile(file, good, 0o644))
		r.reach(cluster.PS1, 3*time.Minute)
	})
}

// A row that appears in separation during a shift of its group to a lighter
// condition ends it; the other groups go on.
func TestSeparationDuringShift(t *testing.T) {
	play(t, "", noPS2, func(r *rig) {
		r.load(80)
		r.start()
		r.spares()
		r.load(10)
		r.until(time.Minute, "spares starting", func() bool { return r.logged("spare server start") == 2 })
		r.separate("W1", "Wb")
		r.until(time.Minute, "shift failed", func() bool { return r.logged("shift failed, undone") == 1 })
		r.until(time.Minute, "FTP light", func() bool { return r.condition("FTP") == cluster.PS1 })
		if r.condition("Web") != cluster.Moderate || r.holder(105) != "W2" || r.holder(102) != "Wb" {
			r.Error(r.describe())
		}
		r.until(time.Minute, "Ws at rest", func() bool { return slices.Equal(r.mon.hosts(), []string{"Fs"}) })
		if len(r.tables().Suspended) != 0 {
			r.Error("RS3 sleeps with W2 on it")
		}
		r.until(time.Minute, "refused", func() bool { return strings.Contains(r.log.String(), "recovery under way") })
		r.giveBack("W1", "Wb")
		r.reach(cluster.PS1, 3*time.Minute)
	})
}

// A group whose PS1 would not be redundant is refused, said once, and stays.
func TestRefused(t *testing.T) {
	play(t, "", func(r *rig) {
		noPS2(r)
		r.ok(r.conf.Update(r.ctx, func(t *cluster.Tables) error {
			t.State[0].Bases = t.State[0].Bases[:1] // Mail on RS1 alone
			return nil
		}))
	}, func(r *rig) {
		r.start()
		r.until(3*time.Minute, "the others light", func() bool {
			return r.condition("Web") == cluster.PS1 && r.condition("FTP") == cluster.PS1
		})
		time.Sleep(time.Minute)
		if got := r.logged("shift refused"); r.condition("Mail") != cluster.Moderate || got != 1 {
			r.Errorf("Mail in %s, refused %d times", r.condition("Mail"), got)
		}
	})
}

// A group that is refused what it wants is still made to be what it is: here
// every VIP goes home, whoever moved it.
func TestRefusedIsMended(t *testing.T) {
	play(t, "", func(r *rig) {
		noPS2(r)
		r.ok(r.conf.Update(r.ctx, func(t *cluster.Tables) error {
			t.State[0].Bases = t.State[0].Bases[:1] // Mail on RS1 alone
			return nil
		}))
	}, func(r *rig) {
		r.start()
		r.until(3*time.Minute, "Mail refused", func() bool { return r.logged("shift refused") > 0 })
		home := r.tables().Operation.Of("M2")[0]
		r.ok(r.conf.Update(r.ctx, func(t *cluster.Tables) error {
			m1 := t.Operation.Of("M1")[0]
			i := slices.Index(t.Operation, home)
			t.Operation[i].Host, t.Operation[i].IP, t.Operation[i].Real = m1.Host, m1.IP, m1.Real
			t.AccessStop = append(t.AccessStop, home)
			return nil
		}))
		r.until(time.Minute, "M2's VIP at home", func() bool { return slices.Contains(r.tables().Operation, home) })
	})
}

// A server that hangs: its group is not examined, the others are, and go on.
func TestServerHangs(t *testing.T) {
	play(t, "", noPS2, func(r *rig) {
		r.load(80)
		r.start()
		r.spares()
		r.inject(sim.VMFreeze, "M1")
		r.load(10)
		r.until(time.Minute, "the others light", func() bool {
			return r.condition("Web") == cluster.PS1 && r.condition("FTP") == cluster.PS1
		})
		if r.condition("Mail") != cluster.Moderate || r.logged("load not examined") != 1 {
			r.Errorf("Mail in %s, told %d times", r.condition("Mail"), r.logged("load not examined"))
		}
		r.until(time.Minute, "shift done", func() bool { return r.logged("shift done") > 0 })
		if took := r.took(); took[0] > 3730*time.Millisecond {
			r.Errorf("the shift took %v beside a server that hangs", took)
		}
	})
}

// Reality is made to follow the files.
func TestMend(t *testing.T) {
	play(t, "", noPS2, func(r *rig) {
		r.start()
		r.reach(cluster.PS1, 3*time.Minute)
		r.stop()
		r.ok(r.model.DelVIP(r.ctx, r.guest("M1"), ip(101)))
		r.ok(r.model.DelVIP(r.ctx, r.guest("W1"), ip(102)))
		r.ok(r.model.AddVIP(r.ctx, r.guest("Ws"), ip(102))) // on the wrong server
		r.ok(r.model.WakeReal(r.ctx, r.mac(rs3)))           // somebody woke it
		r.ok(r.mon.Stop(r.ctx, "Fs"))
		ms := cluster.Guest{Host: "Ms", IP: ip(51), Real: rs2}
		r.ok(r.model.Restore(r.ctx, ms)) // a spare that nobody uses
		time.Sleep(20 * time.Second)
		r.start()
		r.until(2*time.Minute, "mended", func() bool {
			st, err := r.model.GuestState(r.ctx, ms)
			return r.consistent() == nil && err == nil && st == cluster.GuestSaved && slices.Equal(r.mon.hosts(), []string{"Fs", "Ws"})
		})
		last, err := record.ReadLastCycle(nil, filepath.Join(r.dir, "run"))
		r.ok(err)
		if len(last.Mended) < 4 {
			r.Errorf("told of %v", last.Mended)
		}
	})
}

// In PS2 M1 holds M2's VIP too; M1 fails and Mb serves both. When the load
// rises pss takes M2's VIP from Mb, and no row of it stays in separation; M1's
// own stays with Mb.
func TestForeignVIPLeavesBackup(t *testing.T) {
	play(t, "", light, func(r *rig) {
		r.start()
		r.reach(cluster.PS2, 5*time.Minute)
		r.separate("M1", "Mb")
		r.load(80)
		r.until(2*time.Minute, "104 at home", func() bool {
			return r.holder(104) == "M2" && r.condition("Mail") == cluster.Moderate && r.consistent() == nil
		})
		rows := r.tables().Separation.Of("M1")
		if r.holder(101) != "Mb" || len(rows) != 1 || rows[0].VIP != ip(101) {
			r.Error(r.describe())
		}
		r.giveBack("M1", "Mb")
		r.reach(cluster.Moderate, time.Minute)
	})
}

// The dbss of a serving backup, which has no launcher, is started again.
func TestOrphanedBackup(t *testing.T) {
	play(t, "", nil, func(r *rig) {
		r.load(80)
		r.separate("M1", "Mb")
		r.start()
		if took := r.until(time.Minute, "monitor of Mb", func() bool { return slices.Contains(r.mon.hosts(), "Mb") }); took < 8*time.Second {
			r.Errorf("started after %v, on one look", took)
		}
	})
}

// A monitor that does not come up delays no shift.
func TestMonitorHangs(t *testing.T) {
	play(t, "", noPS2, func(r *rig) {
		r.start()
		r.reach(cluster.PS1, 3*time.Minute)
		r.mon.mu.Lock()
		r.mon.hang = "Fs"
		r.mon.mu.Unlock()
		r.ok(r.mon.Stop(r.ctx, "Fs"))
		time.Sleep(15 * time.Second)
		r.load(80)
		r.reach(cluster.Moderate, 25*time.Second)
	})
}
