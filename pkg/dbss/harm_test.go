package dbss_test

import (
	"strings"
	"testing"
	"time"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/conffile"
	"pss-msbs/pkg/dbss"
	"pss-msbs/pkg/doubt"
	"pss-msbs/pkg/ipc"
	"pss-msbs/pkg/settings"
	"pss-msbs/pkg/sim"
)

// TestOverloadedIsLeftAlone: a server that greets slowly, but greets, is told of
// and neither taken over nor reset.
func TestOverloadedIsLeftAlone(t *testing.T) {
	play(t, settings.Fast, func(r *rig) {
		r.rested("M1")
		r.ok(r.model.Inject(sim.Fault{Kind: sim.Overload, Target: "M1", For: 5 * time.Minute}))
		r.logged("M1", dbss.MsgOverloaded, 2*time.Minute)
		if d := r.doubts(); len(d) != 1 || d[0].Kind != doubt.Overloaded || d[0].Target != "M1" {
			t.Errorf("on the board: %+v, want M1 overloaded", d)
		}
		time.Sleep(8 * time.Minute)
		if r.log.find("M1", dbss.MsgSeparated) != "" || !r.serves("M1", 101) {
			t.Error("an overloaded server was taken over")
		}
		if d := r.doubts(); len(d) != 0 {
			t.Errorf("on the board when it is well again: %+v", d)
		}
	})
}

// doubts is what stands on the board.
func (r *rig) doubts() []doubt.Doubt {
	r.t.Helper()
	d, err := (&doubt.Board{Dir: r.run}).Read()
	r.ok(err)
	return d
}

// TestStormWaits: where half of the servers turn doubtful at once a takeover
// without certain evidence waits until they do not any more; one that is
// certain does not wait.
func TestStormWaits(t *testing.T) {
	play(t, settings.Fast, func(r *rig) {
		r.rested("M1")
		r.rested("W1")
		others := &doubt.Board{Dir: r.run}
		for _, host := range []string{"F1", "M2", "W2"} {
			r.ok(others.Post(doubt.Doubt{Target: host, Group: "g", Kind: doubt.Silent, Phi: 9, Since: time.Now()}))
		}
		r.fault(sim.NetworkCut, "M1")
		r.logged("M1", dbss.MsgHolding, 5*time.Second)
		r.fault(sim.VMShutdown, "W1")
		r.logged("W1", dbss.MsgFunctionRecovered, 5*time.Second)
		time.Sleep(10 * time.Second)
		if r.log.find("M1", dbss.MsgSeparated) != "" {
			t.Error("taken over in a storm")
		}
		for _, host := range []string{"F1", "M2", "W2"} {
			r.ok(others.Clear(host))
		}
		r.logged("M1", dbss.MsgFunctionRecovered, 5*time.Second)
	})
}

// TestLivingIsNotReset: what is only cut off keeps what it has in memory.
func TestLivingIsNotReset(t *testing.T) {
	play(t, settings.Fast, func(r *rig) {
		r.rested("M1")
		resets := 0
		r.taps = func(p point) {
			if p.op == "Reset" && p.host == "M1" {
				r.mu.Lock()
				defer r.mu.Unlock()
				resets++
			}
		}
		r.fault(sim.NetworkCut, "M1")
		r.logged("M1", dbss.MsgFunctionRecovered, 5*time.Second)
		time.Sleep(40 * time.Second)
		r.heal("M1")
		r.logged("M1", dbss.MsgTargetRecovered, time.Minute)
		if resets > 0 {
			t.Errorf("a living server was reset %d times", resets)
		}
	})
}

// TestSilenceStartsAnew: a target that is cut off and whose agent is silent for
// freeze_deadline in all, but never in one go, is not reset: it gives a sign of
// life between, or it is its host that says nothing.
func TestSilenceStartsAnew(t *testing.T) {
	m1 := "M1"
	for name, between := range map[string]func(r *rig, on bool){
		"sign of life": func(r *rig, on bool) { r.noAgent.Store(!on) },
		"silent host": func(r *rig, on bool) {
			if r.gone.Store(nil); on {
				r.gone.Store(&m1)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			play(t, settings.Fast, func(r *rig) {
				r.rested("M1")
				resets := r.resetsOf("M1")
				r.fault(sim.NetworkCut, "M1")
				r.logged("M1", dbss.MsgFunctionRecovered, 5*time.Second)
				r.noAgent.Store(true)
				for range 6 {
					time.Sleep(4 * time.Second)
					between(r, true)
					time.Sleep(3 * time.Second)
					between(r, false)
				}
				if resets() > 0 {
					t.Errorf("reset %d times", resets())
				}
				time.Sleep(12 * time.Second)
				if resets() != 1 {
					t.Errorf("reset %d times, silent for longer than freeze_deadline", resets())
				}
			})
		})
	}
}

// TestResetNeedsAPermit: where others were just reset a frozen server waits.
func TestResetNeedsAPermit(t *testing.T) {
	play(t, settings.Fast, func(r *rig) {
		r.rested("M1")
		for _, host := range []string{"F1", "W1", "W2"} {
			_, err := r.resets().Permit(r.ctx, host, "group of "+host)
			r.ok(err)
		}
		r.fault(sim.VMFreeze, "M1")
		r.logged("M1", dbss.MsgFunctionRecovered, 15*time.Second)
		r.logged("M1", dbss.MsgNoReset, 15*time.Second)
		if st, _ := r.state("M1"); st != cluster.GuestRunning {
			t.Errorf("M1 is %s, want it left alone", st)
		}
		r.logged("M1", dbss.MsgTargetRecovered, 15*time.Minute)
	})
}

// cutOffAndLocked has M1 cut off, and returns once its A3 waits for the lock that it has.
func (r *rig) cutOffAndLocked() *conffile.Held {
	r.t.Helper()
	r.rested("M1")
	locked := make(chan *conffile.Held, 1)
	r.taps = once(func(p point) bool { return p.op == string(ipc.A3) && !p.after }, func() {
		held, err := r.files.Hold(r.ctx)
		r.ok(err)
		locked <- held
	})
	r.fault(sim.NetworkCut, "M1")
	return <-locked
}

// TestTargetAnswersBeforeA3: the files cannot be changed for a while, and the
// target answers again meanwhile.
func TestTargetAnswersBeforeA3(t *testing.T) {
	play(t, settings.Fast, func(r *rig) {
		held := r.cutOffAndLocked()
		time.Sleep(20 * time.Second)
		r.heal("M1")
		time.Sleep(time.Second)
		held.Close()
		time.Sleep(time.Minute)
		if s := r.log.find("M1", dbss.MsgSeparated); s != "" || !r.serves("M1", 101) {
			t.Errorf("a server that answers was taken over: %s\n%s", s, r.log)
		}
	})
}

// TestGreetsSlowlyAfterALateA3: A3 had to wait for the lock, and the target, which is
// back, needs more than a second to greet, or hangs for some more.
func TestGreetsSlowlyAfterALateA3(t *testing.T) {
	for _, ill := range []string{sim.Overload, sim.ServiceFreeze} {
		t.Run(ill, func(t *testing.T) { greetsSlowly(t, ill) })
	}
}

func greetsSlowly(t *testing.T, ill string) {
	play(t, settings.Fast, func(r *rig) {
		held := r.cutOffAndLocked()
		time.Sleep(2 * time.Second)
		r.heal("M1")
		r.fault(ill, "M1")
		held.Close()
		r.logged("M1", dbss.MsgSeparated, 10*time.Second)
		if ill == sim.ServiceFreeze {
			time.Sleep(time.Second)
			r.heal("M1")
		}
		r.logged("M1", dbss.MsgTargetRecovered, time.Minute)
		if s := r.log.find("M1", dbss.MsgFenced); s != "" || !r.serves("M1", 101) {
			t.Errorf("a server that answers was fenced: %s", s)
		}
	})
}

// resetsOf counts the resets of a guest.
func (r *rig) resetsOf(host string) func() int {
	n := 0
	r.taps = func(p point) {
		if p.op == "Reset" && p.host == host && !p.after {
			r.mu.Lock()
			defer r.mu.Unlock()
			n++
		}
	}
	return func() int { r.mu.Lock(); defer r.mu.Unlock(); return n }
}

// TestBusyIsLeftAlone: a server that says nothing for 15 s, since its processors
// are busy, is overloaded; one that says nothing and does nothing is frozen, and
// one that is busy for ever too.
func TestBusyIsLeftAlone(t *testing.T) {
	play(t, settings.Fast, func(r *rig) {
		r.rested("M1")
		resets := r.resetsOf("M1")
		r.ok(r.model.Inject(sim.Fault{Kind: sim.VMJam, Target: "M1", For: 15 * time.Second}))
		r.logged("M1", dbss.MsgBusy, 10*time.Second)
		if d := r.doubts(); len(d) != 1 || d[0].Kind != doubt.Overloaded {
			t.Errorf("on the board: %+v, want M1 overloaded", d)
		}
		time.Sleep(30 * time.Second)
		if s := r.log.find("M1", dbss.MsgSeparated); s != "" || !r.serves("M1", 101) || resets() > 0 {
			t.Errorf("a busy server was taken over: %s, or reset %d times", s, resets())
		}
		if d := r.doubts(); len(d) != 0 {
			t.Errorf("on the board when it is well again: %+v", d)
		}
	})
	for kind, within := range map[string][2]time.Duration{
		sim.VMFreeze: {6 * time.Second, 8 * time.Second}, sim.VMLivelock: {20 * time.Second, 22 * time.Second},
	} {
		play(t, settings.Fast, func(r *rig) {
			r.rested("M1")
			resets, began := r.resetsOf("M1"), time.Now()
			r.fault(kind, "M1")
			r.logged("M1", dbss.MsgFunctionRecovered, time.Minute)
			if took := time.Since(began); took < within[0] || took > within[1] {
				t.Errorf("%s: taken over after %v, want %v", kind, took, within)
			}
			r.logged("M1", dbss.MsgTargetRecovered, time.Minute)
			if resets() != 1 {
				t.Errorf("%s: reset %d times", kind, resets())
			}
		})
	}
}

// TestNoResetWithoutRoom: a frozen server is not reset while its host has no idle
// processor, which is said once; one that is off is started all the same.
func TestNoResetWithoutRoom(t *testing.T) {
	play(t, settings.Fast, func(r *rig) {
		r.rested("M1", "W1")
		resets := r.resetsOf("M1")
		r.fault(sim.RealTaken, "RS1")
		r.fault(sim.VMFreeze, "M1")
		r.logged("M1", dbss.MsgFunctionRecovered, time.Minute)
		time.Sleep(5 * time.Minute)
		if said := strings.Count(r.log.messages("M1"), dbss.MsgNoReset); resets() > 0 || said != 1 {
			t.Errorf("reset %d times, said %d times that it may not be", resets(), said)
		}
		r.fault(sim.VMShutdown, "W1")
		r.logged("W1", dbss.MsgRestart, 10*time.Second)
		r.heal("RS1")
		r.logged("M1", dbss.MsgTargetRecovered, 2*time.Minute)
		r.logged("W1", dbss.MsgTargetRecovered, 2*time.Minute)
		if resets() != 1 {
			t.Errorf("reset %d times", resets())
		}
	})
}

// TestSlowToTakeItsVIPs: a server that answers, and whose agent does not so that nobody
// can put its VIPs back, is taken over; not in a storm, nor at once on a busy real
// server, where the agent may only be slow.
func TestSlowToTakeItsVIPs(t *testing.T) {
	for name, why := range map[string]func(r *rig){
		"alone": nil,
		"in a storm": func(r *rig) {
			for _, host := range []string{"F1", "M2", "W2"} {
				r.ok((&doubt.Board{Dir: r.run}).Post(doubt.Doubt{Target: host, Group: "g", Kind: doubt.Silent, Phi: 9, Since: time.Now()}))
			}
		},
		"on a busy real server": func(r *rig) { r.noTime.Store(true) },
	} {
		t.Run(name, func(t *testing.T) {
			play(t, settings.Fast, func(r *rig) {
				r.rested("M1")
				if why != nil {
					why(r)
				}
				r.noAgent.Store(true)
				r.ok(r.model.DelVIP(r.ctx, m1, ip(101)))
				if why == nil {
					r.logged("M1", dbss.MsgSeparated, time.Minute)
					return
				}
				r.logged("M1", dbss.MsgHolding, time.Minute)
				time.Sleep(10 * time.Second)
				r.noAgent.Store(false)
				r.until("M1 serves", 30*time.Second, func() bool { return r.serves("M1", 101) })
				if line := r.log.find("M1", dbss.MsgSeparated); line != "" {
					t.Errorf("taken over: %s", line)
				}
			})
		})
	}
}

// TestDoubtBootsNoBackup: a backup that waits for a boot slot is not booted for a mere
// doubt of its target, but for a takeover.
func TestDoubtBootsNoBackup(t *testing.T) {
	play(t, settings.Fast, func(r *rig) {
		for range cap(r.slots) {
			r.slots <- struct{}{}
		}
		r.start("M1")
		r.logged("M1", dbss.MsgNormal, time.Minute)
		time.Sleep(10 * time.Second)
		r.ok(r.model.Inject(sim.Fault{Kind: sim.VMFreeze, Target: "M1", For: 5 * time.Second}))
		r.logged("M1", dbss.MsgNoTrouble, 15*time.Second)
		if st, _ := r.state("Mb"); !st.Dead() {
			t.Errorf("Mb is %s after a blip of M1", st)
		}
		r.fault(sim.NetworkCut, "M1")
		r.until("Mb boots", 10*time.Second, func() bool { st, _ := r.state("Mb"); return !st.Dead() })
	})
}
