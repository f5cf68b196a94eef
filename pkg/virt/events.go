//go:build libvirt_dlopen

package virt

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"libvirt.org/go/libvirt"

	"pss-msbs/pkg/cluster"
)

const (
	eventBuffer  = 64          // events kept for a reader that is busy; more are lost, and polling finds out
	reconnectGap = time.Second // between attempts to reach a hypervisor that is gone
)

// Libvirt leaves questions about a guest unanswered while it clears away what
// is left of it. What it reported just before counts for so long.
const deathCounts = 5 * time.Second

// news is what one hypervisor reports of its guests. All of its methods are
// quick: libvirt's one event loop calls them.
type news struct {
	real   netip.Addr
	mu     sync.Mutex
	guests map[string]guestNews
	subs   map[chan cluster.Event]struct{}
}

// guestNews is what is known of a guest from events alone.
type guestNews struct {
	rebooting bool               // its agent has not come back since it rebooted
	dead      cluster.GuestState // off or crashed, since
	since     time.Time
}

// note keeps a report and passes it on. A reader that is too busy misses it.
func (n *news) note(guest string, kind cluster.EventKind) {
	n.mu.Lock()
	defer n.mu.Unlock()
	now := time.Now()
	if n.guests == nil {
		n.guests = map[string]guestNews{}
	}
	switch kind {
	case cluster.EventRebooted:
		n.guests[guest] = guestNews{rebooting: true}
	case cluster.EventShutdown:
		n.guests[guest] = guestNews{dead: cluster.GuestOff, since: now}
	case cluster.EventCrashed:
		n.guests[guest] = guestNews{dead: cluster.GuestCrashed, since: now}
	case cluster.EventAgentUp, cluster.EventStarted, cluster.EventResumed:
		delete(n.guests, guest)
	}
	for ch := range n.subs {
		select {
		case ch <- cluster.Event{Real: n.real, Host: guest, Kind: kind, At: now}:
		default:
		}
	}
}

// forget is for a connection that is gone: who knows what happens meanwhile.
func (n *news) forget() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.guests = nil
}

// rebooting reports whether guest rebooted and its agent has not come back. Its
// old agent's channel stays open for about a second after a reset, so the
// channel alone does not tell.
func (n *news) rebooting(guest string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.guests[guest].rebooting
}

// died is what guest was reported to be moments ago, off or crashed, or empty.
func (n *news) died(guest string) cluster.GuestState {
	n.mu.Lock()
	defer n.mu.Unlock()
	if g := n.guests[guest]; time.Since(g.since) < deathCounts {
		return g.dead
	}
	return ""
}

func (n *news) subscribe(ch chan cluster.Event) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.subs == nil {
		n.subs = map[chan cluster.Event]struct{}{}
	}
	n.subs[ch] = struct{}{}
}

// end closes ch.
func (n *news) end(ch chan cluster.Event) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.subs, ch)
	close(ch)
}

// Events streams what the hypervisor of real reports of its guests, until ctx
// ends. A connection that is lost, or cannot be made, is one event; it is made
// again in the background.
func (d *Driver) Events(ctx context.Context, real netip.Addr) (<-chan cluster.Event, error) {
	ch := make(chan cluster.Event, eventBuffer)
	h := d.host(real)
	h.news.subscribe(ch)
	d.streams.Go(func() {
		defer h.news.end(ch)
		select {
		case <-ctx.Done():
		case <-d.ctx.Done():
		}
	})
	return ch, nil
}

// keep sees to it, until ctx ends, that there is a connection to hear news over.
func (d *Driver) keep(ctx context.Context, h *host) {
	told := false
	for {
		err := h.reports.stay(ctx, d.opt.CallTimeout)
		if ctx.Err() != nil {
			return
		}
		if errors.Is(err, errRefuse) && !told {
			h.news.note("", cluster.EventDisconnected) // of a lost one the listener has told
		}
		told = true
		select {
		case <-ctx.Done():
			return
		case <-time.After(reconnectGap):
		}
	}
}

// listener hears the news over one connection.
type listener struct {
	news *news
	c    *libvirt.Connect
	ids  []int
	off  atomic.Bool
}

// listen asks for news over c.
func (h *host) listen(c *libvirt.Connect, lost func()) (watcher, error) {
	l := &listener{news: &h.news, c: c}
	for _, register := range []func() (int, error){
		func() (int, error) { return c.DomainEventLifecycleRegister(nil, l.lifecycle) },
		func() (int, error) { return c.DomainEventAgentLifecycleRegister(nil, l.agent) },
		func() (int, error) { return c.DomainEventRebootRegister(nil, l.rebooted) },
	} {
		id, err := register()
		if err != nil {
			l.end()
			return nil, err
		}
		l.ids = append(l.ids, id)
	}
	_, err := whenClosed(c, func() {
		h.news.note("", cluster.EventDisconnected)
		lost()
		h.calls.loseAll()
	})
	if err == nil {
		err = c.SetKeepAlive(keepaliveInterval, keepaliveCount) // last, as a call must not meet it
	}
	if err != nil {
		l.end()
	}
	return l, err
}

func (l *listener) mute() {
	l.off.Store(true)
	l.news.forget()
}

func (l *listener) end() {
	_ = l.c.SetKeepAlive(0, 0) // ended before the calls below
	for _, id := range l.ids {
		_ = l.c.DomainEventDeregister(id) // fails on a lost connection, where there is nothing to end
	}
}

func (l *listener) note(dom *libvirt.Domain, kind cluster.EventKind) {
	if name, err := dom.GetName(); err == nil && !l.off.Load() { // it asks nobody
		l.news.note(name, kind)
	}
}

func (l *listener) rebooted(_ *libvirt.Connect, dom *libvirt.Domain) {
	l.note(dom, cluster.EventRebooted)
}

func (l *listener) agent(_ *libvirt.Connect, dom *libvirt.Domain, e *libvirt.DomainEventAgentLifecycle) {
	kind := cluster.EventAgentGone
	if e.State == libvirt.CONNECT_DOMAIN_EVENT_AGENT_LIFECYCLE_STATE_CONNECTED {
		kind = cluster.EventAgentUp
	}
	l.note(dom, kind)
}

func (l *listener) lifecycle(_ *libvirt.Connect, dom *libvirt.Domain, e *libvirt.DomainEventLifecycle) {
	if kind, ok := lifecycleKind(e); ok {
		l.note(dom, kind)
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
