package dsrs

import (
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/conffile"
	"pss-msbs/pkg/ipc"
	"pss-msbs/pkg/sim"
)

// restart lets RS1 reboot and both backups take over.
func (w *world) restart() {
	w.Helper()
	w.start()
	time.Sleep(15 * time.Second)
	w.fault(sim.RealRestart, "RS1")
	w.takeOverBoth()
}

// recovers waits for the end of a recovery and checks that all is as before.
func (w *world) recovers(limit time.Duration) {
	w.Helper()
	w.await("end of the recovery", limit, w.isRestored)
	w.restored()
}

// A VIP that cannot be put on its server stays with the backup, and is tried again.
func TestGiveBackIsUndone(t *testing.T) {
	in(t, nil, func(w *world) {
		w.restart()
		w.run.fleet.script("AddVIP M1", 1)
		w.awaitLog(MsgServerUp+" server=M1", 2*time.Minute)
		time.Sleep(900 * time.Millisecond)
		if got := w.model.Holders(vip1); !slices.Equal(got, []string{"Mb"}) {
			t.Errorf("after the failure %s is held by %v", vip1, got)
		}
		w.recovers(time.Minute)
	})
}

// While the virtualization software hangs nothing can be put on a server that has
// booted: its VIP is not even taken off the backup, and nobody waits for the lock.
func TestNothingIsTakenForASilentServer(t *testing.T) {
	in(t, nil, func(w *world) {
		w.restart()
		w.awaitLog(MsgStart+" server=M1", time.Minute)
		time.Sleep(time.Second)
		w.must(w.model.Inject(sim.Fault{Kind: sim.HypervisorFreeze, Target: "RS1", For: time.Minute}))
		for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
			if got := w.model.Holders(vip1); !slices.Equal(got, []string{"Mb"}) {
				t.Fatalf("%s is held by %v", vip1, got)
			}
		}
		w.recovers(3 * time.Minute)
	})
}

// A server whose agent falls silent just as it has got its VIP does not let go of
// it when the give-back is undone: its link goes down before the backup gets the VIP
// again, and it is booted.
func TestGiveBackToSilentServerIsUndone(t *testing.T) {
	in(t, nil, func(w *world) {
		w.restart()
		var once sync.Once
		w.run.fleet.tap(func(call string) {
			if call == "AddVIP M1" {
				once.Do(func() {
					w.must(w.model.AddVIP(w.ctx, w.guest("M1", rs1), vip1))
					w.fault(sim.AgentDead, "M1")
				})
			}
		})
		w.recovers(6 * time.Minute)
	})
}

// A dsrs that hangs in a give-back loses its hold: what pss has moved by then
// does not go back to the backup.
func TestStoppedInGiveBack(t *testing.T) {
	in(t, nil, func(w *world) {
		w.restart()
		var hung sync.Once
		w.run.fleet.tap(func(call string) {
			if call != "AddVIP M1" {
				return
			}
			hung.Do(func() {
				time.Sleep(20 * time.Second)
				w.must(w.model.AddVIP(w.ctx, w.guest("M2", rs2), vip1))
				w.edit(func(t *cluster.Tables) {
					for i, r := range t.Operation {
						if r.Host == "Mb" {
							t.Operation[i] = cluster.ServerRow{Group: r.Group, Real: rs2, VIP: r.VIP, Host: "M2", IP: ip("172.21.14.4")}
						}
					}
				})
			})
		})
		w.awaitLog(MsgRecovered, 3*time.Minute)
		w.await("access stop of M1", 3*time.Minute, func() bool { return len(w.tables().AccessStop.Of("M1")) == 1 })
		if got := w.model.Holders(vip1); !slices.Equal(got, []string{"M2"}) {
			t.Errorf("%s is held by %v", vip1, got)
		}
	})
}

// The agent of the backup is silent: it is cut off, and its target's dbss
// recreates it.
func TestGiveBackFromSilentBackup(t *testing.T) {
	in(t, nil, func(w *world) {
		w.restart()
		w.fault(sim.AgentDead, "Mb")
		w.awaitLog(MsgRecovered, 2*time.Minute)
		w.awaitState(Normal, time.Minute)
		if got := w.model.Holders(vip1); !slices.Equal(got, []string{"M1"}) {
			t.Errorf("%s is held by %v", vip1, got)
		}
		w.awaitLog(MsgRemoved+" level=warn server=Mb", time.Minute)
	})
}

// Somebody whom the files do not name answers for the VIP: it is not given to
// a second one.
func TestGiveBackFromStranger(t *testing.T) {
	in(t, nil, func(w *world) {
		w.restart()
		w.must(w.model.DelVIP(w.ctx, w.guest("Mb", mgmt), vip1))
		w.must(w.model.AddVIP(w.ctx, w.guest("M2", rs2), vip1))
		w.awaitLog(MsgNoServer+" level=error server=M1", 2*time.Minute)
		if got := w.model.Holders(vip1); !slices.Equal(got, []string{"M2"}) {
			t.Errorf("%s is held by %v", vip1, got)
		}
		w.must(w.model.DelVIP(w.ctx, w.guest("M2", rs2), vip1))
		w.recovers(5 * time.Minute)
	})
}

// What a host that was frozen may bring back besides a healthy server.
func TestReturnsWithSickServer(t *testing.T) {
	for name, sick := range map[string]func(w *world){
		"service freeze": func(w *world) { w.fault(sim.ServiceFreeze, "M1:postfix") },
		"vm freeze":      func(w *world) { w.fault(sim.VMFreeze, "M1") },
		"vm shutdown":    func(w *world) { w.fault(sim.VMShutdown, "M1") },
		"paused": func(w *world) {
			w.must(w.model.DelVIP(w.ctx, w.guest("M1", rs1), vip1))
			w.must(w.model.Pause(w.ctx, w.guest("M1", rs1)))
		},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, nil, func(w *world) {
				w.start()
				time.Sleep(15 * time.Second)
				sick(w)
				w.must(w.model.Inject(sim.Fault{Kind: sim.RealFreeze, Target: "RS1", For: 20 * time.Second}))
				w.takeOverBoth()
				w.recovers(3 * time.Minute)
				if w.logged(MsgFenced) && !w.logged(MsgUnfenced) {
					t.Error("a fence was not lifted")
				}
			})
		})
	}
}

// One server does not boot: the host and the other server are not delayed.
func TestServerThatDoesNotBoot(t *testing.T) {
	in(t, nil, func(w *world) {
		w.fault(sim.BootFail, "M1")
		w.restart()
		w.awaitLog(MsgServer+" server=W1", 2*time.Minute)
		w.await("row of RS1", time.Minute, func() bool { return w.tables().IsActive(rs1) })
		if got := w.model.Holders(vip1); !slices.Equal(got, []string{"Mb"}) {
			t.Errorf("%s is held by %v", vip1, got)
		}
		w.recovers(10 * time.Minute)
	})
}

// A typo in a file stops no recovery (SPEC 3).
func TestRecoversDespiteTypo(t *testing.T) {
	in(t, nil, func(w *world) {
		w.start()
		time.Sleep(15 * time.Second)
		w.disk.WriteFile(conffile.Real, []byte("172.21.14.201 oops\n"))
		w.fault(sim.RealRestart, "RS1")
		w.takeOverBoth()
		w.recovers(3 * time.Minute)
		names, err := w.disk.List(".")
		w.must(err)
		if !slices.ContainsFunc(names, func(name string) bool { return strings.HasPrefix(name, conffile.Real+".rejected-") }) {
			t.Errorf("the faulty file was not kept: %v", names)
		}
	})
}

// The host answers pings, its virtualization software does not come up.
func TestHypervisorSilentOnReturn(t *testing.T) {
	in(t, nil, func(w *world) {
		w.restart()
		w.awaitLog(MsgOut, time.Minute)
		w.run.fleet.script("Guests", -1)
		w.awaitLog(MsgHypervisor, 3*time.Minute)
		w.recovers(3 * time.Minute)
	})
}

// An operator puts the row back by hand while the host is silent: B3 again.
func TestRowPutBackByHand(t *testing.T) {
	in(t, nil, func(w *world) {
		w.start()
		time.Sleep(15 * time.Second)
		row := w.tables().Real[0]
		w.fault(sim.WakeNever, "RS1")
		w.fault(sim.RealShutdown, "RS1")
		w.takeOverBoth()
		w.awaitLog(MsgPacket, time.Minute)
		w.edit(func(t *cluster.Tables) { t.Real = append(t.Real, row) })
		w.awaitState(Normal, time.Minute)
		w.await("B3", time.Minute, func() bool { return !w.tables().IsActive(rs1) })
		w.heal("RS1")
		w.recovers(5 * time.Minute)
	})
}

// A backup that cannot move stays, and its row says so.
func TestBackupThatCannotMove(t *testing.T) {
	for name, why := range map[string]func(w *world){
		"migration fails": func(w *world) { w.fault(sim.MigrateFail, "Mb") },
		"no room":         func(w *world) { w.set.Server.MemoryKB = 1 << 40 },
	} {
		t.Run(name, func(t *testing.T) {
			in(t, nil, func(w *world) {
				w.set.DSRS.RestoreDeadline /= 10
				why(w)
				w.start()
				time.Sleep(15 * time.Second)
				w.fault(sim.WakeNever, "RS1")
				w.fault(sim.RealShutdown, "RS1")
				w.takeOverBoth()
				w.awaitLog(MsgNotMoved, 3*time.Minute)
				time.Sleep(time.Second)
				if rows := w.tables().Operation.Of("Mb"); len(rows) != 1 || rows[0].Real != mgmt {
					t.Errorf("rows of Mb: %v", rows)
				}
				w.heal("RS1")
				w.recovers(10 * time.Minute)
			})
		})
	}
}

// kill -9 between the row of a move and the end of its migration.
func TestKilledWhileMovingBackups(t *testing.T) {
	for _, after := range []time.Duration{20, 500, 2000, 5000, 9000} {
		t.Run((after * time.Millisecond).String(), func(t *testing.T) {
			in(t, nil, func(w *world) {
				w.set.DSRS.RestoreDeadline /= 10
				w.start()
				time.Sleep(15 * time.Second)
				w.fault(sim.WakeNever, "RS1")
				w.fault(sim.RealShutdown, "RS1")
				w.takeOverBoth()
				w.awaitLog(MsgMoving, 3*time.Minute)
				time.Sleep(after * time.Millisecond)
				w.kill()
				time.Sleep(5 * time.Second)
				w.start()
				time.Sleep(10 * time.Second)
				w.heal("RS1")
				w.recovers(10 * time.Minute)
			})
		})
	}
}

// A dsrs ends while its hypervisor goes on migrating: the row names the
// management server, where the backup is no more.
func TestEndedWhileMovingBackups(t *testing.T) {
	in(t, nil, func(w *world) {
		w.set.DSRS.RestoreDeadline /= 10
		w.start()
		time.Sleep(15 * time.Second)
		w.fault(sim.WakeNever, "RS1")
		w.fault(sim.RealShutdown, "RS1")
		w.takeOverBoth()
		w.awaitLog(MsgMoving, 3*time.Minute)
		time.Sleep(500 * time.Millisecond)
		w.stop()
		w.await("end of the migration", time.Minute, func() bool { return w.state(w.guest("Mb", rs2)) == cluster.GuestRunning })
		if rows := w.tables().Operation.Of("Mb"); len(rows) != 1 || rows[0].Real != mgmt {
			t.Fatalf("rows of Mb: %v", rows)
		}
		w.heal("RS1")
		w.start()
		w.recovers(3 * time.Minute)
	})
}

func TestRoomTakesTheFreest(t *testing.T) {
	r := room{rs1: 100, rs2: 300, rs3: 300}
	for i, want := range []netip.Addr{rs2, rs3, rs2, rs3, {}} {
		if got, ok := r.take(120); got != want || ok == (want == netip.Addr{}) {
			t.Errorf("take %d: %v, want %v", i, got, want)
		}
	}
}

// A move was cut off by kill -9 between its row and its migration: the row
// names a real server on which the backup never was.
func TestMoveCutOffAfterItsRow(t *testing.T) {
	in(t, nil, func(w *world) {
		w.restart()
		w.edit(func(t *cluster.Tables) {
			for i, r := range t.Operation {
				if r.Host == "Mb" {
					t.Operation[i].Real = rs2
				}
			}
		})
		w.recovers(3 * time.Minute)
	})
}

// Under hold a guest keeps the VIPs that it has been given meanwhile.
func TestWithoutRows(t *testing.T) {
	g := cluster.Guest{Host: "M1", Real: rs1}
	rows := &ipc.HeldRows{TargetOperation: cluster.Rows{{Host: "M1", Real: rs1, VIP: vip1}, {Host: "M1", Real: rs2, VIP: vip2}}}
	if got := withoutRows([]netip.Addr{vip1, vip2}, rows, g); !slices.Equal(got, []netip.Addr{vip2}) {
		t.Errorf("to be removed: %v", got)
	}
}

// Somebody else has paused the backup as it served: it would answer again the
// moment it is resumed, so it is cut off.
func TestGiveBackFromPausedBackup(t *testing.T) {
	in(t, nil, func(w *world) {
		w.restart()
		var paused sync.Once
		w.run.fleet.tap(func(call string) {
			if call == "DelVIP Mb" {
				paused.Do(func() {
					w.must(w.model.Inject(sim.Fault{Kind: sim.VMStall, Target: "Mb", For: 5 * time.Second, Says: cluster.GuestPaused}))
				})
			}
		})
		w.awaitLog(MsgRecovered, 2*time.Minute)
		w.awaitState(Normal, time.Minute)
		time.Sleep(10 * time.Second)
		if got := w.model.Holders(vip1); !slices.Equal(got, []string{"M1"}) {
			t.Errorf("%s is held by %v", vip1, got)
		}
		if v := w.model.Violations(); len(v) > 0 {
			t.Errorf("violations: %+v", v)
		}
	})
}
