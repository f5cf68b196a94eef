package dsrs

import (
	"slices"
	"strings"
	"testing"
	"time"

	"pss-msbs/pkg/sim"
)

// While others are being woken a dead host gets no packet; it is listened to all
// the same, and has its turn once a slot is free.
func TestWakeWaitsForOthers(t *testing.T) {
	in(t, nil, func(w *world) {
		w.start()
		time.Sleep(15 * time.Second)
		w.lim.others(true)
		w.fault(sim.RealShutdown, "RS1")
		w.takeOverBoth()
		w.awaitLog(MsgWakeWaits, 2*time.Minute)
		time.Sleep(time.Minute)
		if n := len(w.run.fleet.packets()); n != 0 {
			t.Errorf("%d packets while others are being woken", n)
		}
		if n := strings.Count(w.log.String(), MsgWakeWaits); n != 1 {
			t.Errorf("said %d times", n)
		}
		w.lim.others(false)
		w.await("the first packet", 2*turnPoll, func() bool { return len(w.run.fleet.packets()) == 1 })
		w.awaitLog(MsgRecovered, 4*time.Minute)
		w.awaitState(Normal, time.Minute)
		w.restored()
		if n := w.lim.woken(); n != 0 {
			t.Errorf("%d wake slots are still taken", n)
		}
	})
}

// A host that comes back by itself while its wake waits is stripped at once.
func TestReturnsWhileItsWakeWaits(t *testing.T) {
	in(t, nil, func(w *world) {
		w.start()
		time.Sleep(15 * time.Second)
		w.lim.others(true)
		w.must(w.model.Inject(sim.Fault{Kind: sim.RealFreeze, Target: "RS1", For: 2 * time.Minute}))
		w.takeOverBoth()
		w.awaitLog(MsgRecovered, 6*time.Minute)
		w.awaitState(Normal, time.Minute)
		if n := len(w.run.fleet.packets()); n != 0 {
			t.Errorf("%d packets", n)
		}
		w.strippedWithin(2, w.set.DSRS.StripDeadline.D())
		w.restored()
	})
}

// A host that does not wake keeps its slot for wake_deadline, not for good.
func TestWakeSlotOfADeadHost(t *testing.T) {
	in(t, nil, func(w *world) {
		w.start()
		time.Sleep(15 * time.Second)
		w.fault(sim.WakeNever, "RS1")
		w.fault(sim.RealShutdown, "RS1")
		w.takeOverBoth()
		w.await("the first packet", time.Minute, func() bool { return len(w.run.fleet.packets()) > 0 })
		if n := w.lim.woken(); n != 1 {
			t.Errorf("%d wake slots are taken, want 1", n)
		}
		w.await("the slot given back", w.set.PSS.WakeDeadline.D()+time.Minute, func() bool { return w.lim.woken() == 0 })
		sent := len(w.run.fleet.packets())
		w.await("another packet", 5*time.Minute, func() bool { return len(w.run.fleet.packets()) > sent })
		w.heal("RS1")
		w.recovers(20 * time.Minute)
	})
}

// A server whose agent is dead behind its fence is reset only once the limits
// over all programs let it.
func TestResetWaitsForItsPermit(t *testing.T) {
	in(t, nil, func(w *world) {
		w.start()
		time.Sleep(15 * time.Second)
		w.fault(sim.AgentDead, "M1")
		due := time.Now().Add(90 * time.Second)
		w.lim.forbid(due)
		w.must(w.model.Inject(sim.Fault{Kind: sim.RealFreeze, Target: "RS1", For: 20 * time.Second}))
		w.takeOverBoth()
		w.awaitLog(MsgResetWaits, time.Minute)
		w.awaitLog(MsgUnfenced, 3*time.Minute)
		if time.Now().Before(due) {
			t.Error("reset before it was permitted")
		}
		w.awaitLog(MsgRecovered, 3*time.Minute)
		w.awaitState(Normal, time.Minute)
		w.restored()
		if resets, answered := w.lim.ledger(); !slices.Equal(resets, []string{"M1"}) || !slices.Equal(answered, []string{"M1"}) {
			t.Errorf("resets %v, answered %v", resets, answered)
		}
	})
}

// It is not reset either while its host has no idle processor.
func TestResetWaitsForRoom(t *testing.T) {
	in(t, nil, func(w *world) {
		w.start()
		time.Sleep(15 * time.Second)
		w.fault(sim.AgentDead, "M1")
		w.must(w.model.Inject(sim.Fault{Kind: sim.RealFreeze, Target: "RS1", For: 20 * time.Second}))
		time.AfterFunc(20*time.Second+time.Millisecond, func() { w.fault(sim.RealTaken, "RS1") })
		w.takeOverBoth()
		w.awaitLog(MsgNoRoom, time.Minute)
		time.Sleep(30 * time.Second)
		if resets, _ := w.lim.ledger(); len(resets) > 0 {
			t.Errorf("resets %v", resets)
		}
		w.heal("RS1")
		w.awaitLog(MsgRecovered, 3*time.Minute)
		w.awaitState(Normal, time.Minute)
		w.restored()
	})
}

// Where no reset is left for long the server stays with its backup, and the host
// and its other server come back without it.
func TestNoResetLeft(t *testing.T) {
	in(t, nil, func(w *world) {
		w.start()
		time.Sleep(15 * time.Second)
		w.fault(sim.AgentDead, "M1")
		w.lim.forbid(time.Now().Add(10 * time.Minute))
		w.must(w.model.Inject(sim.Fault{Kind: sim.RealFreeze, Target: "RS1", For: 20 * time.Second}))
		w.takeOverBoth()
		w.awaitLog("too many servers were reset", time.Minute)
		w.awaitLog(MsgRecovered, 3*time.Minute)
		if got := w.model.Holders(vip1); !slices.Equal(got, []string{"Mb"}) {
			t.Errorf("M1's VIP is held by %v", got)
		}
		w.await("M1 back", 20*time.Minute, func() bool { return slices.Equal(w.model.Holders(vip1), []string{"M1"}) })
		if resets, _ := w.lim.ledger(); len(resets) != 1 {
			t.Errorf("resets %v", resets)
		}
	})
}

// Nor one that has come back while it waited.
func TestReturnsWhileItsResetWaits(t *testing.T) {
	in(t, nil, func(w *world) {
		w.start()
		time.Sleep(15 * time.Second)
		w.fault(sim.ServiceFreeze, "M1:postfix")
		w.lim.forbid(time.Now().Add(60 * time.Second))
		w.must(w.model.Inject(sim.Fault{Kind: sim.RealFreeze, Target: "RS1", For: 20 * time.Second}))
		w.takeOverBoth()
		w.awaitLog(MsgResetWaits, time.Minute)
		w.heal("M1")
		w.awaitLog(MsgRecovered, 3*time.Minute)
		if resets, _ := w.lim.ledger(); len(resets) > 0 {
			t.Errorf("resets %v", resets)
		}
	})
}
