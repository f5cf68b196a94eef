package sim

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"pss-msbs/pkg/cluster"
)

// view is from where somebody looks at the network.
type view int

const (
	fromManagement view = iota
	fromClients
)

// path reports whether packets reach a host's bridge. Held: m.mu, also below.
func (m *Model) path(h *host, v view) bool {
	switch {
	case h.management:
		return v == fromManagement || !m.cut
	case h.partitioned:
		return v == fromClients && m.spec.PartitionSparesClients
	case v == fromManagement:
		return !m.cut
	}
	return true
}

func (m *Model) answersPing(h *host) bool { return h.up() && m.path(h, fromManagement) }

// connected reports whether the guest is on the network and would answer ARP.
func (m *Model) connected(i *instance, v view) bool {
	return i.stall == nil && m.plugged(i, v)
}

// plugged is connected for a guest that its hypervisor may hold at the moment:
// what comes in waits for it.
func (m *Model) plugged(i *instance, v view) bool {
	return i.state == cluster.GuestRunning && !i.frozen && !i.linkDown && !i.cut && i.at.up() && m.path(i.at, v)
}

// answering returns who answers for ip, as own address or VIP, the last to announce first.
func (m *Model) answering(ip netip.Addr, v view) []*instance {
	var out []*instance
	if g := m.byIP[ip]; g != nil {
		for _, h := range m.order {
			if i := h.on[g.Host]; i != nil && m.connected(i, v) {
				out = append(out, i)
			}
		}
		return out
	}
	for _, i := range m.holders[ip] {
		if m.connected(i, v) {
			out = append(out, i)
		}
	}
	slices.SortStableFunc(out, func(a, b *instance) int { return b.vips[ip].announced.Compare(a.vips[ip].announced) })
	return out
}

// answerer is the first of those who answer for ip, or nil.
func (m *Model) answerer(ip netip.Addr, v view) (first *instance) {
	if g := m.byIP[ip]; g != nil {
		for _, h := range m.order {
			if i := h.on[g.Host]; i != nil && m.connected(i, v) {
				return i
			}
		}
		return nil
	}
	for _, i := range m.holders[ip] {
		if m.connected(i, v) && (first == nil || i.vips[ip].announced.After(first.vips[ip].announced)) {
			first = i
		}
	}
	return first
}

// heard notes that a host answered the management server: while its hypervisor
// does not, nobody can strip it.
func (m *Model) heard(h *host) {
	if !h.silent && h.answered.IsZero() && h.hypervisor == running {
		h.answered, m.dirty = m.now, true
	}
}

// Accesses are the TCP SYNs to each VIP since the fleet began.
func (m *Model) Accesses(ctx context.Context) (map[netip.Addr]uint64, error) {
	m.lock()
	defer m.unlock()
	if m.spec.Balancer.Off {
		return nil, fmt.Errorf("cannot count accesses: no load balancer")
	}
	return maps.Clone(m.lb.accesses()), ctx.Err()
}

// subscriber is one reader of a host's events.
type subscriber struct {
	real netip.Addr
	ch   chan cluster.Event
}

// eventBuffer is how many events wait for a slow reader before the oldest are lost.
const eventBuffer = 1024

// Events streams what real's hypervisor reports until ctx ends. While the host
// is silent reports are lost; the silence itself is one.
func (m *Model) Events(ctx context.Context, real netip.Addr) (<-chan cluster.Event, error) {
	m.lock()
	defer m.unlock()
	h := m.hosts[real]
	if h == nil {
		return nil, fmt.Errorf("cannot watch %s: no such real server", real)
	}
	s := &subscriber{real: real, ch: make(chan cluster.Event, eventBuffer)}
	m.subs[s] = struct{}{}
	if h.silent {
		m.disconnect(h)
	}
	context.AfterFunc(ctx, func() {
		m.lock()
		defer m.unlock()
		delete(m.subs, s)
		close(s.ch)
	})
	return s.ch, nil
}

// publish reports an event d from now, if the connection stands then.
func (m *Model) publish(h *host, guest string, kind cluster.EventKind, d time.Duration) {
	send := func() {
		if !h.silent {
			m.send(cluster.Event{Real: h.IP, Host: guest, Kind: kind, At: m.now})
		}
	}
	if at := m.arrival(h, d); at.After(m.now) {
		m.at(at, send)
		return
	}
	send()
}

// arrival is when a report that h makes d from now is heard: a connection keeps
// the order, so one that has to be sent again holds up those behind it.
func (m *Model) arrival(h *host, d time.Duration) time.Time {
	p := m.toHypervisor(h)
	at := m.now.Add(d)
	if p == (Path{}) {
		return at
	}
	if at = at.Add(p.late(m.luck("event ", h.Name))); at.Before(h.reported) {
		at = h.reported
	}
	h.reported = at
	return at
}

func (m *Model) disconnect(h *host) {
	since := h.since
	m.after(m.spec.Times.Disconnected, func() {
		if h.silent && h.since.Equal(since) {
			m.send(cluster.Event{Real: h.IP, Kind: cluster.EventDisconnected, At: m.now})
		}
	})
}

func (m *Model) send(e cluster.Event) {
	for s := range m.subs {
		if s.real != e.Real {
			continue
		}
		for sent := false; !sent; {
			select {
			case s.ch <- e:
				sent = true
			default:
				select {
				case <-s.ch:
				default:
				}
			}
		}
	}
}
