package sim

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/sim/world"
)

// Save writes the guest to shared storage; it is silent from the beginning of the call.
func (hv *hypervisors) Save(ctx context.Context, g cluster.Guest) error {
	err := hv.operate(ctx, g, func(h *world.Host) (operation, error) {
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
	return say(err, "save", g)
}

// Restore runs the saved guest on g.Real; the image is used up.
func (hv *hypervisors) Restore(ctx context.Context, g cluster.Guest) error {
	hv.judge.BlameSleeping("restore", g.Host, g.Real)
	err := hv.operate(ctx, g, func(h *world.Host) (operation, error) {
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
	return say(err, "restore", g)
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
	err := hv.operate(ctx, g, func(h *world.Host) (operation, error) {
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
	return say(err, "migrate", g)
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
