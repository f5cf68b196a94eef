//go:build libvirt_dlopen

package virt

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"time"

	"libvirt.org/go/libvirt"

	"pss-msbs/pkg/cluster"
)

const (
	eventBuffer  = 64          // events kept for a reader that is busy; more are lost, and polling finds out
	reconnectGap = time.Second // between attempts to reach a hypervisor that is gone
)

// subscription is one stream of events. Libvirt may still call back while the
// stream ends.
type subscription struct {
	real netip.Addr
	mu   sync.Mutex
	ch   chan cluster.Event // nil when the stream has ended
}

// send never blocks: it runs in libvirt's event loop.
func (s *subscription) send(host string, kind cluster.EventKind) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ch == nil {
		return
	}
	select {
	case s.ch <- cluster.Event{Real: s.real, Host: host, Kind: kind, At: time.Now()}:
	default:
	}
}

func (s *subscription) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.ch)
	s.ch = nil
}

// Events streams what the hypervisor of real reports of its guests, until ctx
// ends. A connection that is lost, or cannot be made, is one event; it is made
// again in the background.
func (d *Driver) Events(ctx context.Context, real netip.Addr) (<-chan cluster.Event, error) {
	ch := make(chan cluster.Event, eventBuffer)
	s := &subscription{real: real, ch: ch}
	ctx, cancel := context.WithCancel(ctx)
	unhook := context.AfterFunc(d.ctx, cancel)
	d.streams.Go(func() {
		defer unhook()
		defer cancel()
		defer s.end()
		d.stream(ctx, s)
	})
	return ch, nil
}

func (d *Driver) stream(ctx context.Context, s *subscription) {
	told := false
	for ctx.Err() == nil {
		err := d.host(s.real).calls.stay(ctx, d.opt.CallTimeout, func(c *libvirt.Connect) (func(), error) {
			return subscribe(c, s)
		})
		if ctx.Err() != nil {
			return
		}
		if errors.Is(err, errLost) || !told {
			s.send("", cluster.EventDisconnected)
			told = true
		}
		select {
		case <-ctx.Done():
		case <-time.After(reconnectGap):
		}
	}
}

// subscribe asks for events and returns what ends them.
func subscribe(c *libvirt.Connect, s *subscription) (func(), error) {
	var ids []int
	end := func() {
		for _, id := range ids {
			_ = c.DomainEventDeregister(id) // fails on a lost connection, where there is nothing to end
		}
	}
	for _, register := range []func() (int, error){
		func() (int, error) { return c.DomainEventLifecycleRegister(nil, s.lifecycle) },
		func() (int, error) { return c.DomainEventAgentLifecycleRegister(nil, s.agent) },
		func() (int, error) { return c.DomainEventRebootRegister(nil, s.reboot) },
	} {
		id, err := register()
		if err != nil {
			end()
			return nil, err
		}
		ids = append(ids, id)
	}
	return end, nil
}

// sendOf sends an event about a domain.
func (s *subscription) sendOf(dom *libvirt.Domain, kind cluster.EventKind) {
	if name, err := dom.GetName(); err == nil { // it asks nobody
		s.send(name, kind)
	}
}

func (s *subscription) reboot(_ *libvirt.Connect, dom *libvirt.Domain) {
	s.sendOf(dom, cluster.EventRebooted)
}

func (s *subscription) agent(_ *libvirt.Connect, dom *libvirt.Domain, e *libvirt.DomainEventAgentLifecycle) {
	kind := cluster.EventAgentGone
	if e.State == libvirt.CONNECT_DOMAIN_EVENT_AGENT_LIFECYCLE_STATE_CONNECTED {
		kind = cluster.EventAgentUp
	}
	s.sendOf(dom, kind)
}

func (s *subscription) lifecycle(_ *libvirt.Connect, dom *libvirt.Domain, e *libvirt.DomainEventLifecycle) {
	if kind, ok := lifecycleKind(e); ok {
		s.sendOf(dom, kind)
	}
}

// lifecycleKind translates a lifecycle event; a guest that was saved or
// migrated away is no trouble and no event.
func lifecycleKind(e *libvirt.DomainEventLifecycle) (cluster.EventKind, bool) {
	switch e.Event {
	case libvirt.DOMAIN_EVENT_STARTED:
		return cluster.EventStarted, true
	case libvirt.DOMAIN_EVENT_SUSPENDED:
		return cluster.EventPaused, true
	case libvirt.DOMAIN_EVENT_RESUMED:
		return cluster.EventResumed, true
	case libvirt.DOMAIN_EVENT_SHUTDOWN:
		return cluster.EventShutdown, true
	case libvirt.DOMAIN_EVENT_CRASHED:
		return cluster.EventCrashed, true
	case libvirt.DOMAIN_EVENT_STOPPED:
		switch libvirt.DomainEventStoppedDetailType(e.Detail) {
		case libvirt.DOMAIN_EVENT_STOPPED_CRASHED, libvirt.DOMAIN_EVENT_STOPPED_FAILED:
			return cluster.EventCrashed, true
		case libvirt.DOMAIN_EVENT_STOPPED_SAVED, libvirt.DOMAIN_EVENT_STOPPED_MIGRATED:
			return "", false
		}
		return cluster.EventShutdown, true
	}
	return "", false
}
