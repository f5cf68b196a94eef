// Package life begins and ends the guests and real servers of an emulated fleet.
package life

import (
	"time"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/sim/spec"
	"pss-msbs/pkg/sim/world"
)

// Life is the life of guests and real servers, whoever ends or begins it.
type Life struct {
	*world.World
	pace    *world.Pace
	reports *world.Reports
}

// New begins nothing by itself.
func New(w *world.World, p *world.Pace, r *world.Reports) *Life {
	return &Life{World: w, pace: p, reports: r}
}

// Become changes a guest's state. Held: the lock, also below.
func (l *Life) Become(i *world.Instance, s cluster.GuestState) {
	if i.State == s {
		return
	}
	l.Note("guest", i.At.Name, i.Host, "%s on %s %s", i.Host, i.At.Name, s)
	i.State, l.Dirty = s, true
}

// Boot loses what was run-time configuration and ends in booted after d.
func (l *Life) Boot(i *world.Instance, d time.Duration) {
	l.clear(i)
	l.Become(i, cluster.GuestBooting)
	if i.FailBoot > 0 {
		i.FailBoot--
		i.BootHangs = true
		return
	}
	if i.At.Taken {
		d *= crowdedBoot
	}
	life := i.Life
	l.After(d, func() {
		if i.Life == life && i.At.On[i.Host] == i {
			l.booted(i)
		}
	})
}

// crowdedBoot is how many times as long a boot takes that begins on a host
// without idle processor.
const crowdedBoot = 3

// booted is the end of a boot: the agent connects and the services answer. On
// a host that does not run at that instant it is put off until it does.
func (l *Life) booted(i *world.Instance) {
	if !i.At.Up() {
		i.BootLate = true
		return
	}
	i.BootLate, i.At.Warm[i.Kind] = false, true
	i.StartDaemons()
	l.Become(i, cluster.GuestRunning)
	l.reports.Publish(i.At, i.Host, cluster.EventAgentUp, 0)
}

// Reboot restarts i in place. Held: the lock.
func (l *Life) Reboot(i *world.Instance) {
	l.reports.Publish(i.At, i.Host, cluster.EventAgentGone, l.Spec.Times.AgentGone)
	l.reports.Publish(i.At, i.Host, cluster.EventRebooted, l.Spec.Times.Rebooted)
	l.Boot(i, l.Spec.Times.Guest[i.Kind].Restart)
}

// clear forgets what a guest loses when it stops.
func (l *Life) clear(i *world.Instance) {
	i.Life++
	l.pace.LetGo(i, i.Stall)
	i.Session = world.NewSession()
	l.Dirty = true
}

// Stop ends a guest, as off or crashed.
func (l *Life) Stop(i *world.Instance, s cluster.GuestState) {
	l.clear(i)
	i.LinkDown = false
	l.Become(i, s)
}

// Die stops a guest; the hypervisor notices after d.
func (l *Life) Die(i *world.Instance, s cluster.GuestState, e cluster.EventKind, d time.Duration) {
	seen := i.State
	l.Stop(i, s)
	i.Seen, i.SeenUntil = seen, l.Now.Add(d)
	l.reports.Publish(i.At, i.Host, e, d)
	life := i.Life
	l.After(d, func() {
		if i.Life == life && s == cluster.GuestOff {
			l.Forget(i)
		}
	})
}

// Forget removes a stopped guest from a host that it is not defined on.
func (l *Life) Forget(i *world.Instance) {
	if i.Home != i.At.IP && i.At.On[i.Host] == i {
		i.At.Drop(i.Host)
	}
}

// Turn changes a real server's state and keeps the power record.
func (l *Life) Turn(h *world.Host, s spec.HostState) {
	if h.State == s {
		return
	}
	l.Note("real", h.Name, "", "%s %s", h.Name, s)
	h.State, l.Dirty = s, true
}

// Fall takes a real server and all that runs on it down.
func (l *Life) Fall(h *world.Host, s spec.HostState) {
	h.Life++
	clear(h.Warm)
	h.Taken = false
	for _, i := range h.InOrder() {
		l.Stop(i, cluster.GuestOff)
		l.Forget(i)
	}
	l.Turn(h, s)
}

// Rise brings a real server up d from now.
func (l *Life) Rise(h *world.Host, s spec.HostState, d time.Duration) {
	h.Life++
	l.Turn(h, s)
	life := h.Life
	l.After(d, func() {
		if h.Life == life {
			l.Awake(h, s == spec.Waking)
		}
	})
}

// Awake lets a real server run on; the clocks of the guests that slept with it are stale.
func (l *Life) Awake(h *world.Host, slept bool) {
	l.Turn(h, spec.Active)
	if !slept {
		h.Hypervisor = world.Running
	}
	for _, i := range h.InOrder() {
		if slept && i.State == cluster.GuestRunning {
			i.StaleClock = true
		}
		if i.BootLate {
			l.booted(i)
		}
	}
}

// FreezeHost hangs a host; what it had under way is lost.
func (l *Life) FreezeHost(h *world.Host) {
	if h.Up() {
		h.Life++
		l.Turn(h, spec.Frozen)
	}
}
