package sim

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"pss-msbs/pkg/cluster"
)

// hypervisors do to guests what their callers want.
type hypervisors struct {
	*calls
	life    *life
	reports *reports
	pace    *pace
	harms   *harms
	judge   *judge
}

// GuestState is what the hypervisor of g.Real says of g.
func (hv *hypervisors) GuestState(ctx context.Context, g cluster.Guest) (cluster.GuestState, error) {
	var s cluster.GuestState
	err := hv.call(ctx, g.Real, hv.spec.Times.Hypervisor, func(h *host) error {
		s = hv.stateOn(h, g.Host)
		return nil
	})
	return s, say(err, "ask for the state of", g)
}

func (w *world) stateOn(h *host, name string) cluster.GuestState {
	i, k := h.on[name], w.guests[name]
	switch {
	case i != nil && w.now.Before(i.seenUntil):
		return i.seen
	case k.isRestored(h, w.now):
		return cluster.GuestPaused // as libvirt shows it
	case k != nil && k.saved != nil && (i == nil || !i.live()):
		return cluster.GuestSaved
	case i == nil:
		return cluster.GuestAbsent
	case i.stall != nil && i.state == cluster.GuestRunning:
		return i.stall.says
	}
	return i.state
}

// isRestored reports whether k is just being restored on h.
func (k *guest) isRestored(h *host, now time.Time) bool {
	return k != nil && k.restored == h && now.Before(k.restoredUntil)
}

// Start boots g on g.Real; it returns once the guest boots.
func (hv *hypervisors) Start(ctx context.Context, g cluster.Guest) error {
	hv.judge.blameSleeping("start", g.Host, g.Real)
	start := func(h *host) error {
		k := hv.guests[g.Host]
		if k == nil {
			return fmt.Errorf("no such server")
		}
		i := h.on[g.Host]
		if i == nil {
			i = newInstance(k, h)
		}
		switch i.state {
		case cluster.GuestRunning, cluster.GuestBooting:
			return nil
		case cluster.GuestPaused:
			return fmt.Errorf("it is paused")
		}
		hv.judge.blameTwin(i)
		k.saved, i.linkDown, i.used = nil, false, meter{}
		hv.life.boot(i, hv.startTime(i))
		hv.reports.publish(h, i.Host, cluster.EventStarted, 0)
		return nil
	}
	return say(hv.change(ctx, g, hv.spec.Times.Hypervisor, start), "start", g)
}

func (hv *hypervisors) startTime(i *instance) time.Duration {
	t := hv.spec.Times.Guest[i.Kind]
	if i.at.warm[i.Kind] {
		return t.Second
	}
	return t.First
}

// Resume lets a paused guest run on; its clock is stale until SetClock.
func (hv *hypervisors) Resume(ctx context.Context, g cluster.Guest) error {
	hv.judge.blameSleeping("resume", g.Host, g.Real)
	err := hv.operate(ctx, g, func(h *host) (operation, error) {
		i := h.on[g.Host]
		switch {
		case i == nil || i.state != cluster.GuestPaused && i.state != cluster.GuestRunning:
			return operation{}, fmt.Errorf("it is %s", hv.stateOn(h, g.Host))
		case i.state == cluster.GuestRunning:
			return operation{}, nil
		}
		return operation{guest: i, takes: hv.spec.Times.Guest[i.Kind].Resume, finish: func() error { return hv.resumed(i) }}, nil
	})
	return say(err, "resume", g)
}

func (hv *hypervisors) resumed(i *instance) error {
	if i.state != cluster.GuestPaused {
		return fmt.Errorf("it is %s", i.state)
	}
	hv.judge.blameKeptVIPs(i)
	i.staleClock = true
	hv.life.become(i, cluster.GuestRunning)
	hv.reports.publish(i.at, i.Host, cluster.EventResumed, 0)
	return nil
}

// Pause stops a guest in memory; it is silent from the beginning of the call.
func (hv *hypervisors) Pause(ctx context.Context, g cluster.Guest) error {
	err := hv.operate(ctx, g, func(h *host) (operation, error) {
		i, err := hv.runningOn(h, g.Host)
		if err != nil || i.state == cluster.GuestPaused {
			return operation{}, err
		}
		hv.halt(i, "pause")
		return operation{guest: i, takes: hv.spec.Times.Guest[i.Kind].Pause, finish: func() error {
			hv.reports.publish(i.at, i.Host, cluster.EventPaused, 0)
			return nil
		}}, nil
	})
	return say(err, "pause", g)
}

func (hv *hypervisors) runningOn(h *host, name string) (*instance, error) {
	i := h.on[name]
	if i == nil || i.state != cluster.GuestRunning && i.state != cluster.GuestPaused {
		return nil, fmt.Errorf("it is %s", hv.stateOn(h, name))
	}
	return i, nil
}

func (hv *hypervisors) halt(i *instance, verb string) {
	hv.judge.blamePause(i, verb)
	hv.life.become(i, cluster.GuestPaused)
}

// Reset is the reset button: the guest boots at once and loses its VIPs.
func (hv *hypervisors) Reset(ctx context.Context, g cluster.Guest) error {
	reset := func(h *host) error {
		i := h.on[g.Host]
		if i == nil || !i.live() {
			return fmt.Errorf("it is %s", hv.stateOn(h, g.Host))
		}
		hv.harms.resets(i)
		hv.life.reboot(i)
		return nil
	}
	return say(hv.change(ctx, g, hv.spec.Times.Hypervisor, reset), "reset", g)
}

// reboot restarts i in place. Held: m.mu.
func (l *life) reboot(i *instance) {
	l.reports.publish(i.at, i.Host, cluster.EventAgentGone, l.spec.Times.AgentGone)
	l.reports.publish(i.at, i.Host, cluster.EventRebooted, l.spec.Times.Rebooted)
	l.boot(i, l.spec.Times.Guest[i.Kind].Restart)
}

// Destroy pulls the plug.
func (hv *hypervisors) Destroy(ctx context.Context, g cluster.Guest) error {
	destroy := func(h *host) error {
		i := h.on[g.Host]
		if i == nil || i.state == cluster.GuestOff {
			return nil
		}
		if i.live() {
			hv.harms.cutsOff(i, HarmDestroy)
			hv.reports.publish(h, i.Host, cluster.EventShutdown, 0)
		}
		hv.life.stop(i, cluster.GuestOff)
		hv.life.forget(i)
		return nil
	}
	return say(hv.change(ctx, g, hv.spec.Times.Hypervisor, destroy), "destroy", g)
}

// Save writes the guest to shared storage; it is silent from the beginning of the call.
func (hv *hypervisors) Save(ctx context.Context, g cluster.Guest) error {
	err := hv.operate(ctx, g, func(h *host) (operation, error) {
		i, err := hv.runningOn(h, g.Host)
		if err != nil {
			return operation{}, err
		}
		hv.halt(i, "save")
		return operation{guest: i, takes: hv.spec.Times.Guest[i.Kind].Save, finish: func() error {
			if h.on[g.Host] != i || i.state != cluster.GuestPaused {
				return fmt.Errorf("it is %s", hv.stateOn(h, g.Host))
			}
			i.saved = i
			h.drop(g.Host)
			if i.Home == h.IP {
				newInstance(i.guest, h)
			}
			hv.note("saved", h.Name, g.Host, "%s saved from %s", g.Host, h.Name)
			return nil
		}}, nil
	})
	return say(err, "save", g)
}

// Restore runs the saved guest on g.Real; the image is used up.
func (hv *hypervisors) Restore(ctx context.Context, g cluster.Guest) error {
	hv.judge.blameSleeping("restore", g.Host, g.Real)
	err := hv.operate(ctx, g, func(h *host) (operation, error) {
		k := hv.guests[g.Host]
		if k == nil || k.saved == nil {
			return operation{}, fmt.Errorf("no saved image")
		}
		takes := hv.spec.Times.Guest[k.Kind].Restored
		k.restored, k.restoredUntil = h, hv.now.Add(takes)
		if k.failRestore > 0 {
			k.failRestore--
			return operation{takes: takes, finish: func() error { return fmt.Errorf("restore failed") }}, nil
		}
		return operation{takes: takes, finish: func() error { return hv.restored(k, h) }}, nil
	})
	return say(err, "restore", g)
}

func (hv *hypervisors) restored(k *guest, h *host) error {
	i := k.saved
	if i == nil {
		return fmt.Errorf("no saved image")
	}
	if o := h.on[k.Host]; o != nil && o.live() {
		return fmt.Errorf("it is %s", o.state)
	}
	k.saved, i.at = nil, h
	h.put(i)
	hv.judge.blameTwin(i)
	hv.judge.blameKeptVIPs(i)
	i.staleClock, i.linkDown, i.cut, i.busy = true, false, false, time.Time{}
	hv.life.become(i, cluster.GuestRunning)
	hv.reports.publish(h, k.Host, cluster.EventStarted, 0)
	return nil
}

// Guests lists the guests that real's hypervisor knows, by name.
func (hv *hypervisors) Guests(ctx context.Context, real netip.Addr) ([]cluster.GuestInfo, error) {
	var out []cluster.GuestInfo
	err := hv.call(ctx, real, hv.spec.Times.Hypervisor, func(h *host) error {
		for name := range h.on {
			out = append(out, cluster.GuestInfo{Host: name, State: hv.stateOn(h, name)})
		}
		for name, k := range hv.guests {
			if h.on[name] == nil && k.isRestored(h, hv.now) {
				out = append(out, cluster.GuestInfo{Host: name, State: cluster.GuestPaused})
			}
		}
		return nil
	})
	slices.SortFunc(out, func(a, b cluster.GuestInfo) int { return strings.Compare(a.Host, b.Host) })
	return out, sayHost(err, "list the guests of", real)
}

// FreeMemoryKB is the memory of real that no guest uses.
func (hv *hypervisors) FreeMemoryKB(ctx context.Context, real netip.Addr) (int64, error) {
	var free int64
	err := hv.call(ctx, real, hv.spec.Times.Hypervisor, func(h *host) error {
		free = h.MemoryKB
		for _, i := range h.on {
			if i.live() {
				free -= i.MemoryKB
			}
		}
		return nil
	})
	return max(free, 0), sayHost(err, "read the free memory of", real)
}

// HypervisorAlive is nil when real's virtualization software answers.
func (hv *hypervisors) HypervisorAlive(ctx context.Context, real netip.Addr) error {
	err := hv.call(ctx, real, hv.spec.Times.Hypervisor, func(h *host) error {
		hv.asked.note(AskedHypervisor, h.Name, hv.now)
		return nil
	})
	return sayHost(err, "reach the hypervisor of", real)
}

func say(err error, verb string, g cluster.Guest) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("cannot %s %s on %s: %w", verb, g.Host, g.Real, err)
}

func sayHost(err error, verb string, real netip.Addr) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("cannot %s %s: %w", verb, real, err)
}
