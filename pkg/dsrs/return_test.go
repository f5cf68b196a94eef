package dsrs

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/sim"
)

// strippedInTime checks the one exception of SPEC 10: a VIP held twice for at
// most strip_deadline after the first answer of a host that was silent.
func (w *world) strippedInTime(want int) {
	w.Helper()
	w.strippedWithin(want, w.set.DSRS.StripDeadline.D())
}

func (w *world) strippedWithin(want int, limit time.Duration) {
	w.Helper()
	s, err := w.model.Status(w.ctx, sim.Query{})
	w.must(err)
	if len(s.Exceptions) < want {
		w.Errorf("%d VIPs were held twice, the test wants %d", len(s.Exceptions), want)
	}
	for _, e := range s.Exceptions {
		if e.AfterAnswer > limit.Seconds() {
			w.Errorf("%s was held twice for %.2f s after the first answer", e.VIP, e.AfterAnswer)
		}
	}
}

// A frozen host comes back with its servers running and their VIPs on.
func TestReturnsWithStaleVIPs(t *testing.T) {
	for _, silent := range []time.Duration{3600, 4000, 5500, 7000, 9000, 9300, 12000, 25000, 90000} {
		silent *= time.Millisecond
		t.Run(fmt.Sprint(silent), func(t *testing.T) {
			in(t, nil, func(w *world) {
				w.start()
				time.Sleep(15 * time.Second)
				w.must(w.model.Inject(sim.Fault{Kind: sim.RealFreeze, Target: "RS1", For: silent}))
				w.takeOverBoth()
				w.await("return of both", 3*time.Minute, func() bool { return w.mon.is("M1", "dbss") && w.mon.is("W1", "dbss") })
				time.Sleep(20 * time.Second)
				w.strippedInTime(2)
				w.restored()
			})
		})
	}
}

// Somebody else holds the files when a frozen host comes back: what they said
// before is enough to take the stale VIPs off in time.
func TestReturnsWhileTheFilesAreHeld(t *testing.T) {
	in(t, nil, func(w *world) {
		w.start()
		time.Sleep(15 * time.Second)
		w.must(w.model.Inject(sim.Fault{Kind: sim.RealFreeze, Target: "RS1", For: 25 * time.Second}))
		thaw := time.Now().Add(25 * time.Second)
		w.takeOverBoth()
		time.Sleep(time.Until(thaw) - 500*time.Millisecond)
		held, err := w.files.Hold(w.ctx)
		w.must(err)
		time.Sleep(3 * time.Second)
		held.Close()
		w.await("return of both", 3*time.Minute, func() bool { return w.mon.is("M1", "dbss") && w.mon.is("W1", "dbss") })
		time.Sleep(20 * time.Second)
		w.strippedInTime(2)
		w.restored()
	})
}

// The same, and a server was taken over after the last look at the files: those that
// do not answer for their VIPs alone are cut off until it is known which may.
func TestReturnsJustAfterTheTakeover(t *testing.T) {
	in(t, nil, func(w *world) {
		w.start()
		time.Sleep(15 * time.Second)
		w.must(w.model.Inject(sim.Fault{Kind: sim.RealFreeze, Target: "RS1", For: 25 * time.Second}))
		thaw := time.Now().Add(25 * time.Second)
		time.Sleep(24 * time.Second)
		w.takeOver("W1")
		held, err := w.files.Hold(w.ctx)
		w.must(err)
		time.Sleep(time.Until(thaw) + 2*time.Second)
		if w.model.Ping(w.ctx, w.dat("W1").IP) == nil {
			t.Error("W1 is connected before anybody knows whether it may answer")
		}
		if err := w.model.Ping(w.ctx, w.dat("M1").IP); err != nil {
			t.Errorf("M1, which answers for its VIP alone, is cut off: %v", err)
		}
		held.Close()
		w.await("return of W1", 3*time.Minute, func() bool { return w.mon.is("W1", "dbss") })
		time.Sleep(20 * time.Second)
		w.strippedInTime(1)
		w.restored()
	})
}

// A guest of RS1 that no file of ours knows is left alone, whatever its agent does.
func TestStrangerIsLeftAlone(t *testing.T) {
	in(t, nil, func(w *world) {
		w.start()
		w.run.fleet.runs(cluster.GuestInfo{Host: "Stranger", State: cluster.GuestRunning})
		time.Sleep(15 * time.Second)
		w.must(w.model.Inject(sim.Fault{Kind: sim.RealFreeze, Target: "RS1", For: 20 * time.Second}))
		w.takeOverBoth()
		w.awaitLog(MsgRecovered, 3*time.Minute)
		if w.logged("Stranger") {
			t.Error("a stranger was touched")
		}
	})
}

// The host answers, the agents of its servers do not: they are cut off, and
// nobody waits for the agents first.
func TestReturnsWithSilentAgents(t *testing.T) {
	in(t, nil, func(w *world) {
		w.start()
		time.Sleep(15 * time.Second)
		w.fault(sim.AgentDead, "M1")
		w.must(w.model.Inject(sim.Fault{Kind: sim.RealFreeze, Target: "RS1", For: 20 * time.Second}))
		w.takeOverBoth()
		w.awaitLog(MsgFenced, time.Minute)
		w.awaitLog(MsgRecovered, 3*time.Minute)
		w.awaitState(Normal, time.Minute)
		w.strippedWithin(2, w.set.DSRS.StripDeadline.D()/2)
		w.restored()
	})
}

// The host returns while B3 waits for the lock, and the files that were read last
// know nothing of the takeover of W1 yet: as soon as B3 is done they are read
// again, however long the agent of M1, which was separated before, is asked.
func TestReturnsDuringB3(t *testing.T) {
	in(t, nil, func(w *world) {
		w.start()
		time.Sleep(15 * time.Second)
		w.must(w.model.DelVIP(w.ctx, w.guest("M1", rs1), vip1))
		w.takeOver("M1")
		w.mon.set("M1", "dbss")
		w.fault(sim.AgentDead, "M1")
		w.fault(sim.RealFreeze, "RS1")
		w.awaitLog(MsgReexamine, time.Minute)
		time.Sleep(100 * time.Millisecond)
		w.takeOver("W1")
		held, err := w.files.Hold(w.ctx)
		w.must(err)
		w.awaitLog(MsgConfirmed, time.Minute)
		w.heal("RS1")
		time.Sleep(200 * time.Millisecond)
		held.Close()
		w.awaitLog(MsgRecovered, 3*time.Minute)
		w.strippedInTime(1)
	})
}

// The host is back before B3 has the lock: it is not taken out any more.
func TestB3IsGivenUp(t *testing.T) {
	in(t, nil, func(w *world) {
		w.start()
		time.Sleep(15 * time.Second)
		w.fault(sim.RealFreeze, "RS1")
		w.awaitLog(MsgReexamine, time.Minute)
		held, err := w.files.Hold(w.ctx)
		w.must(err)
		w.awaitLog(MsgConfirmed, time.Minute)
		w.heal("RS1")
		time.Sleep(3 * time.Second)
		held.Close()
		w.awaitState(Normal, time.Minute)
		if w.logged(MsgOut) {
			t.Error("the host was taken out although it had answered again")
		}
	})
}

// restoringM1 has dsrs boot M1, which was taken over, while W1 serves on.
func (w *world) restoringM1() {
	w.Helper()
	w.start()
	time.Sleep(15 * time.Second)
	w.fault(sim.VMShutdown, "M1")
	w.takeOver("M1")
	w.fault(sim.HypervisorStop, "RS1")
	w.awaitLog(MsgStart+" server=M1", time.Minute)
	time.Sleep(2 * time.Second)
}

// The host is silent for a moment while M1 boots there, too short a time to begin
// anew, but long enough for W1 to be taken over.
func TestSilentForAMomentInARestore(t *testing.T) {
	in(t, nil, func(w *world) {
		w.restoringM1()
		w.must(w.model.Inject(sim.Fault{Kind: sim.Partition, Target: "RS1", For: 3 * time.Second}))
		time.Sleep(2 * time.Second)
		w.takeOver("W1")
		w.awaitLog(MsgServer+" server=W1", 3*time.Minute)
		w.strippedInTime(1)
		w.recovers(3 * time.Minute)
	})
}

// M1 is taken over while dsrs waits for a hypervisor that would not cut W1 off:
// nobody has asked M1 for stale VIPs yet.
func TestReturnsDuringATakeover(t *testing.T) {
	in(t, nil, func(w *world) {
		w.start()
		time.Sleep(15 * time.Second)
		w.fault(sim.AgentDead, "W1")
		w.must(w.model.Inject(sim.Fault{Kind: sim.RealFreeze, Target: "RS1", For: 20 * time.Second}))
		w.takeOver("W1")
		var links atomic.Int64
		w.run.fleet.tap(func(call string) {
			if call == "SetLink W1" && links.Add(1) == 2 { // cut off, and then fenced, as its agent does not answer
				w.must(w.model.Inject(sim.Fault{Kind: sim.HypervisorFreeze, Target: "RS1", For: 4 * time.Second}))
				w.takeOver("M1")
			}
		})
		w.awaitLog(MsgStripped, time.Minute)
		if held := w.model.Holders(vip1); !slices.Equal(held, []string{"Mb"}) {
			t.Errorf("%v hold the VIP of M1, want Mb", held)
		}
		w.awaitLog(MsgRecovered, 3*time.Minute)
		w.recovers(time.Minute)
	})
}

// A guest that is fenced but owned by a live dbss is stripped and reachable
// again once its agent answers.
func TestFencedServerOfAnother(t *testing.T) {
	in(t, nil, func(w *world) {
		w.start()
		time.Sleep(15 * time.Second)
		w.fault(sim.AgentDead, "M1")
		w.must(w.model.Inject(sim.Fault{Kind: sim.RealFreeze, Target: "RS1", For: 20 * time.Second}))
		w.takeOverBoth()
		w.mon.set("M1", "dbss") // still at work
		w.awaitLog(MsgFenced, time.Minute)
		w.awaitLog(MsgRecovered, 3*time.Minute)
		if w.model.Ping(w.ctx, w.dat("M1").IP) == nil {
			t.Error("the fence was lifted before the VIP was off")
		}
		time.Sleep(10 * time.Second)
		w.heal("M1")
		w.awaitLog(MsgUnfenced, 30*time.Second)
		w.must(w.model.Ping(w.ctx, w.dat("M1").IP))
		w.mon.set("M1", "") // and now it ends
		w.await("restore of M1", time.Minute, func() bool { return w.mon.is("M1", "dbss") })
		time.Sleep(5 * time.Second)
		w.restored()
	})
}

// The dbss of a server has not ended yet when the host is back.
func TestHeldServerIsLeftAlone(t *testing.T) {
	in(t, nil, func(w *world) {
		w.start()
		time.Sleep(15 * time.Second)
		w.fault(sim.RealRestart, "RS1")
		w.takeOverBoth()
		w.mon.set("M1", "dbss")
		w.awaitLog(MsgRecovered, 2*time.Minute)
		time.Sleep(30 * time.Second)
		if rows := w.tables().Operation.Of("Mb"); len(rows) != 1 || w.mon.started["M1"] != 0 {
			t.Errorf("the server of another was touched: %v", rows)
		}
		w.mon.set("M1", "")
		w.await("restore of M1", time.Minute, func() bool { return w.mon.is("M1", "dbss") })
		time.Sleep(5 * time.Second)
		w.restored()
	})
}

// A server whose VIP another home serves by now goes to access stop.
func TestVIPServedByAnother(t *testing.T) {
	in(t, nil, func(w *world) {
		w.start()
		time.Sleep(15 * time.Second)
		w.fault(sim.RealRestart, "RS1")
		w.takeOverBoth()
		// pss gives the VIP of M1 to M2
		w.must(w.model.DelVIP(w.ctx, w.guest("Mb", mgmt), vip1))
		w.must(w.model.AddVIP(w.ctx, w.guest("M2", rs2), vip1))
		w.edit(func(t *cluster.Tables) {
			for i, r := range t.Operation {
				if r.Host == "Mb" {
					t.Operation[i] = cluster.ServerRow{Group: r.Group, Real: rs2, VIP: r.VIP, Host: "M2", IP: ip("172.21.14.4")}
				}
			}
		})
		w.awaitLog(MsgRecovered, 2*time.Minute)
		w.awaitState(Normal, time.Minute)
		if rows := w.tables().AccessStop.Of("M1"); len(rows) != 1 || rows[0].VIP != vip1 {
			t.Errorf("access-stop rows of M1: %v", rows)
		}
		if got := w.model.Holders(vip1); !slices.Equal(got, []string{"M2"}) {
			t.Errorf("%s is held by %v", vip1, got)
		}
		w.await("the rest of Mb", time.Minute, func() bool { return w.state(w.guest("Mb", mgmt)) == cluster.GuestPaused })
	})
}

// A spare that was started elsewhere while its first host was silent is
// removed from that host.
func TestMisplacedSpareIsRemoved(t *testing.T) {
	ws := cluster.Guest{Host: "Ws", IP: ip("172.21.14.52"), Real: rs1}
	row := func(real netip.Addr) cluster.ServerRow {
		return cluster.ServerRow{Group: "Web", Real: real, VIP: ip("172.21.14.105"), Host: "Ws", IP: ws.IP}
	}
	light := func(t *cluster.Tables) {
		i := slices.IndexFunc(t.Operation, func(r cluster.ServerRow) bool { return r.Host == "W2" })
		t.AccessStop = append(t.AccessStop, t.Operation[i])
		t.Operation[i] = row(rs1)
		for j := range t.State {
			if t.State[j].Group == "Web" {
				t.State[j].Condition = cluster.PS1
			}
		}
	}
	in(t, light, func(w *world) {
		w.start()
		time.Sleep(15 * time.Second)
		if s := w.state(ws); s != cluster.GuestRunning {
			t.Fatalf("Ws is %s", s)
		}
		w.must(w.model.Inject(sim.Fault{Kind: sim.RealFreeze, Target: "RS1", For: 30 * time.Second}))
		w.takeOverBoth()
		w.must(w.model.SetClock(w.ctx, w.guest("W2", rs3)))
		w.must(w.model.AddVIP(w.ctx, w.guest("W2", rs3), ip("172.21.14.105")))
		w.edit(func(t *cluster.Tables) { // pss gives its VIP back to W2 and drops the spare
			i := slices.IndexFunc(t.Operation, func(r cluster.ServerRow) bool { return r.Host == "Ws" })
			t.Operation[i] = t.AccessStop[0]
			t.AccessStop = nil
		})
		w.awaitLog(MsgRecovered, 2*time.Minute)
		w.awaitState(Normal, time.Minute)
		if s := w.state(ws); !s.Dead() && s != cluster.GuestSaved {
			t.Errorf("Ws is still %s on RS1", s)
		}
		w.strippedInTime(3)
	})
}

// A VIP that a server was given after the files were asked stays on it.
func TestStripLooksAgainUnderHold(t *testing.T) {
	in(t, nil, func(w *world) {
		w.start()
		time.Sleep(time.Second)
		w.must(w.run.dsrs.drop(w.ctx, w.guest("M1", rs1), []netip.Addr{vip1}, false))
		if got := w.model.Holders(vip1); !slices.Equal(got, []string{"M1"}) {
			t.Errorf("%s is held by %v", vip1, got)
		}
	})
}

// A dbss fenced M1 by its link and ended when the real server fell silent: the
// fence that it left is lifted with the restart.
func TestFenceThatADbssLeft(t *testing.T) {
	for _, frozen := range []bool{false, true} {
		in(t, nil, func(w *world) {
			w.start()
			time.Sleep(15 * time.Second)
			m1 := w.guest("M1", rs1)
			w.must(w.model.DelVIP(w.ctx, m1, vip1))
			w.must(w.model.SetLink(w.ctx, m1, false))
			if frozen {
				w.fault(sim.VMFreeze, "M1")
			}
			w.must(w.model.Inject(sim.Fault{Kind: sim.Partition, Target: "RS1", For: 30 * time.Second}))
			w.takeOverBoth()
			w.awaitLog(MsgRecovered, 3*time.Minute)
			w.await("restore of M1", time.Minute, func() bool { return w.mon.is("M1", "dbss") })
			time.Sleep(5 * time.Second)
			w.restored()
		})
	}
}

// Between two monitorings the host was silent and a spare's VIP went elsewhere:
// it is taken off within strip_deadline, although the files know the spare no more.
func TestSpareStrippedAfterABlip(t *testing.T) {
	for _, held := range []bool{false, true} {
		t.Run(fmt.Sprintf("files held %t", held), func(t *testing.T) { strippedAfterABlip(t, held, 0) })
	}
}

// The same where dsrs was started shortly before or after the host's return: a
// dsrs that starts does not know how long its host has been answering.
func TestSpareStrippedAfterAStart(t *testing.T) {
	for _, start := range []time.Duration{3400 * time.Millisecond, 3900 * time.Millisecond, 4300 * time.Millisecond} {
		t.Run(start.String(), func(t *testing.T) { strippedAfterABlip(t, false, start) })
	}
}

// A dsrs that could never ask the files cuts nobody off on a host that was silent
// for a moment.
func TestUnknownFilesCutNobodyOff(t *testing.T) {
	in(t, nil, func(w *world) {
		lock, err := w.files.Hold(w.ctx)
		w.must(err)
		defer lock.Close()
		w.start()
		w.run.fleet.tap(func(call string) {
			if strings.HasPrefix(call, "SetLink") {
				t.Error(call)
			}
		})
		w.blips(60, 600*time.Millisecond)
	})
}

// strippedAfterABlip plays a blip of 4 s, with the files held at its end, or
// with a dsrs that starts so long after its begin.
func strippedAfterABlip(t *testing.T, held bool, start time.Duration) {
	in(t, nil, func(w *world) {
		fs := cluster.Guest{Host: "Fs", IP: ip("172.21.14.53"), Real: rs1}
		vip := ip("172.21.14.106")
		w.must(w.model.Start(w.ctx, fs))
		w.await("boot of Fs", time.Minute, func() bool { return w.state(fs) == cluster.GuestRunning })
		f2 := w.guest("F2", rs3)
		row := cluster.ServerRow{Group: "FTP", Real: rs1, VIP: vip, Host: "Fs", IP: fs.IP}
		w.must(w.model.DelVIP(w.ctx, f2, vip))
		w.must(w.model.SetClock(w.ctx, fs))
		w.must(w.model.AddVIP(w.ctx, fs, vip))
		w.must(w.files.Update(w.ctx, func(t *cluster.Tables) error {
			t.Operation = append(slices.DeleteFunc(t.Operation, func(r cluster.ServerRow) bool { return r.VIP == vip }), row)
			t.AccessStop = append(t.AccessStop, cluster.ServerRow{Group: "FTP", Real: rs3, VIP: vip, Host: "F2", IP: f2.IP})
			return nil
		}))
		w.start()
		time.Sleep(12 * time.Second)
		if start > 0 {
			w.stop()
		}
		w.must(w.model.Inject(sim.Fault{Kind: sim.RealFreeze, Target: "RS1", For: 4 * time.Second}))
		began := time.Now()
		time.Sleep(time.Second)
		w.must(w.model.AddVIP(w.ctx, f2, vip)) // what pss does after A4-failed
		w.must(w.files.Update(w.ctx, func(t *cluster.Tables) error {
			t.Operation = append(slices.DeleteFunc(t.Operation, func(r cluster.ServerRow) bool { return r.VIP == vip }), t.AccessStop[len(t.AccessStop)-1])
			t.AccessStop = t.AccessStop[:len(t.AccessStop)-1]
			return nil
		}))
		if start > 0 {
			time.Sleep(start - time.Since(began))
			w.start()
		}
		if held {
			time.Sleep(2 * time.Second)
			lock, err := w.files.Hold(w.ctx)
			w.must(err)
			time.Sleep(4 * time.Second)
			lock.Close()
		}
		time.Sleep(10 * time.Second)
		w.strippedInTime(1)
		if got := w.model.Holders(vip); !slices.Equal(got, []string{"F2"}) {
			t.Errorf("%v is held by %v", vip, got)
		}
	})
}
