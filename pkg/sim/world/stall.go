package world

import (
	"fmt"
	"time"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/sim/packet"
)

// A guest that is overloaded stands still for seconds now and then, one on a host
// without idle processor often: how long it goes on before, and how long it stands.
const (
	overloadJamAfterFrom, overloadJamAfterTo = 15 * time.Second, 40 * time.Second
	overloadJamFrom, overloadJamTo           = 2 * time.Second, 10 * time.Second
	crowdedJamAfterFrom, crowdedJamAfterTo   = 2 * time.Second, 10 * time.Second
	crowdedJamFrom, crowdedJamTo             = time.Second / 2, 8 * time.Second
)

// Hold stalls i for d. Held: m.mu, also below.
func (pc *Pace) Hold(i *Instance, d time.Duration, says cluster.GuestState) error {
	switch {
	case i.State != cluster.GuestRunning || i.Stall != nil:
		return fmt.Errorf("it is %s, or held already", i.State)
	case says == "":
		says = cluster.GuestRunning
	case says != cluster.GuestRunning && says != cluster.GuestPaused:
		return fmt.Errorf("want running or paused")
	}
	s := &Stall{Over: make(chan struct{}), from: pc.Now, says: says}
	i.Stall = s
	if says == cluster.GuestPaused {
		pc.reports.Publish(i.At, i.Host, cluster.EventPaused, 0)
	}
	if d > 0 {
		s.until = pc.Now.Add(d)
		pc.After(d, func() { pc.LetGo(i, s) })
	}
	return nil
}

// Jam has i work and answer nobody for d: what it is asked meanwhile it answers
// afterwards.
func (pc *Pace) Jam(i *Instance, d time.Duration) error {
	err := pc.Hold(i, d, cluster.GuestRunning)
	if err == nil {
		i.Stall.works, pc.Dirty = true, true
	}
	return err
}

// LetGo ends a stall.
func (pc *Pace) LetGo(i *Instance, s *Stall) {
	if s != nil && i.Stall == s {
		close(s.Over)
		i.Stall, pc.Dirty = nil, true
		if s.says == cluster.GuestPaused && i.State == cluster.GuestRunning {
			pc.reports.Publish(i.At, i.Host, cluster.EventResumed, 0)
		}
	}
}

// Overload has i work at its limit for d; 0: until it is healed or boots.
func (pc *Pace) Overload(i *Instance, d time.Duration) {
	i.overloads++
	i.Overloaded = true
	n, life := i.overloads, i.Life
	if d > 0 {
		pc.After(d, func() {
			if i.overloads == n && i.Life == life {
				i.Overloaded, pc.Dirty = false, true
			}
		})
	}
}

// settleJams has every guest that is slowed jam now and then.
func (pc *Pace) settleJams() {
	for _, h := range pc.Order {
		for _, i := range h.InOrder() {
			if i.State == cluster.GuestRunning && i.slowed() && !i.Jamming {
				pc.jamLater(i)
			}
		}
	}
}

func (pc *Pace) jamLater(i *Instance) {
	luck, life := pc.Luck("jam ", i.Host), i.Life
	wait, long := packet.Between(luck, overloadJamAfterFrom, overloadJamAfterTo), packet.Between(luck, overloadJamFrom, overloadJamTo)
	if i.At.Taken {
		wait, long = packet.Between(luck, crowdedJamAfterFrom, crowdedJamAfterTo), packet.Between(luck, crowdedJamFrom, crowdedJamTo)
	}
	i.Jamming = true
	pc.After(wait, func() {
		if i.Life == life && i.slowed() {
			_ = pc.Jam(i, long) // unless it is paused, or held already
		}
	})
	pc.After(wait+long, func() {
		if i.Life == life {
			i.Jamming, pc.Dirty = false, true
		}
	})
}
