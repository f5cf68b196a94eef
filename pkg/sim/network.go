package sim

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"pss-msbs/pkg/cluster"
)

// network says who reaches whom, and what happens to packets on the way.
type network struct {
	*world
	cut     bool                       // the management server's own network is gone
	holders map[netip.Addr][]*instance // every guest with the VIP configured, reachable or not
	held    []netip.Addr               // its keys in order

	// The faults of paths under way, by part. A path is made of its parts: the management
	// server's own link, the host's, the guest's or the hypervisor connection's own.
	bad map[string][]*badPath
}

func newNetwork(w *world) *network {
	return &network{world: w, holders: map[netip.Addr][]*instance{}, bad: map[string][]*badPath{}}
}

// view is from where somebody looks at the network.
type view int

const (
	fromManagement view = iota
	fromClients
)

// path reports whether packets reach a host's bridge. Held: m.mu, also below.
func (n *network) path(h *host, v view) bool {
	switch {
	case h.management:
		return v == fromManagement || !n.cut
	case h.partitioned:
		return v == fromClients && n.spec.PartitionSparesClients
	case v == fromManagement:
		return !n.cut
	}
	return true
}

func (n *network) answersPing(h *host) bool { return h.up() && n.path(h, fromManagement) }

// connected reports whether the guest is on the network and would answer ARP.
func (n *network) connected(i *instance, v view) bool {
	return i.stall == nil && n.plugged(i, v)
}

// plugged is connected for a guest that its hypervisor may hold at the moment:
// what comes in waits for it.
func (n *network) plugged(i *instance, v view) bool {
	return i.state == cluster.GuestRunning && !i.frozen && !i.linkDown && !i.cut && i.at.up() && n.path(i.at, v)
}

// answering returns who answers for ip, as own address or VIP, the last to announce first.
func (n *network) answering(ip netip.Addr, v view) []*instance {
	var out []*instance
	if g := n.byIP[ip]; g != nil {
		for _, h := range n.order {
			if i := h.on[g.Host]; i != nil && n.connected(i, v) {
				out = append(out, i)
			}
		}
		return out
	}
	for _, i := range n.holders[ip] {
		if n.connected(i, v) {
			out = append(out, i)
		}
	}
	slices.SortStableFunc(out, func(a, b *instance) int { return b.vips[ip].announced.Compare(a.vips[ip].announced) })
	return out
}

// answerer is the first of those who answer for ip, or nil.
func (n *network) answerer(ip netip.Addr, v view) (first *instance) {
	if g := n.byIP[ip]; g != nil {
		for _, h := range n.order {
			if i := h.on[g.Host]; i != nil && n.connected(i, v) {
				return i
			}
		}
		return nil
	}
	for _, i := range n.holders[ip] {
		if n.connected(i, v) && (first == nil || i.vips[ip].announced.After(first.vips[ip].announced)) {
			first = i
		}
	}
	return first
}

// heard notes that a host answered the management server: while its hypervisor
// does not, nobody can strip it.
func (n *network) heard(h *host) {
	if !h.silent && h.answered.IsZero() && h.hypervisor == running {
		h.answered, n.dirty = n.now, true
	}
}

// reports are what the hypervisors tell the management server by themselves.
type reports struct {
	*world
	net  *network
	subs map[*subscriber]struct{}
}

func newReports(w *world, n *network) *reports {
	return &reports{world: w, net: n, subs: map[*subscriber]struct{}{}}
}

// subscriber is one reader of a host's events.
type subscriber struct {
	real netip.Addr
	ch   chan cluster.Event
}

// eventBuffer is how many events wait for a slow reader before the oldest are lost.
const eventBuffer = 1024

// subscribe streams what real's hypervisor reports until ctx ends.
func (r *reports) subscribe(ctx context.Context, real netip.Addr) (<-chan cluster.Event, error) {
	r.lock()
	defer r.unlock()
	h := r.hosts[real]
	if h == nil {
		return nil, fmt.Errorf("cannot watch %s: no such real server", real)
	}
	s := &subscriber{real: real, ch: make(chan cluster.Event, eventBuffer)}
	r.subs[s] = struct{}{}
	if h.silent {
		r.disconnect(h)
	}
	context.AfterFunc(ctx, func() {
		r.lock()
		defer r.unlock()
		delete(r.subs, s)
		close(s.ch)
	})
	return s.ch, nil
}

// publish reports an event d from now, if the connection stands then.
func (r *reports) publish(h *host, guest string, kind cluster.EventKind, d time.Duration) {
	send := func() {
		if !h.silent {
			r.send(cluster.Event{Real: h.IP, Host: guest, Kind: kind, At: r.now})
		}
	}
	if at := r.arrival(h, d); at.After(r.now) {
		r.at(at, send)
		return
	}
	send()
}

// arrival is when a report that h makes d from now is heard: a connection keeps
// the order, so one that has to be sent again holds up those behind it.
func (r *reports) arrival(h *host, d time.Duration) time.Time {
	p := r.net.toHypervisor(h)
	at := r.now.Add(d)
	if p == (Path{}) {
		return at
	}
	if at = at.Add(p.late(r.luck("event ", h.Name))); at.Before(h.reported) {
		at = h.reported
	}
	h.reported = at
	return at
}

func (r *reports) disconnect(h *host) {
	since := h.since
	r.after(r.spec.Times.Disconnected, func() {
		if h.silent && h.since.Equal(since) {
			r.send(cluster.Event{Real: h.IP, Kind: cluster.EventDisconnected, At: r.now})
		}
	})
}

func (r *reports) send(e cluster.Event) {
	for s := range r.subs {
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
