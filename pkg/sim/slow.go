package sim

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"pss-msbs/pkg/cluster"
)

// What an overloaded server needs more than an idle one, from and to: for a
// greeting, for a call of its agent, for the answer to a ping.
const (
	overloadGreetFrom, overloadGreetTo = time.Second, 4500 * time.Millisecond
	overloadAgentFrom, overloadAgentTo = 200 * time.Millisecond, 1200 * time.Millisecond
	overloadPingFrom, overloadPingTo   = time.Duration(0), 30 * time.Millisecond
)

// A guest that is overloaded stands still for seconds now and then, one on a host
// without idle processor often: how long it goes on before, and how long it stands.
const (
	overloadJamAfterFrom, overloadJamAfterTo = 15 * time.Second, 40 * time.Second
	overloadJamFrom, overloadJamTo           = 2 * time.Second, 10 * time.Second
	crowdedJamAfterFrom, crowdedJamAfterTo   = 2 * time.Second, 10 * time.Second
	crowdedJamFrom, crowdedJamTo             = time.Second / 2, 8 * time.Second
)

// crowdedBoot is how many times as long a boot takes that begins on a host
// without idle processor.
const crowdedBoot = 3

// busyFrom is the CPU load, in percent, from which greetings take longer.
const busyFrom = 70.0

// stall is a guest that its hypervisor holds for a moment, as a snapshot or
// the end of a migration does: it loses nothing, and time passes it by. Or one
// that works on something and does nothing else.
type stall struct {
	over  chan struct{} // closed at its end
	from  time.Time
	until time.Time // zero: until healed
	says  cluster.GuestState
	works bool // its processors do: a jam
}

// pace says how busy and how slow the guests are.
type pace struct {
	*world
	reports *reports
	demands map[string]*demand // by group
}

func newPace(w *world, r *reports) *pace {
	return &pace{world: w, reports: r, demands: map[string]*demand{}}
}

// settle has what changed take effect on how busy the guests are.
func (pc *pace) settle() {
	pc.settleJams()
	pc.settleWork()
}

// hold stalls i for d. Held: m.mu, also below.
func (pc *pace) hold(i *instance, d time.Duration, says cluster.GuestState) error {
	switch {
	case i.state != cluster.GuestRunning || i.stall != nil:
		return fmt.Errorf("it is %s, or held already", i.state)
	case says == "":
		says = cluster.GuestRunning
	case says != cluster.GuestRunning && says != cluster.GuestPaused:
		return fmt.Errorf("want running or paused")
	}
	s := &stall{over: make(chan struct{}), from: pc.now, says: says}
	i.stall = s
	if says == cluster.GuestPaused {
		pc.reports.publish(i.at, i.Host, cluster.EventPaused, 0)
	}
	if d > 0 {
		s.until = pc.now.Add(d)
		pc.after(d, func() { pc.letGo(i, s) })
	}
	return nil
}

// jam has i work and answer nobody for d: what it is asked meanwhile it answers
// afterwards.
func (pc *pace) jam(i *instance, d time.Duration) error {
	err := pc.hold(i, d, cluster.GuestRunning)
	if err == nil {
		i.stall.works, pc.dirty = true, true
	}
	return err
}

// slowed reports whether i gets less of a processor than it could use.
func (i *instance) slowed() bool { return i.overloaded || i.at.taken }

// settleJams has every guest that is slowed jam now and then.
func (pc *pace) settleJams() {
	for _, h := range pc.order {
		for _, i := range h.inOrder() {
			if i.state == cluster.GuestRunning && i.slowed() && !i.jamming {
				pc.jamLater(i)
			}
		}
	}
}

func (pc *pace) jamLater(i *instance) {
	luck, life := pc.luck("jam ", i.Host), i.life
	wait, long := between(luck, overloadJamAfterFrom, overloadJamAfterTo), between(luck, overloadJamFrom, overloadJamTo)
	if i.at.taken {
		wait, long = between(luck, crowdedJamAfterFrom, crowdedJamAfterTo), between(luck, crowdedJamFrom, crowdedJamTo)
	}
	i.jamming = true
	pc.after(wait, func() {
		if i.life == life && i.slowed() {
			_ = pc.jam(i, long) // unless it is paused, or held already
		}
	})
	pc.after(wait+long, func() {
		if i.life == life {
			i.jamming, pc.dirty = false, true
		}
	})
}

// letGo ends a stall.
func (pc *pace) letGo(i *instance, s *stall) {
	if s != nil && i.stall == s {
		close(s.over)
		i.stall, pc.dirty = nil, true
		if s.says == cluster.GuestPaused && i.state == cluster.GuestRunning {
			pc.reports.publish(i.at, i.Host, cluster.EventResumed, 0)
		}
	}
}

// brief reports whether a stall ends before a client gives up. What waits for the
// end of a jam waits for the work behind it too.
func (s *stall) brief(patience time.Duration) bool {
	return s == nil || !s.works && !s.until.IsZero() && s.until.Sub(s.from) <= patience
}

// outlast waits until what holds the one asked is over.
func (c *course) outlast(ctx context.Context, over <-chan struct{}, why error) error {
	select {
	case <-over:
		return nil
	case <-ctx.Done():
		return late(ctx, why)
	case <-c.quit:
		return errClosed
	}
}

// overload has i work at its limit for d; 0: until it is healed or boots.
func (pc *pace) overload(i *instance, d time.Duration) {
	i.overloads++
	i.overloaded = true
	n, life := i.overloads, i.life
	if d > 0 {
		pc.after(d, func() {
			if i.overloads == n && i.life == life {
				i.overloaded, pc.dirty = false, true
			}
		})
	}
}

// slowness is what a guest needs for a greeting beyond an idle one's time: from
// and to, each time between as likely.
func (pc *pace) slowness(i *instance) (from, to time.Duration) {
	if i.slowed() {
		return overloadGreetFrom, overloadGreetTo
	}
	if t := pc.spec.Times; t.BusyGreet > 0 || t.BootGreet > 0 {
		if busy := (pc.reading(i).cpu - busyFrom) / (100 - busyFrom); busy > 0 {
			to = time.Duration(busy * busy * float64(t.BusyGreet))
		}
		to += time.Duration(i.at.booting()) * t.BootGreet
	}
	return to / 4, to
}

// booting is how many guests boot on h, those that hang in it apart.
func (h *host) booting() int {
	n := 0
	for _, i := range h.on {
		if i.state == cluster.GuestBooting && !i.bootHangs {
			n++
		}
	}
	return n
}

// greeting is how much longer than an idle one's this greeting of i takes.
func (pc *pace) greeting(i *instance, luck *rand.Rand) time.Duration {
	from, to := pc.slowness(i)
	return between(luck, from, to)
}

// agentSlow is how much longer a call of i's agent takes.
func (pc *pace) agentSlow(i *instance) time.Duration {
	from, to := overloadAgentFrom, overloadAgentTo
	if !i.slowed() {
		_, to = pc.slowness(i)
		from, to = 0, to/4
	}
	if to == 0 {
		return 0
	}
	return between(pc.luck("agent ", i.Host), from, to)
}

// pingSlow is how much longer the answer to a ping takes.
func (pc *pace) pingSlow(i *instance) time.Duration {
	from, to := overloadPingFrom, overloadPingTo
	if !i.slowed() {
		_, to = pc.slowness(i)
		from, to = 0, min(to/100, overloadPingTo)
	}
	if to == 0 {
		return 0
	}
	return between(pc.luck("slow ping ", i.Host), from, to)
}

func between(luck *rand.Rand, from, to time.Duration) time.Duration {
	if to <= from {
		return from
	}
	return from + time.Duration(luck.Int64N(int64(to-from)))
}
