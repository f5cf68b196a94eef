package dbss_test

import (
	"slices"
	"testing"
	"time"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/dbss"
	"pss-msbs/pkg/ipc"
	"pss-msbs/pkg/settings"
	"pss-msbs/pkg/sim"
)

// TestStartedBeforeItsRow: a monitor whose target is not in the files yet (a
// spare just started) waits quietly, saying so once.
func TestStartedBeforeItsRow(t *testing.T) {
	play(t, settings.Fast, func(r *rig) {
		fs := cluster.Guest{Host: "Fs", IP: ip(53), Real: rs1}
		dat := r.dat("F2")
		dat.Host, dat.IP, dat.Real, dat.Backup, dat.BackupIP = fs.Host, fs.IP, fs.Real, "", r.dat("Fb").VIP
		r.fleet(nil)
		r.ok(r.model.Start(r.ctx, fs))
		r.startDat(dat)
		time.Sleep(3 * time.Minute)
		r.shift(106, f2, fs)
		r.logged("Fs", dbss.MsgNormal, 15*time.Second)
		want := "A1 target is not in the files, waiting\nA1 monitoring resumed\nnormal state\n"
		if got := r.log.messages("Fs"); got != want {
			t.Errorf("log of Fs:\n%s\nwant:\n%s", got, want)
		}
	})
}

// TestFilesCannotBeAsked: a failed A1 is no trouble of the target, and real
// trouble is taken over as soon as the files can be had again.
func TestFilesCannotBeAsked(t *testing.T) {
	play(t, settings.Fast, func(r *rig) {
		r.rested("M1")
		held, err := r.files.Hold(r.ctx)
		r.ok(err)
		time.Sleep(3 * time.Minute)
		if s := r.log.find("M1", "trouble detected"); s != "" {
			t.Errorf("a locked directory was taken for trouble: %s", s)
		}
		r.fault(sim.VMShutdown, "M1")
		time.Sleep(30 * time.Second)
		held.Close()
		r.logged("M1", dbss.MsgFunctionRecovered, 15*time.Second)
		r.logged("M1", dbss.MsgTargetRecovered, time.Minute)
	})
}

// TestServingBackupFails: the own monitor of a moved backup has no backup to
// start; it fences the backup and leaves the VIP to pss.
func TestServingBackupFails(t *testing.T) {
	play(t, settings.Fast, func(r *rig) {
		r.rested("M1")
		run := r.monitors["M1"]
		r.neverBoots("M1")
		r.fault(sim.VMShutdown, "M1")
		<-run.done
		r.logged("Mb", dbss.MsgNormal, 20*time.Second)
		r.fault(sim.VMFreeze, "Mb")
		r.logged("Mb", dbss.MsgFailed, 10*time.Second)
		failed, err := ipc.FailedBackups(r.run)
		if err != nil || len(failed) != 1 || failed[0] != "Mb" {
			t.Errorf("left to pss: %v, %v; want Mb", failed, err)
		}
		if h := r.model.Holders(ip(101)); len(h) > 0 {
			t.Errorf("%v hold the VIP, want nobody", h)
		}
		r.logged("Mb", dbss.MsgTargetRecovered, 3*time.Minute) // pss did nothing: it serves again, reset after M1 has had its time
		if !r.serves("Mb", 101) {
			t.Errorf("%v hold the VIP, want Mb", r.model.Holders(ip(101)))
		}
	})
}

// TestMonitorOfBackupDoesNotStart: the backup stays watched by the target's
// monitor, which goes on trying.
func TestMonitorOfBackupDoesNotStart(t *testing.T) {
	play(t, settings.Fast, func(r *rig) {
		r.noLaunch = true
		r.rested("M1")
		run := r.monitors["M1"]
		r.neverBoots("M1")
		r.fault(sim.VMShutdown, "M1")
		r.logged("M1", "the backup's monitor cannot be started", 5*time.Minute)
		if !r.serves("Mb", 101) {
			t.Errorf("%v hold the VIP, want Mb", r.model.Holders(ip(101)))
		}
		r.fault(sim.ServiceStop, "Mb")
		r.logged("M1", dbss.MsgBackupMended, time.Minute)
		r.heal("M1")
		r.logged("M1", dbss.MsgTargetRecovered, 5*time.Minute)
		r.logged("M1", dbss.MsgBackupPaused, 2*time.Minute)
		if st, real := r.state("Mb"); st != cluster.GuestPaused || real != mb.Real {
			t.Errorf("Mb is %s on %s, want it paused at home", st, real)
		}
		run.stop()
	})
}

// TestServiceThatDoesNotComeBack is restarted twice, then the server is taken
// for frozen.
func TestServiceThatDoesNotComeBack(t *testing.T) {
	play(t, settings.Fast, func(r *rig) {
		r.rested("M1")
		r.taps = func(p point) {
			if p.op == "RestartDaemon" && p.after {
				_ = r.model.Inject(sim.Fault{Kind: sim.ServiceStop, Target: "M1:postfix"})
			}
		}
		r.fault(sim.ServiceStop, "M1:postfix")
		r.logged("M1", dbss.MsgFunctionRecovered, 30*time.Second)
		r.logged("M1", dbss.MsgTargetRecovered, time.Minute)
		want := `service trouble detected daemons=postfix
backup server start server=Mb
re-examined: trouble confirmed trouble="service stop"
service program restart daemons=postfix
backup server started server=Mb
service program restart daemons=postfix
service program does not come back daemons=postfix
A3 target server separated real=172.21.14.201
target server fenced by=agent
`
		if got := r.log.messages("M1"); len(got) < len(want) || got[:len(want)] != want {
			t.Errorf("log of M1:\n%s\nwant it to begin:\n%s", got, want)
		}
	})
}

// A backup that dies at rest is created anew: the next takeover finds it paused.
func TestRestingBackupDies(t *testing.T) {
	for _, profile := range []settings.Profile{settings.Fast, settings.Paper} {
		play(t, profile, func(r *rig) {
			r.rested("M1")
			for _, how := range []string{sim.VMCrash, sim.VMShutdown, sim.VMRestart} {
				r.fault(how, "Mb")
				r.until("Mb is off its rest", time.Minute, func() bool { st, _ := r.state("Mb"); return st != cluster.GuestPaused })
				r.until("Mb at rest again", 2*time.Minute, func() bool { st, _ := r.state("Mb"); return st == cluster.GuestPaused })
			}
			if !r.serves("M1", 101) {
				t.Error("M1 does not serve")
			}
		})
	}
}

// TestBackupLeftElsewhere: a backup that was left on some real server, by
// whoever moved it, is found there and created anew on the management server.
func TestBackupLeftElsewhere(t *testing.T) {
	play(t, settings.Fast, func(r *rig) {
		r.rested("M1")
		r.mu.Lock()
		r.monitors["M1"].cancel()
		r.mu.Unlock()
		r.ok(r.model.Resume(r.ctx, mb))
		r.ok(r.model.Migrate(r.ctx, mb, ip(203)))
		r.start("M1")
		r.until("Mb at rest at home", 2*time.Minute, func() bool { st, real := r.state("Mb"); return st == cluster.GuestPaused && real == mb.Real })
	})
}

// TestBackupCutOff: a backup whose link is down, whoever cut it off, serves
// all the same when it is needed.
func TestBackupCutOff(t *testing.T) {
	play(t, settings.Fast, func(r *rig) {
		r.rested("M1")
		r.ok(r.model.SetLink(r.ctx, mb, false))
		r.fault(sim.VMShutdown, "M1")
		line := r.logged("M1", dbss.MsgFunctionRecovered, 20*time.Second)
		if d := r.field(line, "after_detection"); d > 2500*time.Millisecond {
			t.Errorf("function recovered after %s", d)
		}
	})
}

// The real server of a spare, which has no backup, dies: its VIP is left to pss,
// and once the real server is out there is nothing left to hand over.
func TestSpareOfADeadRealServerEnds(t *testing.T) {
	play(t, settings.Fast, func(r *rig) {
		fs := cluster.Guest{Host: "Fs", IP: ip(53), Real: rs1}
		dat := r.dat("F2")
		dat.Host, dat.IP, dat.Real, dat.Backup, dat.BackupIP = fs.Host, fs.IP, fs.Real, "", r.dat("Fb").VIP
		r.fleet(nil)
		r.ok(r.model.Start(r.ctx, fs))
		run := r.startDat(dat)
		r.until("Fs answers", time.Minute, func() bool { return r.model.Greet(r.ctx, fs.IP, dat.Daemons[0]) == nil })
		r.shift(106, f2, fs)
		r.logged("Fs", dbss.MsgNormal, 15*time.Second)
		r.fault(sim.RealShutdown, "RS1")
		r.edit(func(t *cluster.Tables) {
			t.Real = slices.DeleteFunc(t.Real, func(o cluster.RealRow) bool { return o.IP == rs1 })
		})
		r.until("its monitor ends", 30*time.Second, func() bool {
			select {
			case <-run.done:
				return true
			default:
				return false
			}
		})
		r.logged("Fs", dbss.MsgFailed, time.Second)
		if l := r.log.find("Fs", "cannot be started"); l != "" {
			t.Error(l)
		}
	})
}
