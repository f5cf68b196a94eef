package dbss_test

import (
	"net/netip"
	"testing"
	"time"

	"pss-msbs/pkg/budget"
	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/conffile"
	"pss-msbs/pkg/dbss"
	"pss-msbs/pkg/ipc"
	"pss-msbs/pkg/settings"
	"pss-msbs/pkg/sim"
)

// shift moves one VIP between servers as pss does: rows and addresses under
// the lock. A server that loses its last VIP goes to access stop.
func (r *rig) shift(vip int, from, to cluster.Guest) {
	r.t.Helper()
	held, err := r.files.Hold(r.ctx)
	if err != nil {
		r.t.Fatal(err)
	}
	defer held.Close()
	r.ok(r.model.DelVIP(r.ctx, from, ip(vip)))
	r.ok(r.model.AddVIP(r.ctx, to, ip(vip)))
	r.ok(held.Commit(func(t *cluster.Tables) error {
		moveRow(t, vip, from, to)
		return nil
	}))
}

// moveRow is the file side of a shift.
func moveRow(t *cluster.Tables, vip int, from, to cluster.Guest) {
	for i, row := range t.Operation {
		if row.VIP != ip(vip) || row.Host != from.Host {
			continue
		}
		if len(t.Operation.Of(from.Host)) == 1 {
			t.AccessStop = append(t.AccessStop, row)
		}
		t.Operation[i].Host, t.Operation[i].IP, t.Operation[i].Real = to.Host, to.IP, to.Real
	}
	var stop cluster.Rows
	for _, row := range t.AccessStop {
		if row.Host != to.Host {
			stop = append(stop, row)
		}
	}
	t.AccessStop = stop
}

func (r *rig) ok(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

var (
	rs1, rs2 = ip(201), ip(202)
	m1       = cluster.Guest{Host: "M1", IP: ip(1), Real: rs1}
	m2       = cluster.Guest{Host: "M2", IP: ip(4), Real: rs2}
	mb       = cluster.Guest{Host: "Mb", IP: ip(61), Real: ip(200)}
	f1       = cluster.Guest{Host: "F1", IP: ip(3), Real: rs2}
	f2       = cluster.Guest{Host: "F2", IP: ip(6), Real: ip(203)}
)

// TestFigure12 is the log of a server that a shift stops and starts again.
func TestFigure12(t *testing.T) {
	for _, profile := range []settings.Profile{settings.Fast, settings.Paper} {
		t.Run(string(profile), func(t *testing.T) {
			play(t, profile, func(r *rig) {
				r.rested("F2")
				r.shift(106, f2, f1)
				r.logged("F2", dbss.MsgAccessStop, 15*time.Second)
				r.fault(sim.VMShutdown, "F2") // nobody's business while it is stopped
				time.Sleep(time.Minute)
				r.ok(r.model.Start(r.ctx, f2))
				time.Sleep(time.Minute)
				r.shift(106, f1, f2)
				r.logged("F2", dbss.MsgNormal, 15*time.Second)
				want := "A1 access stop state\nA1 monitoring resumed\nnormal state\n"
				if got := r.log.messages("F2"); got != want {
					t.Errorf("log of F2:\n%s\nwant:\n%s", got, want)
				}
			})
		})
	}
}

// TestAccessStopBeforeConfirmation is A2: the target was stopped by a shift
// between A1 and the trouble.
func TestAccessStopBeforeConfirmation(t *testing.T) {
	for _, verb := range []ipc.Verb{ipc.A2, ipc.A3} {
		t.Run(string(verb), func(t *testing.T) {
			play(t, settings.Fast, func(r *rig) {
				r.rested("M1")
				// 1. M1 fails.  2. dbss sees it.  3. pss moves 101 to M2.  4. dbss asks.
				r.taps = once(func(p point) bool { return p.op == string(verb) && !p.after }, func() {
					r.edit(func(t *cluster.Tables) { moveRow(t, 101, m1, m2) })
					r.ok(r.model.AddVIP(r.ctx, m2, ip(101)))
				})
				r.fault(sim.VMShutdown, "M1")
				r.logged("M1", dbss.MsgAccessStop, 10*time.Second)
				r.until("the backup's rest", 10*time.Second, func() bool { st, _ := r.state("Mb"); return st == cluster.GuestPaused })
				if r.log.find("M1", dbss.MsgSeparated) != "" || !r.serves("M2", 101) {
					t.Errorf("%v hold the VIP, want M2", r.model.Holders(ip(101)))
				}
			})
		})
	}
}

// TestBlip: trouble that is gone when it is re-examined moves nothing, such as a
// guest that is held up for some seconds as by a snapshot.
func TestBlip(t *testing.T) {
	play(t, settings.Fast, func(r *rig) {
		r.rested("M1")
		r.ok(r.model.Inject(sim.Fault{Kind: sim.VMFreeze, Target: "M1", For: 5 * time.Second}))
		r.logged("M1", dbss.MsgNoTrouble, 10*time.Second)
		r.until("the backup's rest", 10*time.Second, func() bool { st, _ := r.state("Mb"); return st == cluster.GuestPaused })
		if r.log.find("M1", dbss.MsgSeparated) != "" {
			t.Error("a blip led to a takeover")
		}
	})
}

// TestReferencesSilent: where no network reference answers it is this side
// that is cut off, and nothing is taken over.
func TestReferencesSilent(t *testing.T) {
	play(t, settings.Fast, func(r *rig) {
		r.rested("M1", "W1")
		r.fault(sim.NetworkLost, "management")
		r.logged("M1", dbss.MsgHolding, 10*time.Second)
		r.logged("W1", dbss.MsgHolding, 10*time.Second)
		time.Sleep(5 * time.Minute)
		r.heal("management")
		r.logged("M1", dbss.MsgNoTrouble, 10*time.Second)
		r.logged("W1", dbss.MsgNoTrouble, 10*time.Second)
		if len(r.tables().Separation) > 0 {
			t.Errorf("separated: %v", r.tables().Separation)
		}
	})
}

// TestBackupFails is A4-failed: the VIP is pss's, until the target is back.
func TestBackupFails(t *testing.T) {
	play(t, settings.Fast, func(r *rig) {
		r.rested("M1")
		r.ok(r.model.Destroy(r.ctx, mb))
		r.fault(sim.BootFail, "Mb")
		r.fault(sim.BootFail, "M1")
		r.fault(sim.VMShutdown, "M1")
		r.logged("M1", dbss.MsgFailed, time.Minute)
		failed, err := ipc.FailedBackups(r.run)
		if err != nil || len(failed) != 1 || failed[0] != "M1" {
			t.Errorf("left to pss: %v, %v; want M1", failed, err)
		}
		r.logged("M1", dbss.MsgTargetRecovered, 2*time.Minute)
		if !r.serves("M1", 101) {
			t.Errorf("%v hold the VIP, want M1", r.model.Holders(ip(101)))
		}
	})
}

// TestTargetBeforeBackup: a target that is normal again waits for no backup that
// still boots.
func TestTargetBeforeBackup(t *testing.T) {
	play(t, settings.Fast, func(r *rig) {
		r.rested("M1")
		r.ok(r.model.Destroy(r.ctx, mb))
		r.fault(sim.BootFail, "Mb")
		r.fault(sim.VMShutdown, "M1")
		r.logged("M1", dbss.MsgTargetRecovered, 15*time.Second)
		if !r.serves("M1", 101) {
			t.Errorf("%v hold the VIP, want M1", r.model.Holders(ip(101)))
		}
	})
}

// TestNoBackup: the target of a monitor without backup is fenced and left to pss.
func TestNoBackup(t *testing.T) {
	play(t, settings.Fast, func(r *rig) {
		dat := r.dat("M1")
		dat.Backup, dat.BackupIP = "", netip.Addr{}
		r.startDat(dat)
		r.logged("M1", dbss.MsgNormal, time.Minute)
		r.fault(sim.VMFreeze, "M1")
		r.logged("M1", dbss.MsgFailed, 30*time.Second)
		// pss gives the VIP to M2; when M1 is back it goes to access stop.
		r.ok(r.model.AddVIP(r.ctx, m2, ip(101)))
		r.edit(func(t *cluster.Tables) {
			t.Operation = append(t.Operation, cluster.ServerRow{Group: "Mail", Real: m2.Real, VIP: ip(101), Host: "M2", IP: m2.IP})
		})
		r.logged("M1", dbss.MsgAccessStop, time.Minute)
		if !r.serves("M2", 101) || !row(r.tables().AccessStop, 101, "M1") {
			t.Errorf("%v hold the VIP, want M2", r.model.Holders(ip(101)))
		}
	})
}

// TestGiveBackRacesShift: pss takes one of two VIPs from the backup just
// before the give-back holds the lock; only the other one goes home.
func TestGiveBackRacesShift(t *testing.T) {
	play(t, settings.Fast, func(r *rig) {
		r.edit(func(t *cluster.Tables) { moveRow(t, 104, m2, m1) }) // PS2: M1 holds both
		r.rested("M1")
		r.taps = once(func(p point) bool {
			return p.op == string(ipc.Hold) && !p.after && row(r.tables().Separation, 101, "M1")
		}, func() {
			r.ok(r.model.DelVIP(r.ctx, mb, ip(104)))
			r.ok(r.model.AddVIP(r.ctx, m2, ip(104)))
			r.edit(func(t *cluster.Tables) { moveRow(t, 104, mb, m2) })
		})
		r.fault(sim.VMShutdown, "M1")
		r.logged("M1", dbss.MsgFunctionRecovered, 10*time.Second)
		if !r.serves("Mb", 101) || !r.serves("Mb", 104) {
			t.Errorf("%v and %v hold the VIPs, want Mb", r.model.Holders(ip(101)), r.model.Holders(ip(104)))
		}
		r.logged("M1", dbss.MsgTargetRecovered, time.Minute)
		if !r.serves("M1", 101) || !r.serves("M2", 104) {
			t.Errorf("%v and %v hold the VIPs, want M1 and M2", r.model.Holders(ip(101)), r.model.Holders(ip(104)))
		}
	})
}

// TestBudget: after five recoveries the backup keeps serving until the first
// of them has left the window.
func TestBudget(t *testing.T) {
	play(t, settings.Fast, func(r *rig) {
		r.set.DBSS.BudgetWindow = settings.Duration(time.Hour)
		r.rested("M1")
		first := time.Now()
		for range 5 {
			r.fault(sim.VMShutdown, "M1")
			r.logged("M1", dbss.MsgTargetRecovered, time.Minute)
			r.logged("M1", dbss.MsgBackupPaused, time.Minute)
			r.log.forget()
		}
		r.fault(sim.VMShutdown, "M1")
		r.logged("M1", dbss.MsgBudget, time.Minute)
		time.Sleep(time.Until(first.Add(59 * time.Minute)))
		if !r.serves("Mb", 101) || !row(r.tables().Separation, 101, "M1") {
			t.Errorf("%v hold the VIP, want Mb", r.model.Holders(ip(101)))
		}
		rec, err := budget.Read(nil, budget.Path(r.run, "M1"))
		if err != nil || !rec.Exhausted {
			t.Errorf("budget %+v, %v: want it exhausted", rec, err)
		}
		r.logged("M1", dbss.MsgTargetRecovered, 3*time.Minute)
	})
}

// TestPartition: a host that is silent when it should be fenced is stripped
// within the strip deadline of its return.
func TestPartition(t *testing.T) {
	play(t, settings.Fast, func(r *rig) {
		r.rested("M1")
		r.fault(sim.Partition, "RS1")
		r.logged("M1", dbss.MsgFunctionRecovered, 10*time.Second)
		r.logged("M1", dbss.MsgFenceOwed, time.Second)
		time.Sleep(20 * time.Second)
		r.heal("RS1")
		r.logged("M1", dbss.MsgStripped, 2*time.Second)
		r.logged("M1", dbss.MsgTargetRecovered, time.Minute)
		st, err := r.model.Status(r.ctx, sim.Query{})
		r.ok(err)
		for _, e := range st.Exceptions {
			if e.AfterAnswer > 1 {
				t.Errorf("held twice for %.2f s after the first answer: %s", e.AfterAnswer, e.What)
			}
		}
	})
}

// TestBackupTrouble: until A5 this monitor watches the serving backup too.
func TestBackupTrouble(t *testing.T) {
	for _, fault := range []string{sim.ServiceStop, sim.ServiceFreeze, sim.VMCrash, sim.VMFreeze} {
		t.Run(fault, func(t *testing.T) {
			play(t, settings.Fast, func(r *rig) {
				r.rested("M1")
				r.exhaust("M1")
				r.fault(sim.VMShutdown, "M1")
				r.logged("M1", dbss.MsgFunctionRecovered, 10*time.Second)
				r.fault(fault, "Mb")
				r.logged("M1", dbss.MsgBackupTrouble, 30*time.Second)
				r.logged("M1", dbss.MsgBackupMended, 30*time.Second)
				if !r.serves("Mb", 101) {
					t.Errorf("%v hold the VIP, want Mb", r.model.Holders(ip(101)))
				}
			})
		})
	}
	t.Run("in vain", func(t *testing.T) {
		play(t, settings.Fast, func(r *rig) {
			r.rested("M1")
			r.exhaust("M1")
			r.fault(sim.VMShutdown, "M1")
			r.logged("M1", dbss.MsgFunctionRecovered, 10*time.Second)
			r.fault(sim.BootFail, "Mb")
			r.fault(sim.VMCrash, "Mb")
			r.logged("M1", dbss.MsgFailed, time.Minute)
			if len(r.model.Holders(ip(101))) > 0 || row(r.tables().Operation, 101, "Mb") {
				t.Error("the failed backup still stands for the VIP")
			}
		})
	})
}

// exhaust uses up the restart budget of host.
func (r *rig) exhaust(host string) {
	r.t.Helper()
	f := budget.File{Path: budget.Path(r.run, host), Host: host, Limit: 5, Window: 8 * time.Hour}
	for range 5 {
		_, err := f.Begin(time.Now())
		r.ok(err)
		r.ok(f.End(time.Now(), "recovered"))
	}
}

// TestRealServerOut: with its real server out the monitor leaves the target to
// the dsrs and the backup to its own monitor; started again it does no harm.
func TestRealServerOut(t *testing.T) {
	play(t, settings.Fast, func(r *rig) {
		r.rested("M1", "W1")
		mon := []*running{r.monitors["M1"], r.monitors["W1"]}
		r.fault(sim.RealShutdown, "RS1")
		r.logged("M1", dbss.MsgFunctionRecovered, 10*time.Second)
		r.logged("W1", dbss.MsgFunctionRecovered, 10*time.Second)
		r.edit(func(t *cluster.Tables) { t.Real = t.Real[1:] }) // B3
		for _, run := range mon {
			<-run.done
		}
		for _, b := range []string{"Mb", "Wb"} {
			r.logged(b, dbss.MsgNormal, 10*time.Second)
		}
		r.log.forget()
		for range 20 { // by a launcher that does so after exit 0 too
			again := r.start("M1")
			<-again.done
			if again.err != nil || !r.serves("Mb", 101) || !r.serves("Wb", 102) {
				t.Errorf("started again: %v; %v and %v serve", again.err, r.model.Holders(ip(101)), r.model.Holders(ip(102)))
			}
		}
		if b, _ := budget.Read(nil, budget.Path(r.run, "M1")); len(b.Recoveries) != 1 || b.Exhausted {
			t.Errorf("the restart budget counts %d recoveries of M1, want 1", len(b.Recoveries))
		}
	})
}

// TestVIPsMended: a VIP that the files do not name is removed, a missing one
// put back, and only one that nobody can put back is trouble.
func TestVIPsMended(t *testing.T) {
	play(t, settings.Fast, func(r *rig) {
		r.rested("M1", "M2")
		r.ok(r.model.DelVIP(r.ctx, m1, ip(101)))
		r.logged("M1", dbss.MsgVIPRestored, 15*time.Second)
		r.ok(r.model.DelVIP(r.ctx, m2, ip(104)))
		r.ok(r.model.AddVIP(r.ctx, m1, ip(104)))
		r.logged("M1", dbss.MsgVIPRemoved, 15*time.Second)
		r.logged("M2", dbss.MsgVIPRestored, 15*time.Second)
		r.ok(r.model.DelVIP(r.ctx, m1, ip(101)))
		r.fault(sim.AgentDead, "M1")
		r.logged("M1", dbss.MsgFunctionRecovered, 2*time.Minute)
		if !r.serves("Mb", 101) || !r.serves("M2", 104) {
			t.Errorf("%v and %v hold the VIPs, want Mb and M2", r.model.Holders(ip(101)), r.model.Holders(ip(104)))
		}
	})
}

// TestUnparsableFileStopsNoTakeover: A3 to A5 go on from the last good copy.
func TestUnparsableFileStopsNoTakeover(t *testing.T) {
	play(t, settings.Fast, func(r *rig) {
		r.rested("M1")
		r.edit(func(*cluster.Tables) {})
		r.spoil(conffile.Operation)
		r.fault(sim.VMShutdown, "M1")
		r.logged("M1", dbss.MsgFunctionRecovered, 10*time.Second)
		r.logged("M1", dbss.MsgTargetRecovered, time.Minute)
	})
}
