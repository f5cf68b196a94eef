package dbss_test

import (
	"testing"
	"time"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/dbss"
	"pss-msbs/pkg/ipc"
	"pss-msbs/pkg/settings"
	"pss-msbs/pkg/sim"
)

// TestTakeoverFromStranger: pss was killed as it moved the VIP to M2, and then
// M1 dies. The backup does not get the VIP while M2 answers for it.
func TestTakeoverFromStranger(t *testing.T) {
	play(t, settings.Fast, func(r *rig) {
		r.rested("M1")
		r.ok(ipc.Moves{Dir: r.run}.Add(ipc.Move{VIP: ip(101)}))
		r.ok(r.model.DelVIP(r.ctx, m1, ip(101)))
		r.ok(r.model.AddVIP(r.ctx, m2, ip(101)))
		r.fault(sim.VMShutdown, "M1")
		r.logged("M1", dbss.MsgBackupStarted, 10*time.Second)
		time.Sleep(5 * time.Second)
		if !r.serves("M2", 101) {
			t.Errorf("%v hold the VIP, want M2 alone", r.model.Holders(ip(101)))
		}
		r.ok(r.model.DelVIP(r.ctx, m2, ip(101))) // pss, started again
		r.ok(ipc.Moves{Dir: r.run}.Remove(ip(101)))
		r.logged("M1", dbss.MsgFunctionRecovered, time.Second)
		r.logged("M1", dbss.MsgTargetRecovered, 2*time.Minute)
		if !r.serves("M1", 101) {
			t.Errorf("%v hold the VIP, want M1", r.model.Holders(ip(101)))
		}
	})
}

// TestTakeoverWaitsForAMove: pss was killed as it gave the VIP to M2, and M1 dies.
// Nobody answers for the VIP yet, but M2 may still get it, and does: the backup gets
// it once M2 is stripped.
func TestTakeoverWaitsForAMove(t *testing.T) {
	play(t, settings.Fast, func(r *rig) {
		r.rested("M1")
		r.ok(ipc.Moves{Dir: r.run}.Add(ipc.Move{VIP: ip(101), On: []cluster.Guest{m2}, Given: time.Now()}))
		r.ok(r.model.DelVIP(r.ctx, m1, ip(101)))
		r.fault(sim.VMShutdown, "M1")
		r.logged("M1", dbss.MsgSeparated, 10*time.Second)
		time.Sleep(time.Second)
		if held := r.model.Holders(ip(101)); len(held) > 0 {
			t.Errorf("given to %v before it is known that M2 gets it", held)
		}
		r.ok(r.model.AddVIP(r.ctx, m2, ip(101))) // late
		time.Sleep(5 * time.Second)
		if !r.serves("M2", 101) {
			t.Errorf("%v hold the VIP, want M2 alone", r.model.Holders(ip(101)))
		}
		r.ok(r.model.DelVIP(r.ctx, m2, ip(101))) // pss, started again
		r.ok(ipc.Moves{Dir: r.run}.Remove(ip(101)))
		r.logged("M1", dbss.MsgFunctionRecovered, 5*time.Second)
	})
}

// TestVIPThatMayComeIsNotThere: pss was killed as it gave the VIP to M2 and back to M1,
// and M2 has it. That M1 may yet get it is no reason to give it to M1.
func TestVIPThatMayComeIsNotThere(t *testing.T) {
	play(t, settings.Fast, func(r *rig) {
		r.rested("M1")
		r.ok(r.model.DelVIP(r.ctx, m1, ip(101)))
		r.ok(r.model.AddVIP(r.ctx, m2, ip(101)))
		r.ok(ipc.Moves{Dir: r.run}.Add(ipc.Move{VIP: ip(101), On: []cluster.Guest{m1, m2}, Given: time.Now()}))
		r.logged("M1", "VIPs cannot be mended", 30*time.Second)
		if !r.serves("M2", 101) {
			t.Errorf("%v hold the VIP, want M2 alone", r.model.Holders(ip(101)))
		}
	})
}
