package world

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/sim/packet"
)

// Reports are what the hypervisors tell the management server by themselves.
type Reports struct {
	*World
	net  *Network
	subs map[*subscriber]struct{}
}

// NewReports has no reader yet.
func NewReports(w *World, n *Network) *Reports {
	return &Reports{World: w, net: n, subs: map[*subscriber]struct{}{}}
}

// subscriber is one reader of a host's events.
type subscriber struct {
	real netip.Addr
	ch   chan cluster.Event
}

// EventBuffer is how many events wait for a slow reader before the oldest are lost.
const EventBuffer = 1024

// Subscribe streams what real's hypervisor reports until ctx ends.
func (r *Reports) Subscribe(ctx context.Context, real netip.Addr) (<-chan cluster.Event, error) {
	r.Lock()
	defer r.Unlock()
	h := r.Hosts[real]
	if h == nil {
		return nil, fmt.Errorf("cannot watch %s: no such real server", real)
	}
	s := &subscriber{real: real, ch: make(chan cluster.Event, EventBuffer)}
	r.subs[s] = struct{}{}
	if h.Silent {
		r.disconnect(h)
	}
	context.AfterFunc(ctx, func() {
		r.Lock()
		defer r.Unlock()
		delete(r.subs, s)
		close(s.ch)
	})
	return s.ch, nil
}

// Publish reports an event d from now, if the connection stands then.
func (r *Reports) Publish(h *Host, guest string, kind cluster.EventKind, d time.Duration) {
	send := func() {
		if !h.Silent {
			r.send(cluster.Event{Real: h.IP, Host: guest, Kind: kind, At: r.Now})
		}
	}
	if at := r.arrival(h, d); at.After(r.Now) {
		r.At(at, send)
		return
	}
	send()
}

// arrival is when a report that h makes d from now is heard: a connection keeps
// the order, so one that has to be sent again holds up those behind it.
func (r *Reports) arrival(h *Host, d time.Duration) time.Time {
	p := r.net.ToHypervisor(h)
	at := r.Now.Add(d)
	if p == (packet.Path{}) {
		return at
	}
	if at = at.Add(p.Late(r.Luck("event ", h.Name))); at.Before(h.reported) {
		at = h.reported
	}
	h.reported = at
	return at
}

func (r *Reports) disconnect(h *Host) {
	since := h.Since
	r.After(r.Spec.Times.Disconnected, func() {
		if h.Silent && h.Since.Equal(since) {
			r.send(cluster.Event{Real: h.IP, Kind: cluster.EventDisconnected, At: r.Now})
		}
	})
}

func (r *Reports) send(e cluster.Event) {
	for s := range r.subs {
		for sent := s.real != e.Real; !sent; {
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

// Settle finds the hosts that fall silent, and those that answer again.
func (r *Reports) Settle() {
	for _, h := range r.Order {
		silent := !r.net.AnswersPing(h) || h.Hypervisor != Running
		if silent == h.Silent {
			continue
		}
		brief := h.Answered.IsZero() || r.Now.Sub(h.Answered) < r.Spec.StripDeadline
		if silent && (h.Since.IsZero() || !brief) { // who answered too briefly to be stripped was silent all along
			h.Since = r.Now
		}
		h.Silent, h.Answered = silent, time.Time{}
		if silent {
			r.disconnect(h)
		}
	}
}
