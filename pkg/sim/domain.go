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

// GuestState is what the hypervisor of g.Real says of g.
func (m *Model) GuestState(ctx context.Context, g cluster.Guest) (cluster.GuestState, error) {
	var s cluster.GuestState
	err := m.call(ctx, g.Real, m.spec.Times.Hypervisor, func(h *host) error {
		s = m.stateOn(h, g.Host)
		return nil
	})
	return s, say(err, "ask for the state of", g)
}

func (m *Model) stateOn(h *host, name string) cluster.GuestState {
	i, k := h.on[name], m.guests[name]
	switch {
	case i != nil && m.now.Before(i.seenUntil):
		return i.seen
	case k.isRestored(h, m.now):
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
func (m *Model) Start(ctx context.Context, g cluster.Guest) error {
	m.blameSleeping("start", g.Host, g.Real)
	start := func(h *host) error {
		k := m.guests[g.Host]
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
		m.blameTwin(i)
		k.saved, i.linkDown, i.used = nil, false, meter{}
		m.boot(i, m.startTime(i))
		m.publish(h, i.Host, cluster.EventStarted, 0)
		return nil
	}
	return say(m.command(ctx, g, m.spec.Times.Hypervisor, start, start), "start", g)
}

func (m *Model) startTime(i *instance) time.Duration {
	t := m.spec.Times.Guest[i.Kind]
	if i.at.warm[i.Kind] {
		return t.Second
	}
	return t.First
}

// Resume lets a paused guest run on; its clock is stale until SetClock.
func (m *Model) Resume(ctx context.Context, g cluster.Guest) error {
	m.blameSleeping("resume", g.Host, g.Real)
	err := m.operate(ctx, g, func(h *host) (operation, error) {
		i := h.on[g.Host]
		switch {
		case i == nil || i.state != cluster.GuestPaused && i.state != cluster.GuestRunning:
			return operation{}, fmt.Errorf("it is %s", m.stateOn(h, g.Host))
		case i.state == cluster.GuestRunning:
			return operation{}, nil
		}
		return operation{guest: i, takes: m.spec.Times.Guest[i.Kind].Resume, finish: func() error { return m.resumed(i) }}, nil
	})
	return say(err, "resume", g)
}

func (m *Model) resumed(i *instance) error {
	if i.state != cluster.GuestPaused {
		return fmt.Errorf("it is %s", i.state)
	}
	m.blameKeptVIPs(i)
	i.staleClock = true
	m.become(i, cluster.GuestRunning)
	m.publish(i.at, i.Host, cluster.EventResumed, 0)
	return nil
}

// Pause stops a guest in memory; it is silent from the beginning of the call.
func (m *Model) Pause(ctx context.Context, g cluster.Guest) error {
	err := m.operate(ctx, g, func(h *host) (operation, error) {
		i, err := m.runningOn(h, g.Host)
		if err != nil || i.state == cluster.GuestPaused {
			return operation{}, err
		}
		m.halt(i, "pause")
		return operation{guest: i, takes: m.spec.Times.Guest[i.Kind].Pause, finish: func() error {
			m.publish(i.at, i.Host, cluster.EventPaused, 0)
			return nil
		}}, nil
	})
	return say(err, "pause", g)
}

func (m *Model) runningOn(h *host, name string) (*instance, error) {
	i := h.on[name]
	if i == nil || i.state != cluster.GuestRunning && i.state != cluster.GuestPaused {
		return nil, fmt.Errorf("it is %s", m.stateOn(h, name))
	}
	return i, nil
}

func (m *Model) halt(i *instance, verb string) {
	m.blamePause(i, verb)
	m.become(i, cluster.GuestPaused)
}

// Reset is the reset button: the guest boots at once and loses its VIPs.
func (m *Model) Reset(ctx context.Context, g cluster.Guest) error {
	reset := func(h *host) error {
		i := h.on[g.Host]
		if i == nil || !i.live() {
			return fmt.Errorf("it is %s", m.stateOn(h, g.Host))
		}
		m.resets(i)
		m.reboot(i)
		return nil
	}
	return say(m.command(ctx, g, m.spec.Times.Hypervisor, reset, reset), "reset", g)
}

// reboot restarts i in place. Held: m.mu.
func (m *Model) reboot(i *instance) {
	m.publish(i.at, i.Host, cluster.EventAgentGone, m.spec.Times.AgentGone)
	m.publish(i.at, i.Host, cluster.EventRebooted, m.spec.Times.Rebooted)
	m.boot(i, m.spec.Times.Guest[i.Kind].Restart)
}

// Destroy pulls the plug.
func (m *Model) Destroy(ctx context.Context, g cluster.Guest) error {
	destroy := func(h *host) error {
		i := h.on[g.Host]
		if i == nil || i.state == cluster.GuestOff {
			return nil
		}
		if i.live() {
			m.cutsOff(i, HarmDestroy)
			m.publish(h, i.Host, cluster.EventShutdown, 0)
		}
		m.stop(i, cluster.GuestOff)
		m.forget(i)
		return nil
	}
	return say(m.command(ctx, g, m.spec.Times.Hypervisor, destroy, destroy), "destroy", g)
}

// Save writes the guest to shared storage; it is silent from the beginning of the call.
func (m *Model) Save(ctx context.Context, g cluster.Guest) error {
	err := m.operate(ctx, g, func(h *host) (operation, error) {
		i, err := m.runningOn(h, g.Host)
		if err != nil {
			return operation{}, err
		}
		m.halt(i, "save")
		return operation{guest: i, takes: m.spec.Times.Guest[i.Kind].Save, finish: func() error {
			if h.on[g.Host] != i || i.state != cluster.GuestPaused {
				return fmt.Errorf("it is %s", m.stateOn(h, g.Host))
			}
			i.saved = i
			h.drop(g.Host)
			if i.Home == h.IP {
				newInstance(i.guest, h)
			}
			m.note("saved", h, g.Host, "%s saved from %s", g.Host, h.Name)
			return nil
		}}, nil
	})
	return say(err, "save", g)
}

// Restore runs the saved guest on g.Real; the image is used up.
func (m *Model) Restore(ctx context.Context, g cluster.Guest) error {
	m.blameSleeping("restore", g.Host, g.Real)
	err := m.operate(ctx, g, func(h *host) (operation, error) {
		k := m.guests[g.Host]
		if k == nil || k.saved == nil {
			return operation{}, fmt.Errorf("no saved image")
		}
		takes := m.spec.Times.Guest[k.Kind].Restored
		k.restored, k.restoredUntil = h, m.now.Add(takes)
		if k.failRestore > 0 {
			k.failRestore--
			return operation{takes: takes, finish: func() error { return fmt.Errorf("restore failed") }}, nil
		}
		return operation{takes: takes, finish: func() error { return m.restored(k, h) }}, nil
	})
	return say(err, "restore", g)
}

func (m *Model) restored(k *guest, h *host) error {
	i := k.saved
	if i == nil {
		return fmt.Errorf("no saved image")
	}
	if o := h.on[k.Host]; o != nil && o.live() {
		return fmt.Errorf("it is %s", o.state)
	}
	k.saved, i.at = nil, h
	h.put(i)
	m.blameTwin(i)
	m.blameKeptVIPs(i)
	i.staleClock, i.linkDown, i.cut, i.busy = true, false, false, time.Time{}
	m.become(i, cluster.GuestRunning)
	m.publish(h, k.Host, cluster.EventStarted, 0)
	return nil
}

// Guests lists the guests that real's hypervisor knows, by name.
func (m *Model) Guests(ctx context.Context, real netip.Addr) ([]cluster.GuestInfo, error) {
	var out []cluster.GuestInfo
	err := m.call(ctx, real, m.spec.Times.Hypervisor, func(h *host) error {
		for name := range h.on {
			out = append(out, cluster.GuestInfo{Host: name, State: m.stateOn(h, name)})
		}
		for name, k := range m.guests {
			if h.on[name] == nil && k.isRestored(h, m.now) {
				out = append(out, cluster.GuestInfo{Host: name, State: cluster.GuestPaused})
			}
		}
		return nil
	})
	slices.SortFunc(out, func(a, b cluster.GuestInfo) int { return strings.Compare(a.Host, b.Host) })
	return out, sayHost(err, "list the guests of", real)
}

// FreeMemoryKB is the memory of real that no guest uses.
func (m *Model) FreeMemoryKB(ctx context.Context, real netip.Addr) (int64, error) {
	var free int64
	err := m.call(ctx, real, m.spec.Times.Hypervisor, func(h *host) error {
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
func (m *Model) HypervisorAlive(ctx context.Context, real netip.Addr) error {
	err := m.call(ctx, real, m.spec.Times.Hypervisor, func(h *host) error {
		m.record.asked.note(AskedHypervisor, h.Name, m.now)
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
