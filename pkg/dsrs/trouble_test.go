package dsrs

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/sim"
)

// suspendRS1 moves the row of RS1 to the suspension-real file.
func suspendRS1(t *cluster.Tables) {
	i := slices.IndexFunc(t.Real, func(r cluster.RealRow) bool { return r.IP == rs1 })
	t.Suspended = append(t.Suspended, t.Real[i])
	t.Real = slices.Delete(slices.Clone(t.Real), i, i+1)
}

func wakeRS1(t *cluster.Tables) {
	t.Real, t.Suspended = append(t.Real, t.Suspended...), nil
}

// stopRS1 puts both servers of RS1 into access stop; M2 and W2 take their VIPs.
func stopRS1(t *cluster.Tables) {
	for i, r := range t.Operation {
		for to, from := range map[string]string{"M2": "M1", "W2": "W1"} {
			if r.Host != from {
				continue
			}
			t.AccessStop = append(t.AccessStop, r)
			o := t.Operation[slices.IndexFunc(t.Operation, func(r cluster.ServerRow) bool { return r.Host == to })]
			o.VIP = r.VIP
			t.Operation[i] = o
		}
	}
}

func (w *world) edit(edit func(*cluster.Tables)) {
	w.Helper()
	w.must(w.files.Update(w.ctx, func(t *cluster.Tables) error { edit(t); return nil }))
}

func (w *world) logged(message string) bool { return strings.Contains(w.log.String(), message) }

func TestHealthyHostIsLeftAlone(t *testing.T) {
	in(t, nil, func(w *world) {
		before := w.tables()
		w.start()
		time.Sleep(5 * time.Minute)
		if n := strings.Count(w.log.String(), "\n"); n != 2 {
			t.Errorf("%d log lines of a healthy host, want its start and normal", n)
		}
		if !slices.Equal(before.Real, w.tables().Real) {
			t.Error("the files changed")
		}
	})
}

// Fig. 9(b), B1: a suspended host is no trouble, is not woken, and is
// monitored again when the PSS has woken it.
func TestSuspendedHostIsSkipped(t *testing.T) {
	both := func(t *cluster.Tables) { stopRS1(t); suspendRS1(t) }
	in(t, both, func(w *world) {
		w.start()
		w.awaitLog(MsgSuspended, 15*time.Second)
		time.Sleep(2 * time.Minute)
		if w.logged(MsgTrouble) || w.logged(MsgPacket) {
			t.Error("a suspended host was taken for dead")
		}
		w.must(w.model.WakeReal(w.ctx, w.mac()))
		time.Sleep(10 * time.Second)
		w.edit(wakeRS1)
		w.awaitLog(MsgNormal, 15*time.Second)
	})
}

// The monitor of a stopped server dies while its host is suspended; it had
// been started by a dsrs, so that nobody else starts it again.
func TestMonitorDiesWhileSuspended(t *testing.T) {
	in(t, func(t *cluster.Tables) { stopRS1(t); suspendRS1(t) }, func(w *world) {
		w.start()
		w.awaitLog(MsgSuspended, 15*time.Second)
		w.mon.set("M1", "")
		w.await("a monitor", time.Minute, func() bool { return w.mon.is("M1", "dbss") })
	})
}

// Fig. 9(b), B2: the host is suspended between B1 and the trouble.
func TestSuspendedBetweenB1AndB2(t *testing.T) {
	in(t, stopRS1, func(w *world) {
		w.set.Profile = "paper" // polling: the change itself does not wake it
		w.start()
		w.awaitLog(MsgNormal, time.Second)
		time.Sleep(9500 * time.Millisecond) // the next B1 is due in 0.5 s
		w.must(w.model.SuspendReal(w.ctx, rs1))
		w.awaitLog(MsgTrouble, 15*time.Second)
		w.edit(suspendRS1)
		w.awaitState(Suspended, 20*time.Second)
		if w.logged(MsgPacket) || w.logged(MsgOut) {
			t.Error("a suspended host was taken out or woken")
		}
		if rows := w.tables().Suspended; len(rows) != 1 {
			t.Errorf("suspension-real: %v", rows)
		}
	})
}

// The network of the management server is down: nothing may be done.
func TestCutOffHolds(t *testing.T) {
	in(t, nil, func(w *world) {
		w.start()
		time.Sleep(15 * time.Second)
		w.fault(sim.NetworkLost, "management")
		w.awaitLog(MsgCutOff, 30*time.Second)
		time.Sleep(2 * time.Minute)
		if !w.tables().IsActive(rs1) || w.logged(MsgConfirmed) || strings.Count(w.log.String(), MsgCutOff) != 1 {
			t.Error("not held, or not said exactly once")
		}
		w.heal("management")
		w.awaitLog(MsgGone, 30*time.Second)
		w.awaitState(Normal, 30*time.Second)
	})
}

// What was taken over while the network of the management server was failing is
// taken off in time once it answers again, at whatever instant that is.
func TestStaleVIPAfterACutOff(t *testing.T) {
	for late := time.Duration(0); late < 1500*time.Millisecond; late += 130 * time.Millisecond {
		in(t, nil, func(w *world) {
			w.start()
			time.Sleep(15 * time.Second)
			w.fault(sim.Partition, "RS1")
			w.takeOver("M1")
			w.fault(sim.NetworkLost, "management")
			w.awaitLog(MsgCutOff, 30*time.Second)
			w.heal("RS1")
			time.Sleep(5*time.Second + late)
			w.heal("management")
			time.Sleep(w.set.DSRS.StripDeadline.D() - 10*time.Millisecond)
			if got := w.model.Holders(vip1); !slices.Equal(got, []string{"Mb"}) {
				t.Errorf("healed %v later: %s is held by %v", late, vip1, got)
			}
		})
	}
}

// A short silence of the host is no trouble.
func TestBlipIsNoTrouble(t *testing.T) {
	in(t, nil, func(w *world) {
		w.start()
		time.Sleep(19 * time.Second)
		w.must(w.model.Inject(sim.Fault{Kind: sim.Partition, Target: "RS1", For: 3 * time.Second}))
		w.awaitLog(MsgGone, 30*time.Second)
		time.Sleep(20 * time.Second)
		if w.logged(MsgOut) || !w.tables().IsActive(rs1) {
			t.Error("a blip took the host out")
		}
	})
}

// Only the daemon of the virtualization software is down or hangs.
func TestOnlyHypervisorDown(t *testing.T) {
	for _, kind := range []string{sim.HypervisorStop, sim.HypervisorFreeze} {
		t.Run(kind, func(t *testing.T) {
			in(t, nil, func(w *world) {
				w.start()
				time.Sleep(15 * time.Second)
				w.fault(kind, "RS1")
				w.awaitLog(MsgRecovered, time.Minute)
				w.awaitState(Normal, time.Minute)
				if m := w.log.has(MsgTrouble, MsgConfirmed, "B3", MsgHypervisor, MsgAnswers, MsgStripped, "B4", MsgRecovered); m != "" {
					t.Errorf("%q is missing or out of order", m)
				}
				if w.logged(MsgPacket) || w.logged(MsgStart) {
					t.Error("a host that answers was woken, or its running servers were touched")
				}
				w.restored()
			})
		})
	}
}

// A look that began while the virtualization software hung hears nothing of its
// return: another one does, and the stale VIP goes in time.
func TestHungHypervisorReturns(t *testing.T) {
	in(t, nil, func(w *world) {
		w.start()
		time.Sleep(15 * time.Second)
		w.fault(sim.HypervisorFreeze, "RS1")
		w.fault(sim.NetworkCut, "M1")
		w.takeOver("M1")
		w.awaitLog(MsgHypervisor, time.Minute)
		w.heal("M1")
		w.await("the return of the virtualization software", time.Minute, func() bool {
			ctx, cancel := context.WithTimeout(w.ctx, 10*time.Millisecond)
			defer cancel()
			return w.model.HypervisorAlive(ctx, rs1) == nil
		})
		w.await("the end of the stale VIP", w.set.DSRS.StripDeadline.D(), func() bool {
			return slices.Equal(w.model.Holders(vip1), []string{"Mb"})
		})
	})
}

// A wake that never comes: the alarm is raised, the backups leave the
// management server, the host is still tried, and is welcome when it comes.
func TestWakeNeverComes(t *testing.T) {
	in(t, nil, func(w *world) {
		w.set.DSRS.RestoreDeadline = w.set.DSRS.RestoreDeadline / 4
		w.start()
		time.Sleep(15 * time.Second)
		w.fault(sim.WakeNever, "RS1")
		w.fault(sim.RealShutdown, "RS1")
		w.takeOverBoth()
		w.awaitLog(MsgGivenUp, 4*time.Minute)
		w.await("move of the backups", time.Minute, func() bool { return strings.Count(w.log.String(), MsgMoved) == 2 })
		reals := map[netip.Addr]bool{}
		for _, host := range []string{"Mb", "Wb"} {
			rows := w.tables().Operation.Of(host)
			if len(rows) != 1 || rows[0].Real == mgmt || w.state(w.guest(host, rows[0].Real)) != cluster.GuestRunning {
				t.Errorf("%s did not move: %v", host, rows)
				continue
			}
			reals[rows[0].Real] = true
		}
		if len(reals) != 2 {
			t.Errorf("both backups went to the same real server: free memory was not looked at")
		}
		time.Sleep(30 * time.Minute)
		packets := strings.Count(w.log.String(), MsgGivenUp)
		if packets != 1 {
			t.Errorf("%d alarms, want 1", packets)
		}
		w.heal("RS1")
		w.awaitLog(MsgRecovered, 15*time.Minute)
		w.awaitState(Normal, time.Minute)
		w.restored()
	})
}

// The wake comes on the third try only.
func TestMagicPacketIsRepeated(t *testing.T) {
	in(t, nil, func(w *world) {
		w.start()
		time.Sleep(15 * time.Second)
		w.fault(sim.RealShutdown, "RS1")
		w.fault(sim.WakeLost, "RS1")
		w.fault(sim.WakeLost, "RS1")
		w.takeOverBoth()
		w.awaitLog(MsgRecovered, 3*time.Minute)
		w.awaitState(Normal, time.Minute)
		w.restored()
	})
}

// All tries of the first wake are lost: the next one comes long before
// restore_deadline.
func TestMagicPacketsAfterTheTries(t *testing.T) {
	in(t, nil, func(w *world) {
		w.start()
		time.Sleep(15 * time.Second)
		w.fault(sim.RealShutdown, "RS1")
		for range w.set.DSRS.WakeTries {
			w.fault(sim.WakeLost, "RS1")
		}
		w.takeOverBoth()
		w.awaitLog(MsgRecovered, 4*time.Minute)
		w.awaitState(Normal, time.Minute)
		w.restored()
	})
}

// Magic packets are sent for as long as the host is silent, with growing pauses.
func TestPausesBetweenMagicPackets(t *testing.T) {
	in(t, nil, func(w *world) {
		w.start()
		time.Sleep(15 * time.Second)
		w.fault(sim.WakeNever, "RS1")
		w.fault(sim.RealShutdown, "RS1")
		w.takeOverBoth()
		w.awaitLog(MsgGivenUp, 15*time.Minute)
		var pauses []time.Duration
		sent := w.run.fleet.packets()
		for i := range sent[1:] {
			pauses = append(pauses, sent[i+1].Sub(sent[i]).Round(time.Second))
		}
		if want := []time.Duration{10 * time.Second, 10 * time.Second, 30 * time.Second, time.Minute, 2 * time.Minute, 4 * time.Minute}; !slices.Equal(pauses[:len(want)], want) {
			t.Errorf("pauses %v, want %v", pauses, want)
		}
		time.Sleep(time.Hour)
		if n := len(w.run.fleet.packets()) - len(sent); n < 6 || n > 12 {
			t.Errorf("%d magic packets in an hour", n)
		}
		w.heal("RS1")
		w.awaitLog(MsgRecovered, 15*time.Minute)
		w.awaitState(Normal, time.Minute)
		w.restored()
	})
}

// The host dies again while its servers boot.
func TestLostAgainWhileRestoring(t *testing.T) {
	in(t, nil, func(w *world) {
		w.start()
		time.Sleep(15 * time.Second)
		w.fault(sim.RealRestart, "RS1")
		w.takeOverBoth()
		w.awaitLog(MsgStart, 2*time.Minute)
		time.Sleep(10 * time.Second)
		w.fault(sim.RealShutdown, "RS1")
		w.awaitLog(MsgLost, time.Minute)
		w.awaitLog(MsgRecovered, 3*time.Minute)
		w.awaitState(Normal, time.Minute)
		w.restored()
	})
}

// A row that appears in suspension-real while the host is being woken: it is
// left to sleep.
func TestSuspendedWhileWaking(t *testing.T) {
	in(t, stopRS1, func(w *world) {
		row := w.tables().Real[0]
		w.start()
		time.Sleep(15 * time.Second)
		w.fault(sim.WakeNever, "RS1")
		w.fault(sim.RealShutdown, "RS1")
		w.awaitLog(MsgPacket, time.Minute)
		w.edit(func(t *cluster.Tables) { t.Suspended = append(t.Suspended, row) })
		w.awaitState(Suspended, time.Minute)
		w.heal("RS1")
		time.Sleep(3 * time.Minute)
		if w.model.Ping(w.ctx, rs1) == nil {
			t.Error("a suspended host was woken")
		}
	})
}
