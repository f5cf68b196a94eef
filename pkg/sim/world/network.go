package world

import (
	"fmt"
	"iter"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/sim/packet"
)

// Network says who reaches whom, and what happens to packets on the way.
type Network struct {
	*World
	Cut     bool                       // the management server's own network is gone
	holders map[netip.Addr][]*Instance // every guest with the VIP configured, reachable or not
	Held    []netip.Addr               // its keys in order

	// The faults of paths under way, by part. A path is made of its parts: the management
	// server's own link, the host's, the guest's or the hypervisor connection's own.
	bad map[string][]*packet.Path
}

// NewNetwork is one without faults.
func NewNetwork(w *World) *Network {
	return &Network{World: w, holders: map[netip.Addr][]*Instance{}, bad: map[string][]*packet.Path{}}
}

// View is from where somebody looks at the network.
type View int

// The views.
const (
	FromManagement View = iota
	FromClients
)

// Path reports whether packets reach a host's bridge. Held: the lock, also below.
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

// AnswersPing reports whether the management server hears a host.
func (n *Network) AnswersPing(h *Host) bool { return h.Up() && n.Path(h, FromManagement) }

// Connected reports whether the guest is on the network and would answer ARP.
func (n *Network) Connected(i *Instance, v View) bool {
	return i.Stall == nil && n.plugged(i, v)
}

// plugged is Connected for a guest that its hypervisor may hold at the moment:
// what comes in waits for it.
func (n *Network) plugged(i *Instance, v View) bool {
	return i.State == cluster.GuestRunning && !i.Frozen && !i.LinkDown && !i.Cut && i.At.Up() && n.Path(i.At, v)
}

// those are who answers for ip, as own address or VIP.
func (n *Network) those(ip netip.Addr, v View) iter.Seq[*Instance] {
	all := slices.Values(n.holders[ip])
	if g := n.byIP[ip]; g != nil {
		all = n.Of(g.Host)
	}
	return func(yield func(*Instance) bool) {
		for i := range all {
			if n.Connected(i, v) && !yield(i) {
				return
			}
		}
	}
}

// Answering returns who answers for ip, the last to announce first.
func (n *Network) Answering(ip netip.Addr, v View) []*Instance {
	return slices.SortedStableFunc(n.those(ip, v), func(a, b *Instance) int { return b.Holds[ip].Announced.Compare(a.Holds[ip].Announced) })
}

// Answerer is the first of those who answer for ip, or nil.
func (n *Network) Answerer(ip netip.Addr, v View) (first *Instance) {
	for i := range n.those(ip, v) {
		if first == nil || i.Holds[ip].Announced.After(first.Holds[ip].Announced) {
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
	for i := range n.Everywhere {
		if _, has := i.Holds[ip]; (has || i.IP == ip) && i.Stall != nil && n.plugged(i, FromManagement) {
			return nil, i.Stall
		}
	}
	return nil, nil
}

// LiveOf is where a guest lives; on two hosts, the one that clients reach.
func (n *Network) LiveOf(name string) *Instance {
	var found *Instance
	for i := range n.Of(name) {
		if i.Live() && (found == nil || n.Connected(i, FromClients)) {
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
	for i := range n.Everywhere {
		for v := range i.Holds {
			n.holders[v] = append(n.holders[v], i)
		}
	}
	if len(n.Held) < len(n.holders) {
		n.Held = slices.SortedFunc(maps.Keys(n.holders), netip.Addr.Compare)
	}
}

// The parts of paths that have no name of their own.
const (
	PartManagement = "management"
	partReferences = "references"
	partHypervisor = "hypervisor:" // and the real server's name
)

// through is the path through parts.
func (n *Network) through(parts ...string) packet.Path {
	p := n.Spec.Path
	if len(n.Spec.Paths)+len(n.bad) > 0 {
		for _, part := range parts {
			p = p.Then(n.part(part))
		}
	}
	return p
}

func (n *Network) part(part string) packet.Path {
	p := n.Spec.Paths[part]
	for _, bad := range n.bad[part] {
		p = p.Then(*bad)
	}
	return p
}

// ToHost is the path to a real server; the management server is at no distance.
func (n *Network) ToHost(h *Host) packet.Path {
	if h.Management {
		return packet.Path{}
	}
	return n.through(PartManagement, h.Name)
}

// ToGuest is the path to a guest where it is.
func (n *Network) ToGuest(i *Instance) packet.Path { return n.ToHost(i.At).Then(n.part(i.Host)) }

// ToHypervisor is the path of a real server's hypervisor connection.
func (n *Network) ToHypervisor(h *Host) packet.Path {
	if h.Management {
		return packet.Path{}
	}
	return n.ToHost(h).Then(n.part(partHypervisor + h.Name))
}

// ToReference is the path to a network reference.
func (n *Network) ToReference(ip netip.Addr) packet.Path {
	return n.through(PartManagement, partReferences, ip.String())
}

// partOf is the part that a fault's target names.
func (n *Network) partOf(target string) (string, error) {
	name, hypervisor := strings.CutPrefix(target, partHypervisor)
	h := n.HostNamed(name)
	switch {
	case h != nil && hypervisor:
		return partHypervisor + h.Name, nil
	case h != nil:
		return h.Name, nil
	case hypervisor:
		return "", fmt.Errorf("no such real server")
	case n.Servers[name] != nil, name == PartManagement, name == partReferences:
		return name, nil
	}
	if ip, err := netip.ParseAddr(name); err == nil && slices.Contains(n.Spec.References, ip) {
		return ip.String(), nil
	}
	return "", fmt.Errorf("no such target")
}

// Worsen adds p to the path of target for d; 0: until it is healed.
func (n *Network) Worsen(target string, p packet.Path, d time.Duration) error {
	part, err := n.partOf(target)
	if err != nil {
		return err
	}
	if !p.Valid() || p == (packet.Path{}) {
		return fmt.Errorf("want a loss of 0 to 1, a delay or jitter")
	}
	n.bad[part] = append(n.bad[part], &p)
	if d > 0 {
		n.After(d, func() { n.mend(part, &p) })
	}
	return nil
}

// Heal ends all faults of the paths of target, and returns the part that it names.
func (n *Network) Heal(target string) (part string, err error) {
	if part, err = n.partOf(target); err == nil {
		n.mend(part, nil)
		n.mend(partHypervisor+part, nil) // where it is a real server
	}
	return part, err
}

// mend ends one fault of a part, or all of them: nil.
func (n *Network) mend(part string, which *packet.Path) {
	left := slices.DeleteFunc(slices.Clone(n.bad[part]), func(p *packet.Path) bool { return which == nil || p == which })
	if len(left) < len(n.bad[part]) {
		if n.bad[part], n.Dirty = left, true; len(left) == 0 {
			delete(n.bad, part)
		}
		n.Note("heal", "", part, "path of %s", part)
	}
}
