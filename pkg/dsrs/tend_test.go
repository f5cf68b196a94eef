package dsrs

import (
	"slices"
	"testing"
	"time"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/ipc"
	"pss-msbs/pkg/sim"
)

// B4 returns the row also where there is no server to restore, and servers in
// access stop are started without VIP.
func TestStoppedServersStartWithoutVIP(t *testing.T) {
	in(t, stopRS1, func(w *world) {
		w.start()
		time.Sleep(15 * time.Second)
		w.fault(sim.RealRestart, "RS1")
		w.awaitLog(MsgRecovered, 2*time.Minute)
		w.awaitState(Normal, time.Minute)
		if !w.tables().IsActive(rs1) {
			t.Error("the row is not back")
		}
		for _, host := range []string{"M1", "W1"} {
			g := w.guest(host, rs1)
			if s := w.state(g); s != cluster.GuestRunning {
				t.Errorf("%s is %s", host, s)
			}
			addrs, err := w.model.Addrs(w.ctx, g)
			w.must(err)
			if slices.Contains(addrs, vip1) || slices.Contains(addrs, vip2) {
				t.Errorf("%s has a VIP: %v", host, addrs)
			}
		}
		if len(w.tables().AccessStop) != 2 {
			t.Errorf("access-stop: %v", w.tables().AccessStop)
		}
	})
}

// A server in access stop whose boot hangs keeps its idle real server awake; it is
// reset, while one that is off stays off.
func TestStoppedServerThatHangsInItsBoot(t *testing.T) {
	in(t, stopRS1, func(w *world) {
		w.start()
		time.Sleep(15 * time.Second)
		w.fault(sim.BootFail, "M1")
		w.fault(sim.VMRestart, "M1")
		w.fault(sim.VMShutdown, "W1")
		w.await("M1 runs", 5*time.Minute, func() bool { return w.state(w.guest("M1", rs1)) == cluster.GuestRunning })
		if s := w.state(w.guest("W1", rs1)); !s.Dead() {
			t.Errorf("W1 is %s", s)
		}
	})
}

// A separated server that nobody owns, on a healthy host.
func TestOrphanIsRestored(t *testing.T) {
	in(t, nil, func(w *world) {
		w.start()
		time.Sleep(15 * time.Second)
		w.must(w.model.Destroy(w.ctx, w.guest("M1", rs1)))
		w.takeOver("M1")
		w.await("restore of M1", time.Minute, func() bool { return w.mon.is("M1", "dbss") })
		time.Sleep(5 * time.Second)
		w.restored()
		if w.lim.begun["M1"] != 1 || w.logged(MsgTrouble) {
			t.Errorf("%d recoveries counted", w.lim.begun["M1"])
		}
	})
}

// With the budget used up the backup keeps serving until it is due.
func TestOrphanWithinBudget(t *testing.T) {
	in(t, nil, func(w *world) {
		w.lim.due["M1"] = time.Now().Add(time.Hour)
		w.start()
		time.Sleep(15 * time.Second)
		w.must(w.model.Destroy(w.ctx, w.guest("M1", rs1)))
		w.takeOver("M1")
		w.awaitLog(MsgBudget, time.Minute)
		time.Sleep(30 * time.Minute)
		if got := w.model.Holders(vip1); !slices.Equal(got, []string{"Mb"}) || w.mon.Held("M1") {
			t.Errorf("%s is held by %v", vip1, got)
		}
		w.await("restore of M1", time.Hour, func() bool { return w.mon.is("M1", "dbss") })
	})
}

// A server whose budget is used up, and which an operator has brought back, has
// no monitor: that waits for no budget.
func TestMonitorDespiteBudget(t *testing.T) {
	in(t, nil, func(w *world) {
		w.lim.due["M1"] = time.Now().Add(8 * time.Hour)
		w.start()
		time.Sleep(15 * time.Second)
		w.must(w.model.DelVIP(w.ctx, w.guest("M1", rs1), vip1))
		w.takeOver("M1")
		w.awaitLog(MsgBudget, time.Minute)
		w.must(w.model.DelVIP(w.ctx, w.guest("Mb", mgmt), vip1))
		w.must(w.model.AddVIP(w.ctx, w.guest("M1", rs1), vip1))
		_, err := w.sif.Call(w.ctx, ipc.Request{Verb: ipc.A5, Host: "M1", Outcome: ipc.Recovered, Backup: ipc.BackupOf(w.dat("M1"))})
		w.must(err)
		w.await("a monitor of M1", time.Minute, func() bool { return w.mon.is("M1", "dbss") })
	})
}

// An orphan that does not boot is tried again with growing pauses, and delays
// no other server.
func TestOrphanThatFails(t *testing.T) {
	in(t, nil, func(w *world) {
		for range 3 {
			w.fault(sim.BootFail, "M1")
		}
		w.start()
		time.Sleep(15 * time.Second)
		for _, host := range []string{"M1", "W1"} {
			w.must(w.model.Destroy(w.ctx, w.guest(host, rs1)))
			w.takeOver(host)
		}
		w.await("restore of W1", time.Minute, func() bool { return w.mon.is("W1", "dbss") })
		w.await("restore of M1", time.Hour, func() bool { return w.mon.is("M1", "dbss") })
		time.Sleep(5 * time.Second)
		w.restored()
	})
}

// The monitors of servers that a dsrs started have no launcher.
func TestMonitorThatNobodyRuns(t *testing.T) {
	in(t, stopRS1, func(w *world) {
		w.start()
		time.Sleep(15 * time.Second)
		w.mon.set("W1", "")
		time.Sleep(5 * time.Second)
		if w.mon.started["W1"] != 0 {
			t.Error("started before a launcher could")
		}
		w.await("a monitor", 30*time.Second, func() bool { return w.mon.is("W1", "dbss") })
	})
}
