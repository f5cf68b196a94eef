package sim

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"pss-msbs/pkg/cluster"
)

// life is the life of guests and real servers, whoever ends or begins it.
type life struct {
	*world
	pace    *pace
	reports *reports
}

// become changes a guest's state. Held: m.mu, for everything below that is no method of a driver.
func (l *life) become(i *instance, s cluster.GuestState) {
	if i.state == s {
		return
	}
	l.note("guest", i.at.Name, i.Host, "%s on %s %s", i.Host, i.at.Name, s)
	i.state, l.dirty = s, true
}

// boot loses what was run-time configuration and ends in booted after d.
func (l *life) boot(i *instance, d time.Duration) {
	l.clear(i)
	l.become(i, cluster.GuestBooting)
	if i.failBoot > 0 {
		i.failBoot--
		i.bootHangs = true
		return
	}
	if i.at.taken {
		d *= crowdedBoot
	}
	life := i.life
	l.after(d, func() {
		if i.life == life && i.at.on[i.Host] == i {
			l.booted(i)
		}
	})
}

// booted is the end of a boot: the agent connects and the services answer. On
// a host that does not run at that instant it is put off until it does.
func (l *life) booted(i *instance) {
	if !i.at.up() {
		i.bootLate = true
		return
	}
	i.bootLate, i.at.warm[i.Kind] = false, true
	i.startDaemons()
	l.become(i, cluster.GuestRunning)
	l.reports.publish(i.at, i.Host, cluster.EventAgentUp, 0)
}

// clear forgets what a guest loses when it stops.
func (l *life) clear(i *instance) {
	i.life++
	i.frozen, i.agentDead, i.staleClock, i.bootLate, i.seenUntil = false, false, false, false, time.Time{}
	i.agentHung, i.overloaded, i.loops, i.jamming, i.bootHangs = false, false, false, false, false
	l.pace.letGo(i, i.stall)
	clear(i.vips)
	clear(i.daemons)
	l.dirty = true
}

// stop ends a guest, as off or crashed.
func (l *life) stop(i *instance, s cluster.GuestState) {
	l.clear(i)
	i.linkDown = false
	l.become(i, s)
}

// forget removes a stopped guest from a host that it is not defined on.
func (l *life) forget(i *instance) {
	if i.Home != i.at.IP && i.at.on[i.Host] == i {
		i.at.drop(i.Host)
	}
}

// turn changes a real server's state and keeps the power record.
func (l *life) turn(h *host, s HostState) {
	if h.state == s {
		return
	}
	l.note("real", h.Name, "", "%s %s", h.Name, s)
	h.state, l.dirty = s, true
}

// fall takes a real server and all that runs on it down.
func (l *life) fall(h *host, s HostState) {
	h.life++
	clear(h.warm)
	h.taken = false
	for _, i := range h.inOrder() {
		l.stop(i, cluster.GuestOff)
		l.forget(i)
	}
	l.turn(h, s)
}

// rise brings a real server up d from now.
func (l *life) rise(h *host, s HostState, d time.Duration) {
	h.life++
	l.turn(h, s)
	life := h.life
	l.after(d, func() {
		if h.life == life {
			l.awake(h, s == Waking)
		}
	})
}

// awake lets a real server run on; the clocks of the guests that slept with it are stale.
func (l *life) awake(h *host, slept bool) {
	l.turn(h, Active)
	if !slept {
		h.hypervisor = running
	}
	for _, i := range h.inOrder() {
		if slept && i.state == cluster.GuestRunning {
			i.staleClock = true
		}
		if i.bootLate {
			l.booted(i)
		}
	}
}

// machines are the real servers, as PSS and DSRS suspend, wake and mend them.
type machines struct {
	*calls
	life  *life
	judge *judge
}

// SuspendReal suspends a real server to memory and returns once it is silent.
func (r *machines) SuspendReal(ctx context.Context, real netip.Addr) error {
	var done chan error
	err := r.call(ctx, real, r.spec.Times.Hypervisor, func(h *host) error {
		if h.management {
			return fmt.Errorf("it is the management server")
		}
		if h.state == Suspending {
			return fmt.Errorf("it is being suspended")
		}
		r.life.turn(h, Suspending)
		r.judge.blameBoots(h)
		done = r.launch(operation{on: h, takes: r.spec.Times.RealSuspend, finish: func() error { return r.asleep(h) }})
		return nil
	})
	if err == nil {
		select {
		case err = <-done:
		case <-ctx.Done():
			err = late(ctx, cluster.ErrHostSilent)
		case <-r.quit:
			err = errClosed
		}
	}
	return sayHost(err, "suspend", real)
}

func (r *machines) asleep(h *host) error {
	if h.state != Suspending {
		return errGone
	}
	if h.failSuspend > 0 {
		h.failSuspend--
		r.life.turn(h, Active)
		return fmt.Errorf("suspend failed")
	}
	r.judge.blameSuspend(h)
	r.life.turn(h, Suspended)
	return nil
}

// WakeReal sends one magic packet. Like a real one it is not acknowledged.
func (r *machines) WakeReal(ctx context.Context, mac cluster.MAC) error {
	if err := r.wait(ctx, r.spec.Times.Ping, cluster.ErrNoAnswer); err != nil {
		return fmt.Errorf("cannot wake %s: %w", mac, err)
	}
	r.lock()
	defer r.unlock()
	for _, h := range r.order {
		if h.MAC != mac || h.management {
			continue
		}
		if isLost(r.luck("magic ", h.Name), r.net.toHost(h).LossOut) {
			r.note("wake", h.Name, "", "magic packet for %s lost", h.Name)
			continue
		}
		r.magic(h)
	}
	return nil
}

func (r *machines) magic(h *host) {
	switch {
	case r.net.cut || h.partitioned || h.neverWakes:
		r.note("wake", h.Name, "", "magic packet for %s not heard", h.Name)
	case h.wolLost > 0:
		h.wolLost--
		r.note("wake", h.Name, "", "magic packet for %s lost", h.Name)
	case h.state == Suspended:
		r.life.rise(h, Waking, r.spec.Times.RealWake)
	case h.state == Off:
		r.life.rise(h, Booting, r.spec.Times.RealStart)
	}
}

// RestartHypervisor restarts the virtualization software; guests run on.
func (r *machines) RestartHypervisor(ctx context.Context, real netip.Addr) error {
	return sayHost(r.restartHypervisor(ctx, real), "restart the hypervisor of", real)
}

func (r *machines) restartHypervisor(ctx context.Context, real netip.Addr) error {
	ask := func(do func(*host)) error {
		r.lock()
		h := r.hosts[real]
		if h == nil {
			r.unlock()
			return fmt.Errorf("no real server %s", real)
		}
		if !r.net.answersPing(h) {
			r.unlock()
			return r.hang(ctx, cluster.ErrHostSilent)
		}
		do(h)
		r.unlock()
		return nil
	}
	if err := ask(r.net.heard); err != nil {
		return err
	}
	if err := r.wait(ctx, r.spec.Times.RestartHypervisor, cluster.ErrHostSilent); err != nil {
		return err
	}
	return ask(func(h *host) { h.hypervisor, h.starts, r.dirty = running, h.starts+1, true })
}

// Migrate moves a running guest, VIPs and all.
func (hv *hypervisors) Migrate(ctx context.Context, g cluster.Guest, to netip.Addr) error {
	hv.judge.blameSleeping("migrate", g.Host, to)
	err := hv.operate(ctx, g, func(h *host) (operation, error) {
		i, dst := h.on[g.Host], hv.hosts[to]
		switch {
		case i == nil || i.state != cluster.GuestRunning:
			return operation{}, fmt.Errorf("it is %s", hv.stateOn(h, g.Host))
		case dst == nil || dst == h:
			return operation{}, fmt.Errorf("no other real server %s", to)
		case dst.silent:
			return operation{guest: i, takes: hv.spec.Times.Disconnected, finish: func() error { return cluster.ErrHostSilent }}, nil
		case i.failMigrate > 0:
			i.failMigrate--
			return operation{guest: i, takes: hv.spec.Times.Migrate, finish: func() error { return fmt.Errorf("migration failed") }}, nil
		}
		life := dst.life
		return operation{guest: i, takes: hv.spec.Times.Migrate, finish: func() error { return hv.moved(i, dst, life) }}, nil
	})
	return say(err, "migrate", g)
}

func (hv *hypervisors) moved(i *instance, dst *host, life int) error {
	o := dst.on[i.Host]
	switch {
	case i.state != cluster.GuestRunning || i.at.on[i.Host] != i:
		return fmt.Errorf("it is %s", i.state)
	case dst.life != life || !dst.up():
		return fmt.Errorf("the destination was lost")
	case o != nil && o.live():
		return fmt.Errorf("it is %s on the destination", o.state)
	}
	src := i.at
	src.drop(i.Host)
	if i.Home == src.IP {
		newInstance(i.guest, src)
	}
	i.at, i.cut, i.linkDown, dst.warm[i.Kind] = dst, false, false, true
	dst.put(i)
	for v, hold := range i.vips {
		i.vips[v] = vipHold{since: hold.since, announced: hv.now}
	}
	hv.note("migrated", dst.Name, i.Host, "%s migrated from %s to %s", i.Host, src.Name, dst.Name)
	hv.dirty = true
	return nil
}

// SetLink cuts a guest off the network, or reconnects it, from outside.
func (hv *hypervisors) SetLink(ctx context.Context, g cluster.Guest, up bool) error {
	set := func(h *host) error {
		i := h.on[g.Host]
		if i == nil || !i.live() {
			return fmt.Errorf("it is %s", hv.stateOn(h, g.Host))
		}
		if i.linkDown == up {
			if !up {
				hv.harms.cutsOff(i, HarmCutOff)
			}
			i.linkDown, hv.dirty = !up, true
			hv.note("link", h.Name, i.Host, "link of %s up: %t", i.Host, up)
		}
		return nil
	}
	return say(hv.change(ctx, g, hv.spec.Times.SetLink, set), "set the link of", g)
}
