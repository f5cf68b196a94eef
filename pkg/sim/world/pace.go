package world

import (
	"fmt"
	"math/rand/v2"
	"time"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/sim/measure"
	"pss-msbs/pkg/sim/packet"
)

// What an overloaded server needs more than an idle one, from and to: for a
// greeting, for a call of its agent, for the answer to a ping.
const (
	overloadGreetFrom, overloadGreetTo = time.Second, 4500 * time.Millisecond
	overloadAgentFrom, overloadAgentTo = 200 * time.Millisecond, 1200 * time.Millisecond
	overloadPingFrom, overloadPingTo   = time.Duration(0), 30 * time.Millisecond
)

// busyFrom is the CPU load, in percent, from which greetings take longer.
const busyFrom = 70.0

// The readings of a server that does nothing.
const (
	idleMemory = 6.0 // percent
	idleCPU    = 0.5 // percent
	idleNetKB  = 0.2 // KB/s
)

// Demand is the load on a group's servers, for each VIP that a server holds.
type Demand struct {
	From, To float64 // percent
	Start    time.Time
	Over     time.Duration // the ramp's length
	Accesses float64       // per second, besides the one client's
}

// Percent is the load now.
func (d Demand) Percent(now time.Time) float64 {
	done := now.Sub(d.Start)
	if d.Over <= 0 || done >= d.Over {
		return d.To
	}
	return d.From + (d.To-d.From)*float64(done)/float64(d.Over)
}

// Pace says how busy and how slow the guests are.
type Pace struct {
	*World
	reports *Reports
	Demands map[string]*Demand // by group
}

// NewPace is that of guests of whom nobody demands anything yet.
func NewPace(w *World, r *Reports) *Pace {
	return &Pace{World: w, reports: r, Demands: map[string]*Demand{}}
}

// Settle has what changed take effect on how busy the guests are.
func (pc *Pace) Settle() {
	pc.settleJams()
	pc.SettleWork()
}

// Reading of a guest: the CPU and network of every VIP that it holds add up,
// its memory is that of one. Held: the lock.
func (pc *Pace) Reading(i *Instance) measure.Reading {
	d, n := pc.Demands[i.Group], float64(len(i.Holds))
	mem, cpu, net := idleMemory, idleCPU, idleNetKB
	if d != nil && n > 0 {
		p := d.Percent(pc.Now)
		rated := 2 * i.NetworkMbps * 128
		mem, cpu, net = max(mem, p), max(cpu, min(100, n*p)), max(net, min(rated, n*p/100*rated))
	}
	if i.Overloaded {
		cpu = 100
	}
	return measure.Reading{MemoryKB: int64(mem / 100 * float64(i.MemoryKB)), CPU: cpu, NetKB: net}
}

// Slowness is what a guest needs for a greeting beyond an idle one's time: from
// and to, each time between as likely.
func (pc *Pace) Slowness(i *Instance) (from, to time.Duration) {
	if i.slowed() {
		return overloadGreetFrom, overloadGreetTo
	}
	if t := pc.Spec.Times; t.BusyGreet > 0 || t.BootGreet > 0 {
		if busy := (pc.Reading(i).CPU - busyFrom) / (100 - busyFrom); busy > 0 {
			to = time.Duration(busy * busy * float64(t.BusyGreet))
		}
		to += time.Duration(i.At.booting()) * t.BootGreet
	}
	return to / 4, to
}

// Greeting is how much longer than an idle one's this greeting of i takes.
func (pc *Pace) Greeting(i *Instance, luck *rand.Rand) time.Duration {
	from, to := pc.Slowness(i)
	return packet.Between(luck, from, to)
}

// AgentSlow is how much longer a call of i's agent takes.
func (pc *Pace) AgentSlow(i *Instance) time.Duration {
	_, greet := pc.Slowness(i)
	return pc.slow(i, "agent ", overloadAgentFrom, overloadAgentTo, greet/4)
}

// PingSlow is how much longer the answer to a ping takes.
func (pc *Pace) PingSlow(i *Instance) time.Duration {
	_, greet := pc.Slowness(i)
	return pc.slow(i, "slow ping ", overloadPingFrom, overloadPingTo, min(greet/100, overloadPingTo))
}

// slow is between from and to for a guest that is slowed, up to other for another.
func (pc *Pace) slow(i *Instance, kind string, from, to, other time.Duration) time.Duration {
	if !i.slowed() {
		from, to = 0, other
	}
	if to == 0 {
		return 0
	}
	return packet.Between(pc.Luck(kind, i.Host), from, to)
}

// leftover is the share of its processors that a guest gets where others have taken them.
const leftover = 0.3

// works is the share of its processors that i uses now: all of them in a boot, and
// in a kernel that hangs in a loop; none where it waits or is held.
func (pc *Pace) works(i *Instance) float64 {
	share := 0.0
	switch {
	case i.State == cluster.GuestBooting && !i.BootHangs:
		share = 1
	case i.State != cluster.GuestRunning:
	case i.Frozen && i.Loops, i.Stall != nil && i.Stall.works:
		share = 1
	case i.Frozen, i.Stall != nil:
	default:
		share = pc.Reading(i).CPU / 100
	}
	if i.At.Taken {
		share *= leftover
	}
	return share
}

// SettleWork reads the meters of all guests and hosts, and lets them go on as
// what changed wants. Held: the lock, also below.
func (pc *Pace) SettleWork() {
	for _, h := range pc.Order {
		all, used := 0.0, 0.0
		if h.Up() {
			all = float64(h.Cores)
		}
		for _, i := range h.InOrder() {
			rate := 0.0
			if h.Up() {
				rate = pc.works(i) * float64(i.Cores)
			}
			i.Used.set(pc.Now, rate)
			used += rate
		}
		h.Total.set(pc.Now, all)
		if h.crowded() {
			used = all
		}
		h.Idle.set(pc.Now, max(0, all-used))
	}
}

// A guest that is overloaded stands still for seconds now and then, one on a host
// without idle processor often: how long it goes on before, and how long it stands.
const (
	overloadJamAfterFrom, overloadJamAfterTo = 15 * time.Second, 40 * time.Second
	overloadJamFrom, overloadJamTo           = 2 * time.Second, 10 * time.Second
	crowdedJamAfterFrom, crowdedJamAfterTo   = 2 * time.Second, 10 * time.Second
	crowdedJamFrom, crowdedJamTo             = time.Second / 2, 8 * time.Second
)

// Hold stalls i for d. Held: the lock, also below.
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
	for i := range pc.Everywhere {
		if i.State == cluster.GuestRunning && i.slowed() && !i.Jamming {
			pc.jamLater(i)
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
