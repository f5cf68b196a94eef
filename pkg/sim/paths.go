package sim

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"time"
)

// badPath is one fault of a path.
type badPath struct{ Path }

// The parts of paths that have no name of their own.
const (
	partManagement = "management"
	partReferences = "references"
	partHypervisor = "hypervisor:" // and the real server's name
)

// lots decide what happens to packets, and how long the slow take. A lot depends
// on the seed, the kind of question and the instant alone, not on who came first
// within an instant, so that one run is like another.
type lots struct {
	seed  uint64
	start time.Time
	at    time.Time         // of the last draws
	drawn map[uint64]uint64 // by kind
}

func newLots(seed uint64, start time.Time) lots {
	return lots{seed: seed, start: start, drawn: map[uint64]uint64{}}
}

// draw is the next lot of a kind, named by words, at an instant.
func (l *lots) draw(now time.Time, words []string) *rand.Rand {
	if !l.at.Equal(now) {
		l.at = now
		clear(l.drawn)
	}
	kind := uint64(fnvBasis)
	for _, w := range words {
		for i := range len(w) {
			kind = (kind ^ uint64(w[i])) * fnvPrime
		}
	}
	n := l.drawn[kind]
	l.drawn[kind]++
	return rand.New(rand.NewPCG(l.seed, mixed(hashed(hashed(kind, uint64(now.Sub(l.start))), n))))
}

// luck is where what happens to the next packet of a kind comes from. Held: mu, also below.
func (w *world) luck(words ...string) *rand.Rand { return w.lots.draw(w.now, words) }

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
func (n *network) through(parts ...string) Path {
	p := n.spec.Path
	if n.clean() {
		return p
	}
	for _, part := range parts {
		p = p.Then(n.part(part))
	}
	return p
}

// clean reports whether no part has a path of its own.
func (n *network) clean() bool { return len(n.spec.Paths)+len(n.bad) == 0 }

func (n *network) part(part string) Path {
	p := n.spec.Paths[part]
	for _, bad := range n.bad[part] {
		p = p.Then(bad.Path)
	}
	return p
}

// toHost is the path to a real server; the management server is at no distance.
func (n *network) toHost(h *host) Path {
	if h.management {
		return Path{}
	}
	return n.through(partManagement, h.Name)
}

// toGuest is the path to a guest where it is.
func (n *network) toGuest(i *instance) Path {
	p := n.toHost(i.at)
	if n.clean() {
		return p
	}
	return p.Then(n.part(i.Host))
}

// toHypervisor is the path of a real server's hypervisor connection.
func (n *network) toHypervisor(h *host) Path {
	switch {
	case h.management:
		return Path{}
	case n.clean():
		return n.spec.Path
	}
	return n.toHost(h).Then(n.part(partHypervisor + h.Name))
}

// toReference is the path to a network reference.
func (n *network) toReference(ip netip.Addr) Path {
	if n.clean() {
		return n.spec.Path
	}
	return n.through(partManagement, partReferences, ip.String())
}

// partOf is the part that a fault's target names.
func (n *network) partOf(target string) (string, error) {
	name, hypervisor := target, ""
	if len(target) > len(partHypervisor) && target[:len(partHypervisor)] == partHypervisor {
		name, hypervisor = target[len(partHypervisor):], partHypervisor
	}
	h := n.hostNamed(name)
	switch {
	case h != nil:
		return hypervisor + h.Name, nil
	case hypervisor != "":
		return "", fmt.Errorf("no such real server")
	case n.guests[name] != nil, name == partManagement, name == partReferences:
		return name, nil
	}
	if ip, err := netip.ParseAddr(name); err == nil {
		for _, r := range n.spec.References {
			if r == ip {
				return ip.String(), nil
			}
		}
	}
	return "", fmt.Errorf("no such target")
}

// worsen adds p to the path of target for d; 0: until it is healed.
func (n *network) worsen(target string, p Path, d time.Duration) error {
	part, err := n.partOf(target)
	if err != nil {
		return err
	}
	if !p.valid() || p == (Path{}) {
		return fmt.Errorf("want a loss of 0 to 1, a delay or jitter")
	}
	bad := &badPath{p}
	n.bad[part] = append(n.bad[part], bad)
	if d > 0 {
		n.after(d, func() { n.mend(part, bad) })
	}
	return nil
}

// mend ends one fault of a part, or all of them: nil.
func (n *network) mend(part string, which *badPath) {
	var left []*badPath
	for _, bad := range n.bad[part] {
		if which != nil && bad != which {
			left = append(left, bad)
		}
	}
	if len(left) < len(n.bad[part]) {
		if n.bad[part], n.dirty = left, true; len(left) == 0 {
			delete(n.bad, part)
		}
		n.note("heal", "", part, "path of %s", part)
	}
}
