package world

import (
	"maps"
	"net/netip"
	"slices"

	"pss-msbs/pkg/cluster"
)

// Network says who reaches whom, and what happens to packets on the way.
type Network struct {
	*World
	Cut     bool                       // the management server's own network is gone
	holders map[netip.Addr][]*Instance // every guest with the VIP configured, reachable or not
	Held    []netip.Addr               // its keys in order

	// The faults of paths under way, by part. A path is made of its parts: the management
	// server's own link, the host's, the guest's or the hypervisor connection's own.
	bad map[string][]*badPath
}

func NewNetwork(w *World) *Network {
	return &Network{World: w, holders: map[netip.Addr][]*Instance{}, bad: map[string][]*badPath{}}
}

// View is from where somebody looks at the network.
type View int

const (
	FromManagement View = iota
	FromClients
)

// Path reports whether packets reach a host's bridge. Held: m.mu, also below.
func (n *Network) Path(h *Host, v View) bool {
	switch {
	case h.Management:
		return v == FromManagement || !n.Cut
	case h.Partitioned:
		return v == FromClients && n.Spec.PartitionSparesClients
	case v == FromManagement:
		return !n.Cut
	}
	return true
}

func (n *Network) AnswersPing(h *Host) bool { return h.Up() && n.Path(h, FromManagement) }

// Connected reports whether the guest is on the network and would answer ARP.
func (n *Network) Connected(i *Instance, v View) bool {
	return i.Stall == nil && n.plugged(i, v)
}

// plugged is connected for a guest that its hypervisor may hold at the moment:
// what comes in waits for it.
func (n *Network) plugged(i *Instance, v View) bool {
	return i.State == cluster.GuestRunning && !i.Frozen && !i.LinkDown && !i.Cut && i.At.Up() && n.Path(i.At, v)
}

// Answering returns who answers for ip, as own address or VIP, the last to announce first.
func (n *Network) Answering(ip netip.Addr, v View) []*Instance {
	var out []*Instance
	if g := n.byIP[ip]; g != nil {
		for _, h := range n.Order {
			if i := h.On[g.Host]; i != nil && n.Connected(i, v) {
				out = append(out, i)
			}
		}
		return out
	}
	for _, i := range n.holders[ip] {
		if n.Connected(i, v) {
			out = append(out, i)
		}
	}
	slices.SortStableFunc(out, func(a, b *Instance) int { return b.Holds[ip].Announced.Compare(a.Holds[ip].Announced) })
	return out
}

// Answerer is the first of those who answer for ip, or nil.
func (n *Network) Answerer(ip netip.Addr, v View) (first *Instance) {
	if g := n.byIP[ip]; g != nil {
		for _, h := range n.Order {
			if i := h.On[g.Host]; i != nil && n.Connected(i, v) {
				return i
			}
		}
		return nil
	}
	for _, i := range n.holders[ip] {
		if n.Connected(i, v) && (first == nil || i.Holds[ip].Announced.After(first.Holds[ip].Announced)) {
			first = i
		}
	}
	return first
}

// Asks is who answers the management server at ip, or what holds who would.
func (n *Network) Asks(ip netip.Addr) (*Instance, *Stall) {
	if i := n.Answerer(ip, FromManagement); i != nil {
		return i, nil
	}
	for _, h := range n.Order {
		for _, i := range h.InOrder() {
			if _, has := i.Holds[ip]; (has || i.IP == ip) && i.Stall != nil && n.plugged(i, FromManagement) {
				return nil, i.Stall
			}
		}
	}
	return nil, nil
}

// LiveOf is where a guest lives; on two hosts, the one that clients reach.
func (n *Network) LiveOf(name string) *Instance {
	var found *Instance
	for _, h := range n.Order {
		if i := h.On[name]; i != nil && i.Live() && (found == nil || n.Connected(i, FromClients)) {
			found = i
		}
	}
	return found
}

// Heard notes that a host answered the management server: while its hypervisor
// does not, nobody can strip it.
func (n *Network) Heard(h *Host) {
	if !h.Silent && h.Answered.IsZero() && h.Hypervisor == Running {
		h.Answered, n.Dirty = n.Now, true
	}
}

// Settle finds every guest that has a VIP configured; a VIP once seen stays listed.
func (n *Network) Settle() {
	for v := range n.holders {
		n.holders[v] = n.holders[v][:0]
	}
	for _, h := range n.Order {
		for _, i := range h.InOrder() {
			for v := range i.Holds {
				n.holders[v] = append(n.holders[v], i)
			}
		}
	}
	if len(n.Held) < len(n.holders) {
		n.Held = slices.SortedFunc(maps.Keys(n.holders), netip.Addr.Compare)
	}
}
