package sim

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"pss-msbs/pkg/cluster"
)

// become changes a guest's state. Held: m.mu, for everything below that is no method of a driver.
func (m *Model) become(i *instance, s cluster.GuestState) {
	if i.state == s {
		return
	}
	m.note("guest", i.at, i.Host, "%s on %s %s", i.Host, i.at.Name, s)
	i.state, m.dirty = s, true
}

// boot loses what was run-time configuration and ends in booted after d.
func (m *Model) boot(i *instance, d time.Duration) {
	m.clear(i)
	m.become(i, cluster.GuestBooting)
	if i.failBoot > 0 {
		i.failBoot--
		i.bootHangs = true
		return
	}
	if i.at.taken {
		d *= crowdedBoot
	}
	life := i.life
	m.after(d, func() {
		if i.life == life && i.at.on[i.Host] == i {
			m.booted(i)
		}
	})
}

// booted is the end of a boot: the agent connects and the services answer. On
// a host that does not run at that instant it is put off until it does.
func (m *Model) booted(i *instance) {
	if !i.at.up() {
		i.bootLate = true
		return
	}
	i.bootLate, i.at.warm[i.Kind] = false, true
	i.startDaemons()
	m.become(i, cluster.GuestRunning)
	m.publish(i.at, i.Host, cluster.EventAgentUp, 0)
}

// clear forgets what a guest loses when it stops.
func (m *Model) clear(i *instance) {
	i.life++
	i.frozen, i.agentDead, i.staleClock, i.bootLate, i.seenUntil = false, false, false, false, time.Time{}
	i.agentHung, i.overloaded, i.loops, i.jamming, i.bootHangs = false, false, false, false, false
	m.letGo(i, i.stall)
	clear(i.vips)
	clear(i.daemons)
	m.dirty = true
}

// stop ends a guest, as off or crashed.
func (m *Model) stop(i *instance, s cluster.GuestState) {
	m.clear(i)
	i.linkDown = false
	m.become(i, s)
}

// forget removes a stopped guest from a host that it is not defined on.
func (m *Model) forget(i *instance) {
	if i.Home != i.at.IP && i.at.on[i.Host] == i {
		i.at.drop(i.Host)
	}
}

// turn changes a real server's state and keeps the power record.
func (m *Model) turn(h *host, s HostState) {
	if h.state == s {
		return
	}
	m.note("real", h, "", "%s %s", h.Name, s)
	h.state, m.dirty = s, true
}

// fall takes a real server and all that runs on it down.
func (m *Model) fall(h *host, s HostState) {
	h.life++
	clear(h.warm)
	h.taken = false
	for _, i := range h.inOrder() {
		m.stop(i, cluster.GuestOff)
		m.forget(i)
	}
	m.turn(h, s)
}

// rise brings a real server up d from now.
func (m *Model) rise(h *host, s HostState, d time.Duration) {
	h.life++
	m.turn(h, s)
	life := h.life
	m.after(d, func() {
		if h.life == life {
			m.awake(h, s == Waking)
		}
	})
}

// awake lets a real server run on; the clocks of the guests that slept with it are stale.
func (m *Model) awake(h *host, slept bool) {
	m.turn(h, Active)
	if !slept {
		h.hypervisor = running
	}
	for _, i := range h.inOrder() {
		if slept && i.state == cluster.GuestRunning {
			i.staleClock = true
		}
		if i.bootLate {
			m.booted(i)
		}
	}
}

// SuspendReal suspends a real server to memory and returns once it is silent.
func (m *Model) SuspendReal(ctx context.Context, real netip.Addr) error {
	var done chan error
	err := m.call(ctx, real, m.spec.Times.Hypervisor, func(h *host) error {
		if h.management {
			return fmt.Errorf("it is the management server")
		}
		if h.state == Suspending {
			return fmt.Errorf("it is being suspended")
		}
		m.turn(h, Suspending)
		m.blameBoots(h)
		done = m.launch(operation{on: h, takes: m.spec.Times.RealSuspend, finish: func() error { return m.asleep(h) }})
		return nil
	})
	if err == nil {
		select {
		case err = <-done:
		case <-ctx.Done():
			err = late(ctx, cluster.ErrHostSilent)
		case <-m.quit:
			err = errClosed
		}
	}
	return sayHost(err, "suspend", real)
}

func (m *Model) asleep(h *host) error {
	if h.state != Suspending {
		return errGone
	}
	if h.failSuspend > 0 {
		h.failSuspend--
		m.turn(h, Active)
		return fmt.Errorf("suspend failed")
	}
	m.blameSuspend(h)
	m.turn(h, Suspended)
	return nil
}

// WakeReal sends one magic packet. Like a real one it is not acknowledged.
func (m *Model) WakeReal(ctx context.Context, mac cluster.MAC) error {
	if err := m.wait(ctx, m.spec.Times.Ping, cluster.ErrNoAnswer); err != nil {
		return fmt.Errorf("cannot wake %s: %w", mac, err)
	}
	m.lock()
	defer m.unlock()
	for _, h := range m.order {
		if h.MAC != mac || h.management {
			continue
		}
		if isLost(m.luck("magic ", h.Name), m.toHost(h).LossOut) {
			m.note("wake", h, "", "magic packet for %s lost", h.Name)
			continue
		}
		m.magic(h)
	}
	return nil
}

func (m *Model) magic(h *host) {
	switch {
	case m.cut || h.partitioned || h.neverWakes:
		m.note("wake", h, "", "magic packet for %s not heard", h.Name)
	case h.wolLost > 0:
		h.wolLost--
		m.note("wake", h, "", "magic packet for %s lost", h.Name)
	case h.state == Suspended:
		m.rise(h, Waking, m.spec.Times.RealWake)
	case h.state == Off:
		m.rise(h, Booting, m.spec.Times.RealStart)
	}
}

// RestartHypervisor restarts the virtualization software; guests run on.
func (m *Model) RestartHypervisor(ctx context.Context, real netip.Addr) error {
	return sayHost(m.restartHypervisor(ctx, real), "restart the hypervisor of", real)
}

func (m *Model) restartHypervisor(ctx context.Context, real netip.Addr) error {
	ask := func(do func(*host)) error {
		m.lock()
		h := m.hosts[real]
		if h == nil {
			m.unlock()
			return fmt.Errorf("no real server %s", real)
		}
		if !m.answersPing(h) {
			m.unlock()
			return m.hang(ctx, cluster.ErrHostSilent)
		}
		do(h)
		m.unlock()
		return nil
	}
	if err := ask(m.heard); err != nil {
		return err
	}
	if err := m.wait(ctx, m.spec.Times.RestartHypervisor, cluster.ErrHostSilent); err != nil {
		return err
	}
	return ask(func(h *host) { h.hypervisor, h.starts, m.dirty = running, h.starts+1, true })
}

// Migrate moves a running guest, VIPs and all.
func (m *Model) Migrate(ctx context.Context, g cluster.Guest, to netip.Addr) error {
	m.blameSleeping("migrate", g.Host, to)
	err := m.operate(ctx, g, func(h *host) (operation, error) {
		i, dst := h.on[g.Host], m.hosts[to]
		switch {
		case i == nil || i.state != cluster.GuestRunning:
			return operation{}, fmt.Errorf("it is %s", m.stateOn(h, g.Host))
		case dst == nil || dst == h:
			return operation{}, fmt.Errorf("no other real server %s", to)
		case dst.silent:
			return operation{guest: i, takes: m.spec.Times.Disconnected, finish: func() error { return cluster.ErrHostSilent }}, nil
		case i.failMigrate > 0:
			i.failMigrate--
			return operation{guest: i, takes: m.spec.Times.Migrate, finish: func() error { return fmt.Errorf("migration failed") }}, nil
		}
		life := dst.life
		return operation{guest: i, takes: m.spec.Times.Migrate, finish: func() error { return m.moved(i, dst, life) }}, nil
	})
	return say(err, "migrate", g)
}

func (m *Model) moved(i *instance, dst *host, life int) error {
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
		i.vips[v] = vipHold{since: hold.since, announced: m.now}
	}
	m.note("migrated", dst, i.Host, "%s migrated from %s to %s", i.Host, src.Name, dst.Name)
	m.dirty = true
	return nil
}

// SetLink cuts a guest off the network, or reconnects it, from outside.
func (m *Model) SetLink(ctx context.Context, g cluster.Guest, up bool) error {
	set := func(h *host) error {
		i := h.on[g.Host]
		if i == nil || !i.live() {
			return fmt.Errorf("it is %s", m.stateOn(h, g.Host))
		}
		if i.linkDown == up {
			if !up {
				m.cutsOff(i, HarmCutOff)
			}
			i.linkDown, m.dirty = !up, true
			m.note("link", h, i.Host, "link of %s up: %t", i.Host, up)
		}
		return nil
	}
	return say(m.command(ctx, g, m.spec.Times.SetLink, set, set), "set the link of", g)
}
