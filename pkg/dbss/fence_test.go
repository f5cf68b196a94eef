package dbss_test

import (
	"testing"
	"time"

	"pss-msbs/pkg/dbss"
	"pss-msbs/pkg/settings"
	"pss-msbs/pkg/sim"
)

// TestNotFenced: an old holder that answers and cannot be fenced, its host's
// virtualization software being down, keeps the VIP from its backup until it
// can be: never two reachable holders (SPEC 10).
func TestNotFenced(t *testing.T) {
	for _, how := range []string{sim.HypervisorStop, sim.HypervisorFreeze} {
		play(t, settings.Fast, func(r *rig) {
			r.rested("M1")
			r.ok(r.model.Inject(sim.Fault{Kind: how, Target: "RS1", For: 25 * time.Second}))
			r.fault(sim.ServiceFreeze, "M1:postfix")
			r.logged("M1", dbss.MsgSeparated, 20*time.Second)
			time.Sleep(5 * time.Second)
			if !r.serves("M1", 101) {
				t.Errorf("%v hold the VIP, want M1 alone while it cannot be fenced", r.model.Holders(ip(101)))
			}
			r.logged("M1", dbss.MsgFunctionRecovered, time.Minute)
			r.logged("M1", dbss.MsgTargetRecovered, 2*time.Minute)
		})
	}
}

// TestSuccessorAtSilentHost: a monitor that was killed in a takeover from a
// silent host is followed by one that loses no time with fencing.
func TestSuccessorAtSilentHost(t *testing.T) {
	play(t, settings.Fast, func(r *rig) {
		r.rested("M1")
		r.mu.Lock()
		victim := r.monitors["M1"]
		r.mu.Unlock()
		r.taps = once(func(p point) bool { return p.op == "A3" && p.after }, victim.cancel)
		r.fault(sim.RealShutdown, "RS1")
		<-victim.done
		r.start("M1")
		r.logged("M1", dbss.MsgFunctionRecovered, 2500*time.Millisecond)
	})
}

// TestCutOffTargetIsFencedByItsLink: no agent is waited for where the network does
// not reach the target, which has nothing to lose by its link.
func TestCutOffTargetIsFencedByItsLink(t *testing.T) {
	play(t, settings.Fast, func(r *rig) {
		r.rested("M1")
		r.taps = func(p point) {
			if p.op == "DelVIP" && p.host == "M1" && r.log.find("M1", dbss.MsgFenced) == "" {
				t.Error("the agent was asked first")
			}
		}
		r.fault(sim.NetworkCut, "M1")
		r.logged("M1", dbss.MsgFenced+" by=link", 5*time.Second)
		r.logged("M1", dbss.MsgFunctionRecovered, time.Second)
		r.heal("M1")
		r.logged("M1", dbss.MsgTargetRecovered, time.Minute)
		if !r.serves("M1", 101) {
			t.Errorf("%v hold the VIP, want M1 alone", r.model.Holders(ip(101)))
		}
	})
}

// TestSlowAgentIsNotWaitedFor: clients wait for the fence of a frozen server no
// longer than agentTimeout.
func TestSlowAgentIsNotWaitedFor(t *testing.T) {
	play(t, settings.Fast, func(r *rig) {
		r.rested("M1")
		r.taps = func(p point) {
			if p.op == "DelVIP" && p.host == "M1" && !p.after {
				select {
				case <-time.After(2 * time.Second):
				case <-p.ctx.Done():
				}
			}
		}
		r.fault(sim.ServiceFreeze, "M1:postfix")
		r.logged("M1", dbss.MsgConfirmed, 20*time.Second)
		r.logged("M1", dbss.MsgFunctionRecovered, 800*time.Millisecond)
		r.logged("M1", dbss.MsgTargetRecovered, time.Minute)
	})
}

// TestReturnWithDeadAgent: a target whose agent does not obey when its host answers
// again cannot be stripped in time: its link goes down.
func TestReturnWithDeadAgent(t *testing.T) {
	play(t, settings.Paper, func(r *rig) {
		r.rested("M1")
		r.fault(sim.AgentDead, "M1")
		r.fault(sim.Partition, "RS1")
		r.logged("M1", dbss.MsgFunctionRecovered, time.Minute)
		time.Sleep(10 * time.Second)
		r.heal("RS1")
		time.Sleep(settings.Default().DSRS.StripDeadline.D())
		if !r.serves("Mb", 101) {
			t.Errorf("%v hold the VIP, want Mb alone", r.model.Holders(ip(101)))
		}
		r.logged("M1", dbss.MsgTargetRecovered, 2*time.Minute)
	})
}

// TestReturnOfASilentHost: at whatever instant a host answers again that was
// silent at the takeover, its stale VIP is gone within strip_deadline.
func TestReturnOfASilentHost(t *testing.T) {
	for _, profile := range []settings.Profile{settings.Fast, settings.Paper} {
		for late := time.Duration(0); late < 2*time.Second; late += 130 * time.Millisecond {
			play(t, profile, func(r *rig) {
				r.rested("M1")
				r.fault(sim.Partition, "RS1")
				r.logged("M1", dbss.MsgFunctionRecovered, time.Minute)
				time.Sleep(10*time.Second + late)
				r.heal("RS1")
				time.Sleep(settings.Default().DSRS.StripDeadline.D() - 10*time.Millisecond)
				if got := r.model.Holders(ip(101)); len(got) > 1 {
					t.Errorf("%s, healed %v later: %v hold the VIP", profile, late, got)
				}
			})
		}
	}
}

// TestBackupWithdrawn: a backup that no longer obeys once it has got the VIP is
// given up, and is off before the VIP is pss's.
func TestBackupWithdrawn(t *testing.T) {
	play(t, settings.Fast, func(r *rig) {
		r.rested("M1")
		r.taps = once(func(p point) bool { return p.op == "AddVIP" && !p.after && p.host == "Mb" }, func() {
			r.ok(r.model.AddVIP(r.ctx, mb, ip(101)))
			r.fault(sim.AgentDead, "Mb")
		})
		r.fault(sim.BootFail, "M1")
		r.fault(sim.VMShutdown, "M1")
		r.logged("M1", dbss.MsgFailed, time.Minute)
		if got := r.model.Holders(ip(101)); len(got) > 0 {
			t.Errorf("%v hold the VIP, want nobody", got)
		}
	})
}

// TestHostFallsSilentInTheFence: a host that answered throughout the re-examination
// and goes off while its target is fenced does not keep the clients waiting.
func TestHostFallsSilentInTheFence(t *testing.T) {
	for _, trouble := range []string{sim.VMShutdown, sim.ServiceFreeze, sim.NetworkCut} {
		for _, how := range []string{sim.RealShutdown, sim.Partition} {
			t.Run(trouble+" "+how, func(t *testing.T) {
				play(t, settings.Fast, func(r *rig) {
					r.rested("M1")
					r.taps = once(func(p point) bool { return p.op == "A3" && !p.after }, func() { r.fault(how, "RS1") })
					target := "M1"
					if trouble == sim.ServiceFreeze {
						target = "M1:postfix"
					}
					r.fault(trouble, target)
					r.logged("M1", dbss.MsgConfirmed, 20*time.Second)
					r.logged("M1", dbss.MsgFunctionRecovered, 1500*time.Millisecond)
					if r.log.find("M1", dbss.MsgFenceOwed) == "" {
						t.Error("the strip on return is not owed")
					}
				})
			})
		}
	}
}

// TestFenceRefusedAtOnce: where everything fails at once, as with a connection that is
// known to be gone, a silent host is still told from one that answers.
func TestFenceRefusedAtOnce(t *testing.T) {
	play(t, settings.Fast, func(r *rig) {
		r.rested("M1")
		m1 := "M1"
		r.taps = once(func(p point) bool { return p.op == "A3" && !p.after }, func() {
			r.gone.Store(&m1)
			r.fault(sim.Partition, "RS1")
		})
		r.fault(sim.ServiceFreeze, "M1:postfix")
		r.logged("M1", dbss.MsgConfirmed, 20*time.Second)
		r.logged("M1", dbss.MsgFenceOwed, 1500*time.Millisecond)
		r.gone.Store(nil)
	})
}
