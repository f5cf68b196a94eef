package sim

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/sim/judge"
	"pss-msbs/pkg/sim/world"
)

// hypervisors do to guests what their callers want.
type hypervisors struct{ *calls }

// GuestState is what the hypervisor of g.Real says of g.
func (hv *hypervisors) GuestState(ctx context.Context, g cluster.Guest) (cluster.GuestState, error) {
	var s cluster.GuestState
	err := hv.call(ctx, g.Real, hv.Spec.Times.Hypervisor, func(h *world.Host) error {
		s = hv.StateOn(h, g.Host)
		return nil
	})
	return s, say(err, "ask for the state of", g)
}

// Start boots g on g.Real; it returns once the guest boots.
func (hv *hypervisors) Start(ctx context.Context, g cluster.Guest) error {
	hv.judge.BlameSleeping("start", g.Host, g.Real)
	return say(hv.change(ctx, g, hv.Spec.Times.Hypervisor, func(h *world.Host) error {
		k := hv.Servers[g.Host]
		if k == nil {
			return fmt.Errorf("no such server")
		}
		i := h.On[g.Host]
		if i == nil {
			i = world.NewInstance(k, h)
		}
		switch i.State {
		case cluster.GuestRunning, cluster.GuestBooting:
			return nil
		case cluster.GuestPaused:
			return fmt.Errorf("it is paused")
		}
		hv.judge.BlameTwin(i)
		k.Saved, i.LinkDown, i.Used = nil, false, world.Meter{}
		hv.life.Boot(i, hv.startTime(i))
		hv.reports.Publish(h, i.Host, cluster.EventStarted, 0)
		return nil
	}), "start", g)
}

func (hv *hypervisors) startTime(i *world.Instance) time.Duration {
	t := hv.Spec.Times.Guest[i.Kind]
	if i.At.Warm[i.Kind] {
		return t.Second
	}
	return t.First
}

// Resume lets a paused guest run on; its clock is stale until SetClock.
func (hv *hypervisors) Resume(ctx context.Context, g cluster.Guest) error {
	hv.judge.BlameSleeping("resume", g.Host, g.Real)
	return hv.operate(ctx, "resume", g, func(h *world.Host) (operation, error) {
		i := h.On[g.Host]
		switch {
		case i == nil || i.State != cluster.GuestPaused && i.State != cluster.GuestRunning:
			return operation{}, fmt.Errorf("it is %s", hv.StateOn(h, g.Host))
		case i.State == cluster.GuestRunning:
			return operation{}, nil
		}
		return operation{guest: i, takes: hv.Spec.Times.Guest[i.Kind].Resume, finish: func() error { return hv.resumed(i) }}, nil
	})
}

func (hv *hypervisors) resumed(i *world.Instance) error {
	if i.State != cluster.GuestPaused {
		return fmt.Errorf("it is %s", i.State)
	}
	hv.judge.BlameKeptVIPs(i)
	i.StaleClock = true
	hv.life.Become(i, cluster.GuestRunning)
	hv.reports.Publish(i.At, i.Host, cluster.EventResumed, 0)
	return nil
}

// Pause stops a guest in memory; it is silent from the beginning of the call.
func (hv *hypervisors) Pause(ctx context.Context, g cluster.Guest) error {
	return hv.operate(ctx, "pause", g, func(h *world.Host) (operation, error) {
		i, err := hv.runningOn(h, g.Host)
		if err != nil || i.State == cluster.GuestPaused {
			return operation{}, err
		}
		hv.halt(i, "pause")
		return operation{guest: i, takes: hv.Spec.Times.Guest[i.Kind].Pause, finish: func() error {
			hv.reports.Publish(i.At, i.Host, cluster.EventPaused, 0)
			return nil
		}}, nil
	})
}

func (hv *hypervisors) runningOn(h *world.Host, name string) (*world.Instance, error) {
	i := h.On[name]
	if i == nil || i.State != cluster.GuestRunning && i.State != cluster.GuestPaused {
		return nil, fmt.Errorf("it is %s", hv.StateOn(h, name))
	}
	return i, nil
}

func (hv *hypervisors) halt(i *world.Instance, verb string) {
	hv.judge.BlamePause(i, verb)
	hv.life.Become(i, cluster.GuestPaused)
}

// Reset is the reset button: the guest boots at once and loses its VIPs.
func (hv *hypervisors) Reset(ctx context.Context, g cluster.Guest) error {
	return say(hv.change(ctx, g, hv.Spec.Times.Hypervisor, func(h *world.Host) error {
		i := h.On[g.Host]
		if i == nil || !i.Live() {
			return fmt.Errorf("it is %s", hv.StateOn(h, g.Host))
		}
		hv.harms.Resets(i)
		hv.life.Reboot(i)
		return nil
	}), "reset", g)
}

// Destroy pulls the plug.
func (hv *hypervisors) Destroy(ctx context.Context, g cluster.Guest) error {
	return say(hv.change(ctx, g, hv.Spec.Times.Hypervisor, func(h *world.Host) error {
		i := h.On[g.Host]
		if i == nil || i.State == cluster.GuestOff {
			return nil
		}
		if i.Live() {
			hv.harms.CutsOff(i, judge.HarmDestroy)
			hv.reports.Publish(h, i.Host, cluster.EventShutdown, 0)
		}
		hv.life.Stop(i, cluster.GuestOff)
		hv.life.Forget(i)
		return nil
	}), "destroy", g)
}

// Guests lists the guests that real's hypervisor knows, by name.
func (hv *hypervisors) Guests(ctx context.Context, real netip.Addr) ([]cluster.GuestInfo, error) {
	var out []cluster.GuestInfo
	err := hv.call(ctx, real, hv.Spec.Times.Hypervisor, func(h *world.Host) error {
		for name := range h.On {
			out = append(out, cluster.GuestInfo{Host: name, State: hv.StateOn(h, name)})
		}
		for name, k := range hv.Servers {
			if h.On[name] == nil && k.IsRestored(h, hv.Now) {
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
	err := hv.call(ctx, real, hv.Spec.Times.Hypervisor, func(h *world.Host) error {
		free = h.MemoryKB
		for _, i := range h.On {
			if i.Live() {
				free -= i.MemoryKB
			}
		}
		return nil
	})
	return max(free, 0), sayHost(err, "read the free memory of", real)
}

// HypervisorAlive is nil when real's virtualization software answers.
func (hv *hypervisors) HypervisorAlive(ctx context.Context, real netip.Addr) error {
	err := hv.call(ctx, real, hv.Spec.Times.Hypervisor, func(h *world.Host) error {
		hv.Asked.Note(world.AskedHypervisor, h.Name, hv.Now)
		return nil
	})
	return sayHost(err, "reach the hypervisor of", real)
}

// Work is the processor time of g and of its host.
func (hv *hypervisors) Work(ctx context.Context, g cluster.Guest) (cluster.Work, error) {
	var w cluster.Work
	err := hv.call(ctx, g.Real, hv.Spec.Times.Hypervisor, func(h *world.Host) error {
		hv.pace.SettleWork()
		w = cluster.Work{Idle: h.Idle.Total, Total: h.Total.Total, Processors: h.Cores}
		if k := hv.Servers[g.Host]; k != nil {
			w.Cores = k.Cores
		}
		if i := h.On[g.Host]; i != nil {
			w.Used = i.Used.Total
		}
		return nil
	})
	return w, say(err, "ask for the processor time of", g)
}

// SetLink cuts a guest off the network, or reconnects it, from outside.
func (hv *hypervisors) SetLink(ctx context.Context, g cluster.Guest, up bool) error {
	return say(hv.change(ctx, g, hv.Spec.Times.SetLink, func(h *world.Host) error {
		i := h.On[g.Host]
		if i == nil || !i.Live() {
			return fmt.Errorf("it is %s", hv.StateOn(h, g.Host))
		}
		if i.LinkDown == up {
			if !up {
				hv.harms.CutsOff(i, judge.HarmCutOff)
			}
			i.LinkDown, hv.Dirty = !up, true
			hv.Note("link", h.Name, i.Host, "link of %s up: %t", i.Host, up)
		}
		return nil
	}), "set the link of", g)
}

// Save writes the guest to shared storage; it is silent from the beginning of the call.
func (hv *hypervisors) Save(ctx context.Context, g cluster.Guest) error {
	return hv.operate(ctx, "save", g, func(h *world.Host) (operation, error) {
		i, err := hv.runningOn(h, g.Host)
		if err != nil {
			return operation{}, err
		}
		hv.halt(i, "save")
		return operation{guest: i, takes: hv.Spec.Times.Guest[i.Kind].Save, finish: func() error {
			if h.On[g.Host] != i || i.State != cluster.GuestPaused {
				return fmt.Errorf("it is %s", hv.StateOn(h, g.Host))
			}
			i.Saved = i
			h.Drop(g.Host)
			if i.Home == h.IP {
				world.NewInstance(i.Guest, h)
			}
			hv.Note("saved", h.Name, g.Host, "%s saved from %s", g.Host, h.Name)
			return nil
		}}, nil
	})
}

// Restore runs the saved guest on g.Real; the image is used up.
func (hv *hypervisors) Restore(ctx context.Context, g cluster.Guest) error {
	hv.judge.BlameSleeping("restore", g.Host, g.Real)
	return hv.operate(ctx, "restore", g, func(h *world.Host) (operation, error) {
		k := hv.Servers[g.Host]
		if k == nil || k.Saved == nil {
			return operation{}, fmt.Errorf("no saved image")
		}
		takes := hv.Spec.Times.Guest[k.Kind].Restored
		k.Restored, k.RestoredUntil = h, hv.Now.Add(takes)
		if k.FailRestore > 0 {
			k.FailRestore--
			return operation{takes: takes, finish: func() error { return fmt.Errorf("restore failed") }}, nil
		}
		return operation{takes: takes, finish: func() error { return hv.restored(k, h) }}, nil
	})
}

func (hv *hypervisors) restored(k *world.Guest, h *world.Host) error {
	i := k.Saved
	if i == nil {
		return fmt.Errorf("no saved image")
	}
	if o := h.On[k.Host]; o != nil && o.Live() {
		return fmt.Errorf("it is %s", o.State)
	}
	k.Saved, i.At = nil, h
	h.Put(i)
	hv.judge.BlameTwin(i)
	hv.judge.BlameKeptVIPs(i)
	i.StaleClock, i.LinkDown, i.Cut, i.Busy = true, false, false, time.Time{}
	hv.life.Become(i, cluster.GuestRunning)
	hv.reports.Publish(h, k.Host, cluster.EventStarted, 0)
	return nil
}

// Migrate moves a running guest, VIPs and all.
func (hv *hypervisors) Migrate(ctx context.Context, g cluster.Guest, to netip.Addr) error {
	hv.judge.BlameSleeping("migrate", g.Host, to)
	return hv.operate(ctx, "migrate", g, func(h *world.Host) (operation, error) {
		i, dst := h.On[g.Host], hv.Hosts[to]
		switch {
		case i == nil || i.State != cluster.GuestRunning:
			return operation{}, fmt.Errorf("it is %s", hv.StateOn(h, g.Host))
		case dst == nil || dst == h:
			return operation{}, fmt.Errorf("no other real server %s", to)
		case dst.Silent:
			return operation{guest: i, takes: hv.Spec.Times.Disconnected, finish: func() error { return cluster.ErrHostSilent }}, nil
		case i.FailMigrate > 0:
			i.FailMigrate--
			return operation{guest: i, takes: hv.Spec.Times.Migrate, finish: func() error { return fmt.Errorf("migration failed") }}, nil
		}
		life := dst.Life
		return operation{guest: i, takes: hv.Spec.Times.Migrate, finish: func() error { return hv.moved(i, dst, life) }}, nil
	})
}

func (hv *hypervisors) moved(i *world.Instance, dst *world.Host, life int) error {
	o := dst.On[i.Host]
	switch {
	case i.State != cluster.GuestRunning || i.At.On[i.Host] != i:
		return fmt.Errorf("it is %s", i.State)
	case dst.Life != life || !dst.Up():
		return fmt.Errorf("the destination was lost")
	case o != nil && o.Live():
		return fmt.Errorf("it is %s on the destination", o.State)
	}
	src := i.At
	src.Drop(i.Host)
	if i.Home == src.IP {
		world.NewInstance(i.Guest, src)
	}
	i.At, i.Cut, i.LinkDown, dst.Warm[i.Kind] = dst, false, false, true
	dst.Put(i)
	for v, hold := range i.Holds {
		i.Holds[v] = world.VIPHold{Since: hold.Since, Announced: hv.Now}
	}
	hv.Note("migrated", dst.Name, i.Host, "%s migrated from %s to %s", i.Host, src.Name, dst.Name)
	hv.Dirty = true
	return nil
}
