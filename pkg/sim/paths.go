package sim

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"time"
)

// paths are the faults of paths under way, and the luck of every packet. A path
// is made of its parts: the management server's own link, the host's, the
// guest's or the hypervisor connection's own.
type paths struct {
	bad map[string][]*badPath // by part

	at    time.Time         // of the last draws
	drawn map[uint64]uint64 // by kind
}

// badPath is one fault of a path.
type badPath struct{ Path }

// The parts of paths that have no name of their own.
const (
	partManagement = "management"
	partReferences = "references"
	partHypervisor = "hypervisor:" // and the real server's name
)

// luck is where what happens to the next packet of a kind, named by words, comes
// from. It depends on the seed, the kind and the instant alone, not on who came
// first within an instant, so that one run is like another. Held: m.mu, also below.
func (m *Model) luck(words ...string) *rand.Rand {
	p := &m.paths
	if p.drawn == nil {
		p.drawn = map[uint64]uint64{}
	}
	if !p.at.Equal(m.now) {
		p.at = m.now
		clear(p.drawn)
	}
	kind := uint64(fnvBasis)
	for _, w := range words {
		for i := range len(w) {
			kind = (kind ^ uint64(w[i])) * fnvPrime
		}
	}
	n := p.drawn[kind]
	p.drawn[kind]++
	return rand.New(rand.NewPCG(m.spec.Seed, mixed(hashed(hashed(kind, uint64(m.now.Sub(m.record.start))), n))))
}

// FNV-1a of 64 bits.
const (
	fnvBasis = 14695981039346656037
	fnvPrime = 1099511628211
)

// hashed is the hash h of what came before, and of v.
func hashed(h, v uint64) uint64 {
	for range 8 {
		h = (h ^ v&0xff) * fnvPrime
		v >>= 8
	}
	return h
}

// mixed spreads every bit of x over all (the end of MurmurHash3).
func mixed(x uint64) uint64 {
	x = (x ^ x>>33) * 0xff51afd7ed558ccd
	x = (x ^ x>>33) * 0xc4ceb9fe1a85ec53
	return x ^ x>>33
}

// through is the path through parts.
func (m *Model) through(parts ...string) Path {
	p := m.spec.Path
	if m.clean() {
		return p
	}
	for _, part := range parts {
		p = p.Then(m.part(part))
	}
	return p
}

// clean reports whether no part has a path of its own.
func (m *Model) clean() bool { return len(m.spec.Paths)+len(m.paths.bad) == 0 }

func (m *Model) part(part string) Path {
	p := m.spec.Paths[part]
	for _, bad := range m.paths.bad[part] {
		p = p.Then(bad.Path)
	}
	return p
}

// toHost is the path to a real server; the management server is at no distance.
func (m *Model) toHost(h *host) Path {
	if h.management {
		return Path{}
	}
	return m.through(partManagement, h.Name)
}

// toGuest is the path to a guest where it is.
func (m *Model) toGuest(i *instance) Path {
	p := m.toHost(i.at)
	if m.clean() {
		return p
	}
	return p.Then(m.part(i.Host))
}

// toHypervisor is the path of a real server's hypervisor connection.
func (m *Model) toHypervisor(h *host) Path {
	switch {
	case h.management:
		return Path{}
	case m.clean():
		return m.spec.Path
	}
	return m.toHost(h).Then(m.part(partHypervisor + h.Name))
}

// toReference is the path to a network reference.
func (m *Model) toReference(ip netip.Addr) Path {
	if m.clean() {
		return m.spec.Path
	}
	return m.through(partManagement, partReferences, ip.String())
}

// partOf is the part that a fault's target names.
func (m *Model) partOf(target string) (string, error) {
	name, hypervisor := target, ""
	if len(target) > len(partHypervisor) && target[:len(partHypervisor)] == partHypervisor {
		name, hypervisor = target[len(partHypervisor):], partHypervisor
	}
	h := m.hostNamed(name)
	switch {
	case h != nil:
		return hypervisor + h.Name, nil
	case hypervisor != "":
		return "", fmt.Errorf("no such real server")
	case m.guests[name] != nil, name == partManagement, name == partReferences:
		return name, nil
	}
	if ip, err := netip.ParseAddr(name); err == nil {
		for _, r := range m.spec.References {
			if r == ip {
				return ip.String(), nil
			}
		}
	}
	return "", fmt.Errorf("no such target")
}

// worsen adds p to the path of target for d; 0: until it is healed.
func (m *Model) worsen(target string, p Path, d time.Duration) error {
	part, err := m.partOf(target)
	if err != nil {
		return err
	}
	if !p.valid() || p == (Path{}) {
		return fmt.Errorf("want a loss of 0 to 1, a delay or jitter")
	}
	bad := &badPath{p}
	if m.paths.bad == nil {
		m.paths.bad = map[string][]*badPath{}
	}
	m.paths.bad[part] = append(m.paths.bad[part], bad)
	if d > 0 {
		m.after(d, func() { m.mend(part, bad) })
	}
	return nil
}

// mend ends one fault of a part, or all of them: nil.
func (m *Model) mend(part string, which *badPath) {
	var left []*badPath
	for _, bad := range m.paths.bad[part] {
		if which != nil && bad != which {
			left = append(left, bad)
		}
	}
	if len(left) < len(m.paths.bad[part]) {
		if m.paths.bad[part], m.dirty = left, true; len(left) == 0 {
			delete(m.paths.bad, part)
		}
		m.note("heal", nil, part, "path of %s", part)
	}
}
