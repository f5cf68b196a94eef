package dbss_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"pss-msbs/pkg/budget"
	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/dbss"
	"pss-msbs/pkg/settings"
	"pss-msbs/pkg/sim"
)

// TestFencedTwice: a target that is taken over once more while it is being brought
// back, and so fenced once more, is recovered as soon as it answers.
func TestFencedTwice(t *testing.T) {
	play(t, settings.Fast, func(r *rig) {
		r.rested("M1")
		r.fault(sim.NetworkCut, "M1")
		r.logged("M1", dbss.MsgInOperation, 10*time.Second)
		time.Sleep(10 * time.Second) // its VIPs are off and its link is up again
		r.edit(func(t *cluster.Tables) {
			t.Operation = slices.DeleteFunc(t.Operation, func(r cluster.ServerRow) bool { return r.Host == "Mb" })
		})
		r.until("a second takeover", 10*time.Second, func() bool { return strings.Count(r.log.messages("M1"), dbss.MsgInOperation) == 2 })
		time.Sleep(10 * time.Second)
		r.heal("M1")
		r.logged("M1", dbss.MsgTargetRecovered, 10*time.Second)
	})
}

// TestBudgetWhereNobodyServes: a target whose restart budget is used up and whose
// backup has failed gets its VIP back as soon as it answers by itself.
func TestBudgetWhereNobodyServes(t *testing.T) {
	play(t, settings.Fast, func(r *rig) {
		r.rested("M1")
		file := budget.File{Path: budget.Path(r.run, "M1"), Host: "M1", Limit: 5, Window: 8 * time.Hour}
		for range 5 {
			_, err := file.Begin(time.Now())
			r.ok(err)
			r.ok(file.End(time.Now(), "recovered"))
		}
		r.fault(sim.BootFail, "Mb")
		r.ok(r.model.Destroy(r.ctx, mb))
		r.fault(sim.NetworkCut, "M1")
		r.logged("M1", dbss.MsgBudget, 10*time.Second)
		r.logged("M1", dbss.MsgFailed, time.Minute)
		time.Sleep(time.Minute)
		r.heal("M1")
		r.logged("M1", dbss.MsgTargetRecovered, 10*time.Second)
		if !r.serves("M1", 101) {
			t.Errorf("%v hold the VIP, want M1", r.model.Holders(ip(101)))
		}
	})
}

// TestCutOffWhereItDoesNotLetGo: a target that is held up while it takes its VIPs
// back does not answer for them when it goes on, as the give-back was undone.
func TestCutOffWhereItDoesNotLetGo(t *testing.T) {
	play(t, settings.Fast, func(r *rig) {
		r.rested("M1")
		held := make(chan struct{})
		r.taps = once(func(p point) bool { return p.op == "AddVIP" && p.host == "M1" && p.after }, func() {
			r.ok(r.model.Inject(sim.Fault{Kind: sim.VMStall, Target: "M1", For: 4500 * time.Millisecond}))
			close(held)
		})
		r.fault(sim.VMShutdown, "M1")
		<-held
		time.Sleep(4510 * time.Millisecond)
		if !r.serves("Mb", 101) {
			t.Errorf("%v hold the VIP, want Mb", r.model.Holders(ip(101)))
		}
		r.logged("M1", dbss.MsgTargetRecovered, time.Minute)
		if !r.serves("M1", 101) {
			t.Errorf("%v hold the VIP, want M1", r.model.Holders(ip(101)))
		}
	})
}

// TestOverloadCostsNoBudget: a server that was taken over since it was busy for too
// long, and that comes back by itself, is no sick one.
func TestOverloadCostsNoBudget(t *testing.T) {
	play(t, settings.Fast, func(r *rig) {
		r.rested("M1")
		r.ok(r.model.Inject(sim.Fault{Kind: sim.VMJam, Target: "M1", For: 40 * time.Second}))
		r.fault(sim.RealTaken, "RS1") // so that it is not reset
		r.logged("M1", dbss.MsgFunctionRecovered, 30*time.Second)
		r.logged("M1", dbss.MsgNoReset, 10*time.Second)
		r.heal("RS1")
		r.heal("M1")
		r.logged("M1", dbss.MsgTargetRecovered, 30*time.Second)
		rec, err := budget.Read(nil, budget.Path(r.run, "M1"))
		if err != nil || len(rec.Recoveries) != 0 {
			t.Errorf("%+v, %v: want no recovery counted", rec, err)
		}
		r.log.forget()
		r.fault(sim.VMFreeze, "M1")
		r.logged("M1", dbss.MsgTargetRecovered, time.Minute)
		if rec, err = budget.Read(nil, budget.Path(r.run, "M1")); err != nil || len(rec.Recoveries) != 1 {
			t.Errorf("%+v, %v: want one recovery counted", rec, err)
		}
	})
}
