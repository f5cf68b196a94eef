package sim

import (
	"context"
	"time"

	"pss-msbs/pkg/cluster"
)

// hostCores are a real server's processors where its HostSpec names none.
const hostCores = 8

// leftover is the share of its processors that a guest gets where others have taken them.
const leftover = 0.3

// meter is a total of processor time, which grows at the present rate.
type meter struct {
	total time.Duration
	rate  float64 // processors
	since time.Time
}

// set reads the meter, and lets it go on at another rate.
func (t *meter) set(now time.Time, rate float64) {
	t.total += time.Duration(t.rate * float64(now.Sub(t.since)))
	t.rate, t.since = rate, now
}

// settleWork reads the meters of all guests and hosts, and lets them go on as
// what changed wants. Held: m.mu, also below.
func (pc *pace) settleWork() {
	for _, h := range pc.order {
		all, used := 0.0, 0.0
		if h.up() {
			all = float64(h.Cores)
		}
		for _, i := range h.inOrder() {
			rate := 0.0
			if h.up() {
				rate = pc.works(i) * float64(i.Cores)
			}
			i.used.set(pc.now, rate)
			used += rate
		}
		h.total.set(pc.now, all)
		if h.crowded() {
			used = all
		}
		h.idle.set(pc.now, max(0, all-used))
	}
}

// works is the share of its processors that i uses now: all of them in a boot, and
// in a kernel that hangs in a loop; none where it waits or is held.
func (pc *pace) works(i *instance) float64 {
	share := 0.0
	switch {
	case i.state == cluster.GuestBooting && !i.bootHangs:
		share = 1
	case i.state != cluster.GuestRunning:
	case i.frozen && i.loops, i.stall != nil && i.stall.works:
		share = 1
	case i.frozen, i.stall != nil:
	default:
		share = pc.reading(i).cpu / 100
	}
	if i.at.taken {
		share *= leftover
	}
	return share
}

// crowded reports whether h has no idle processor: others have taken them, or a
// guest boots.
func (h *host) crowded() bool { return h.taken || h.booting() > 0 }

// Work is the processor time of g and of its host.
func (hv *hypervisors) Work(ctx context.Context, g cluster.Guest) (cluster.Work, error) {
	var w cluster.Work
	err := hv.call(ctx, g.Real, hv.spec.Times.Hypervisor, func(h *host) error {
		hv.pace.settleWork()
		w = cluster.Work{Idle: h.idle.total, Total: h.total.total, Processors: h.Cores}
		if k := hv.guests[g.Host]; k != nil {
			w.Cores = k.Cores
		}
		if i := h.on[g.Host]; i != nil {
			w.Used = i.used.total
		}
		return nil
	})
	return w, say(err, "ask for the processor time of", g)
}
