package world

import (
	"fmt"
	"net/netip"
	"time"

	"pss-msbs/pkg/sim/packet"
)

// badPath is one fault of a path.
type badPath struct{ packet.Path }

// The parts of paths that have no name of their own.
const (
	PartManagement = "management"
	partReferences = "references"
	PartHypervisor = "hypervisor:" // and the real server's name
)

// through is the path through parts.
func (n *Network) through(parts ...string) packet.Path {
	p := n.Spec.Path
	if n.clean() {
		return p
	}
	for _, part := range parts {
		p = p.Then(n.part(part))
	}
	return p
}

// clean reports whether no part has a path of its own.
func (n *Network) clean() bool { return len(n.Spec.Paths)+len(n.bad) == 0 }

func (n *Network) part(part string) packet.Path {
	p := n.Spec.Paths[part]
	for _, bad := range n.bad[part] {
		p = p.Then(bad.Path)
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
func (n *Network) ToGuest(i *Instance) packet.Path {
	p := n.ToHost(i.At)
	if n.clean() {
		return p
	}
	return p.Then(n.part(i.Host))
}

// ToHypervisor is the path of a real server's hypervisor connection.
func (n *Network) ToHypervisor(h *Host) packet.Path {
	switch {
	case h.Management:
		return packet.Path{}
	case n.clean():
		return n.Spec.Path
	}
	return n.ToHost(h).Then(n.part(PartHypervisor + h.Name))
}

// ToReference is the path to a network reference.
func (n *Network) ToReference(ip netip.Addr) packet.Path {
	if n.clean() {
		return n.Spec.Path
	}
	return n.through(PartManagement, partReferences, ip.String())
}

// PartOf is the part that a fault's target names.
func (n *Network) PartOf(target string) (string, error) {
	name, hypervisor := target, ""
	if len(target) > len(PartHypervisor) && target[:len(PartHypervisor)] == PartHypervisor {
		name, hypervisor = target[len(PartHypervisor):], PartHypervisor
	}
	h := n.HostNamed(name)
	switch {
	case h != nil:
		return hypervisor + h.Name, nil
	case hypervisor != "":
		return "", fmt.Errorf("no such real server")
	case n.Servers[name] != nil, name == PartManagement, name == partReferences:
		return name, nil
	}
	if ip, err := netip.ParseAddr(name); err == nil {
		for _, r := range n.Spec.References {
			if r == ip {
				return ip.String(), nil
			}
		}
	}
	return "", fmt.Errorf("no such target")
}

// Worsen adds p to the path of target for d; 0: until it is healed.
func (n *Network) Worsen(target string, p packet.Path, d time.Duration) error {
	part, err := n.PartOf(target)
	if err != nil {
		return err
	}
	if !p.Valid() || p == (packet.Path{}) {
		return fmt.Errorf("want a loss of 0 to 1, a delay or jitter")
	}
	bad := &badPath{p}
	n.bad[part] = append(n.bad[part], bad)
	if d > 0 {
		n.After(d, func() { n.Mend(part, bad) })
	}
	return nil
}

// Mend ends one fault of a part, or all of them: nil.
func (n *Network) Mend(part string, which *badPath) {
	var left []*badPath
	for _, bad := range n.bad[part] {
		if which != nil && bad != which {
			left = append(left, bad)
		}
	}
	if len(left) < len(n.bad[part]) {
		if n.bad[part], n.Dirty = left, true; len(left) == 0 {
			delete(n.bad, part)
		}
		n.Note("heal", "", part, "path of %s", part)
	}
}
