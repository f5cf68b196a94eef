package sim

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"pss-msbs/pkg/cluster"
)

// answer is what becomes of a probe.
type answer struct {
	given   bool          // else: silence
	takes   time.Duration // until it is given
	after   *stall        // who is asked is held: it is asked again once it is not
	refused bool          // by the machine, for its program
}

// probe waits for the answer to a question; where none comes, as long as the caller may.
func (m *Model) probe(ctx context.Context, ask func() answer) error {
	limit, cancel := m.patient(ctx)
	defer cancel()
	a := m.asked(ask)
	for a.after != nil {
		if err := m.outlast(limit, a.after, cluster.ErrNoAnswer); err != nil {
			return err
		}
		a = m.asked(ask)
	}
	if !a.given {
		return m.hang(limit, cluster.ErrNoAnswer)
	}
	if err := m.wait(limit, a.takes, cluster.ErrNoAnswer); err != nil {
		return err
	}
	if a.refused {
		return cluster.ErrRefused
	}
	return nil
}

func (m *Model) asked(ask func() answer) answer {
	m.lock()
	defer m.unlock()
	return ask()
}

// Ping is nil when ip answers an echo request.
func (m *Model) Ping(ctx context.Context, ip netip.Addr) error {
	if err := m.probe(ctx, func() answer { return m.pinged(ip) }); err != nil {
		return fmt.Errorf("cannot ping %s: %w", ip, err)
	}
	return nil
}

// pinged is the answer to an echo request. Held: m.mu, also below.
func (m *Model) pinged(ip netip.Addr) answer {
	if h := m.hosts[ip]; h != nil {
		if !m.answersPing(h) {
			return answer{}
		}
		return m.echo(h, ip, m.toHost(h), 0)
	}
	i, held := m.asks(ip)
	switch {
	case held != nil:
		return answer{after: held}
	case i != nil:
		return m.echo(i.at, ip, m.toGuest(i), m.pingSlow(i))
	case !m.cut && slices.Contains(m.spec.References, ip):
		return m.echo(nil, ip, m.toReference(ip), 0)
	}
	return answer{}
}

// echo sends an echo request on a path; h hears it, where it is not nil.
func (m *Model) echo(h *host, ip netip.Addr, p Path, slow time.Duration) answer {
	rtt := time.Duration(0)
	if p != (Path{}) {
		var lost bool
		if rtt, lost = p.Ping(m.luck("ping ", ip.String())); lost {
			return answer{}
		}
	}
	if h != nil {
		m.heard(h)
	}
	return answer{given: true, takes: m.spec.Times.Ping + rtt + slow}
}

// asks is who answers the management server at ip, or what holds who would.
func (m *Model) asks(ip netip.Addr) (*instance, *stall) {
	if i := m.answerer(ip, fromManagement); i != nil {
		return i, nil
	}
	for _, h := range m.order {
		for _, i := range h.inOrder() {
			if _, has := i.vips[ip]; (has || i.IP == ip) && i.stall != nil && m.plugged(i, fromManagement) {
				return nil, i.stall
			}
		}
	}
	return nil, nil
}

// Greet is nil when daemon answers its protocol at ip.
func (m *Model) Greet(ctx context.Context, ip netip.Addr, daemon string) error {
	if err := m.probe(ctx, func() answer { return m.greeted(ip, daemon) }); err != nil {
		return fmt.Errorf("cannot greet %s at %s: %w", daemon, ip, err)
	}
	return nil
}

// greeted is what a service program says to who connects to it: nothing, where it
// is frozen.
func (m *Model) greeted(ip netip.Addr, daemon string) answer {
	i, held := m.asks(ip)
	if i == nil {
		return answer{after: held}
	}
	if i.IP == ip {
		m.record.asked.note(AskedGreet, i.Host, m.now)
	}
	m.heard(i.at)
	luck, p := m.luck("greet ", ip.String(), " ", daemon), m.toGuest(i)
	a := answer{given: true, takes: m.spec.Times.Greet + p.Connect(luck)}
	switch i.daemons[daemon] {
	case stopped, "":
		a.refused = true
		return a
	case frozen:
		return answer{}
	}
	a.takes += p.Exchange(luck, 1) + m.greeting(i, luck)
	return a
}

// A question by ARP is repeated until somebody answers.
const (
	arpTries = 4
	arpAgain = 150 * ms
)

// WhoHas returns the MAC address of everybody who answers ARP for ip.
func (m *Model) WhoHas(ctx context.Context, ip netip.Addr) ([]cluster.MAC, error) {
	m.lock()
	macs, takes := m.claims(ip)
	m.unlock()
	if err := m.wait(ctx, takes, cluster.ErrNoAnswer); err != nil {
		return nil, fmt.Errorf("cannot ask who has %s: %w", ip, err)
	}
	return macs, nil
}

// claims are the answers to the first question that is answered at all; who did
// not hear that one is not heard.
func (m *Model) claims(ip netip.Addr) (macs []cluster.MAC, takes time.Duration) {
	for n := range time.Duration(arpTries) {
		takes = n*arpAgain + m.spec.Times.ARP
		claim := func(mac cluster.MAC, p Path) {
			if rtt, lost := p.Ping(m.luck("arp ", ip.String(), mac.String())); !lost {
				macs, takes = append(macs, mac), max(takes, n*arpAgain+m.spec.Times.ARP+rtt)
			}
		}
		if h := m.hosts[ip]; h != nil && m.answersPing(h) {
			claim(h.MAC, m.toHost(h))
		}
		for _, i := range m.answering(ip, fromManagement) {
			claim(i.mac, m.toGuest(i))
		}
		if len(macs) > 0 {
			return macs, takes
		}
	}
	return nil, m.spec.Times.ARPTimeout
}
