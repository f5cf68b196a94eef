package dbss_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/settings"
	"pss-msbs/pkg/sim"
)

// TestChaos throws seeded random faults, kills and shifts at six monitors for
// half an hour, heals everything, and wants every VIP served once and every
// home server back at work.
func TestChaos(t *testing.T) {
	seeds := 3
	if testing.Short() {
		seeds = 1
	}
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			play(t, settings.Fast, func(r *rig) {
				c := &chaos{r: r, rnd: rand.New(rand.NewPCG(uint64(seed), 1))}
				r.set.DBSS.BudgetRecoveries = 1000
				r.rested(homes...)
				for range 40 {
					c.event()
					time.Sleep(time.Duration(c.rnd.IntN(80000)) * time.Millisecond)
					c.relaunch()
				}
				c.calm()
			})
		})
	}
}

var homes = []string{"M1", "W1", "F1", "M2", "W2", "F2"}

type chaos struct {
	r   *rig
	rnd *rand.Rand
}

func (c *chaos) pick(of ...string) string { return of[c.rnd.IntN(len(of))] }

// event makes one thing go wrong; a fault of what runs nowhere is none.
func (c *chaos) event() {
	lasting := time.Duration(1+c.rnd.IntN(60)) * time.Second
	switch c.rnd.IntN(10) {
	case 0, 1, 2, 3, 4:
		kind := c.pick(sim.ServiceStop, sim.ServiceFreeze, sim.VMRestart, sim.VMShutdown, sim.VMCrash, sim.VMFreeze, sim.NetworkCut, sim.AgentDead)
		f := sim.Fault{Kind: kind, Target: c.pick(append([]string{"Mb", "Wb", "Fb"}, homes...)...)}
		if kind == sim.NetworkCut || kind == sim.AgentDead {
			f.For = lasting
		}
		_ = c.r.model.Inject(f)
	case 5, 6:
		kind := c.pick(sim.Partition, sim.HypervisorFreeze, sim.HypervisorStop, sim.SlowCalls, sim.RealFreeze)
		_ = c.r.model.Inject(sim.Fault{Kind: kind, Target: c.pick("RS1", "RS2", "RS3"), For: lasting, Delay: 200 * time.Millisecond})
	case 7:
		_ = c.r.model.Inject(sim.Fault{Kind: sim.NetworkLost, Target: "management", For: lasting})
	case 8:
		_ = c.r.model.Inject(sim.Fault{Kind: sim.BootFail, Target: c.pick(homes...)})
	case 9:
		c.kill(c.pick(homes...))
	}
}

func (c *chaos) kill(host string) {
	c.r.mu.Lock()
	run := c.r.monitors[host]
	c.r.mu.Unlock()
	if run != nil {
		run.stop()
	}
}

// relaunch is what launchers do.
func (c *chaos) relaunch() {
	for _, h := range homes {
		if running, _ := (launcher{c.r}).Running(h); !running {
			c.r.start(h)
		}
	}
}

// calm heals everything and waits for the end of every recovery.
func (c *chaos) calm() {
	c.r.t.Helper()
	for _, h := range append([]string{"RS1", "RS2", "RS3", "management"}, homes...) {
		c.r.heal(h)
	}
	for _, b := range []string{"Mb", "Wb", "Fb", "Mb2", "Wb2", "Fb2"} {
		c.r.heal(b)
	}
	for end := time.Now().Add(30 * time.Minute); time.Now().Before(end) && !c.whole(); {
		time.Sleep(time.Second)
		c.relaunch()
	}
	if !c.whole() {
		for i, h := range homes {
			st, _ := c.r.state(h)
			c.r.t.Errorf("%s is %s; %v hold %s", h, st, c.r.model.Holders(ip(101+i)), ip(101+i))
		}
		t := c.r.tables()
		c.r.t.Errorf("operation %v\nseparation %v", t.Operation, t.Separation)
	}
}

// whole: every home server serves its VIP, every backup is paused.
func (c *chaos) whole() bool {
	t := c.r.tables()
	for i, h := range homes {
		if !c.r.serves(h, 101+i) || !row(t.Operation, 101+i, h) {
			return false
		}
	}
	for _, b := range []string{"Mb", "Wb", "Fb", "Mb2", "Wb2", "Fb2"} {
		if st, real := c.r.state(b); st != cluster.GuestPaused || real != mb.Real {
			return false
		}
	}
	return true
}
