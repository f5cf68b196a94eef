package dsrs

import (
	"strings"
	"testing"
	"time"

	"pss-msbs/pkg/sim"
)

// neverCutsOff has the test fail when host is cut off from now on.
func (w *world) neverCutsOff(host string) {
	w.run.fleet.tap(func(call string) {
		if strings.HasPrefix(call, "SetLink "+host) {
			w.Errorf("%s: it serves by what the files say now", call)
		}
	})
}

// blips lets RS1 fall silent for a moment, again and again: whatever dsrs does at the
// time, it looks at the host some time.
func (w *world) blips(n int, silent time.Duration) {
	for range n {
		time.Sleep(silent + 900*time.Millisecond)
		w.must(w.model.Inject(sim.Fault{Kind: sim.RealFreeze, Target: "RS1", For: silent}))
	}
}

// What the files said before the host was last seen to be well tells nothing of what
// has changed since: M1, which they had in separation then, is not cut off.
func TestOldWordCutsNobodyOff(t *testing.T) {
	in(t, nil, func(w *world) {
		w.start()
		time.Sleep(15 * time.Second)
		w.must(w.model.DelVIP(w.ctx, w.guest("M1", rs1), vip1))
		w.takeOver("M1")
		w.mon.set("M1", "dbss")
		time.Sleep(12 * time.Second)
		lock, err := w.files.Hold(w.ctx)
		w.must(err)
		defer lock.Close()
		w.must(w.model.DelVIP(w.ctx, w.guest("Mb", mgmt), vip1)) // its dbss gives back, under this lock
		w.must(w.model.AddVIP(w.ctx, w.guest("M1", rs1), vip1))
		time.Sleep(20 * time.Second)
		w.neverCutsOff("M1")
		w.blips(30, 600*time.Millisecond)
	})
}

// The same of what they said before a restore: W1 has its VIP back and answers while
// M1 boots.
func TestOldWordInARestore(t *testing.T) {
	in(t, nil, func(w *world) {
		w.start()
		time.Sleep(15 * time.Second)
		w.fault(sim.BootFail, "M1")
		w.fault(sim.RealRestart, "RS1")
		w.takeOverBoth()
		w.awaitLog(MsgServer+" server=W1", 3*time.Minute)
		lock, err := w.files.Hold(w.ctx)
		w.must(err)
		defer lock.Close()
		w.neverCutsOff("W1")
		w.blips(4, w.set.DSRS.PingTimeout.D()+300*time.Millisecond)
	})
}

// A server that was cut off because commands for it hung is not reset once its agent
// answers behind its fence.
func TestFencedServerThatAnswersAgain(t *testing.T) {
	in(t, nil, func(w *world) {
		w.start()
		time.Sleep(15 * time.Second)
		w.fault(sim.AgentDead, "M1")
		w.must(w.model.Inject(sim.Fault{Kind: sim.RealFreeze, Target: "RS1", For: 20 * time.Second}))
		w.takeOverBoth()
		w.awaitLog(MsgFenced, time.Minute)
		time.Sleep(w.set.DBSS.FreezeDeadline.D() / 2)
		w.heal("M1")
		w.awaitLog(MsgUnfenced, time.Minute)
		w.recovers(3 * time.Minute)
		if resets, _ := w.lim.ledger(); len(resets) > 0 {
			t.Errorf("reset: %v", resets)
		}
	})
}

// W1 is taken over and fenced by its link while M1 boots: dsrs, to which it is left,
// takes its VIP off before it lifts the fence, and needs no reset for that.
func TestTakenOverInARestore(t *testing.T) {
	in(t, nil, func(w *world) {
		w.restoringM1()
		w.must(w.model.SetLink(w.ctx, w.guest("W1", rs1), false))
		w.takeOver("W1")
		w.recovers(3 * time.Minute)
		if resets, _ := w.lim.ledger(); len(resets) > 0 {
			t.Errorf("reset: %v", resets)
		}
	})
}
