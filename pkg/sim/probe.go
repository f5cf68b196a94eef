package sim

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"pss-msbs/pkg/cluster"
)

// probes are what monitors ask the network.
type probes struct {
	*world
	net  *network
	pace *pace
}

// answer is what becomes of a probe.
type answer struct {
	given   bool          // else: silence
	takes   time.Duration // until it is given
	after   *stall        // who is asked is held: it is asked again once it is not
	refused bool          // by the machine, for its program
}

// probe waits for the answer to a question; where none comes, as long as the caller may.
func (pr *probes) probe(ctx context.Context, ask func() answer) error {
	limit, cancel := pr.patient(ctx, pr.spec.Times.ProbeTimeout)
	defer cancel()
	a := pr.hear(ask)
	for a.after != nil {
		if err := pr.outlast(limit, a.after.over, cluster.ErrNoAnswer); err != nil {
			return err
		}
		a = pr.hear(ask)
	}
	if !a.given {
		return pr.hang(limit, cluster.ErrNoAnswer)
	}
	if err := pr.wait(limit, a.takes, cluster.ErrNoAnswer); err != nil {
		return err
	}
	if a.refused {
		return cluster.ErrRefused
	}
	return nil
}

func (pr *probes) hear(ask func() answer) answer {
	pr.lock()
	defer pr.unlock()
	return ask()
}

// Ping is nil when ip answers an echo request.
func (pr *probes) Ping(ctx context.Context, ip netip.Addr) error {
	if err := pr.probe(ctx, func() answer { return pr.pinged(ip) }); err != nil {
		return fmt.Errorf("cannot ping %s: %w", ip, err)
	}
	return nil
}

// pinged is the answer to an echo request. Held: m.mu, also below.
func (pr *probes) pinged(ip netip.Addr) answer {
	if h := pr.hosts[ip]; h != nil {
		if !pr.net.answersPing(h) {
			return answer{}
		}
		return pr.echo(h, ip, pr.net.toHost(h), 0)
	}
	i, held := pr.net.asks(ip)
	switch {
	case held != nil:
		return answer{after: held}
	case i != nil:
		return pr.echo(i.at, ip, pr.net.toGuest(i), pr.pace.pingSlow(i))
	case !pr.net.cut && slices.Contains(pr.spec.References, ip):
		return pr.echo(nil, ip, pr.net.toReference(ip), 0)
	}
	return answer{}
}

// echo sends an echo request on a path; h hears it, where it is not nil.
func (pr *probes) echo(h *host, ip netip.Addr, p Path, slow time.Duration) answer {
	rtt := time.Duration(0)
	if p != (Path{}) {
		var lost bool
		if rtt, lost = p.Ping(pr.luck("ping ", ip.String())); lost {
			return answer{}
		}
	}
	if h != nil {
		pr.net.heard(h)
	}
	return answer{given: true, takes: pr.spec.Times.Ping + rtt + slow}
}

// asks is who answers the management server at ip, or what holds who would.
func (n *network) asks(ip netip.Addr) (*instance, *stall) {
	if i := n.answerer(ip, fromManagement); i != nil {
		return i, nil
	}
	for _, h := range n.order {
		for _, i := range h.inOrder() {
			if _, has := i.vips[ip]; (has || i.IP == ip) && i.stall != nil && n.plugged(i, fromManagement) {
				return nil, i.stall
			}
		}
	}
	return nil, nil
}

// Greet is nil when daemon answers its protocol at ip.
func (pr *probes) Greet(ctx context.Context, ip netip.Addr, daemon string) error {
	if err := pr.probe(ctx, func() answer { return pr.greeted(ip, daemon) }); err != nil {
		return fmt.Errorf("cannot greet %s at %s: %w", daemon, ip, err)
	}
	return nil
}

// greeted is what a service program says to who connects to it: nothing, where it
// is frozen.
func (pr *probes) greeted(ip netip.Addr, daemon string) answer {
	i, held := pr.net.asks(ip)
	if i == nil {
		return answer{after: held}
	}
	if i.IP == ip {
		pr.asked.note(AskedGreet, i.Host, pr.now)
	}
	pr.net.heard(i.at)
	luck, p := pr.luck("greet ", ip.String(), " ", daemon), pr.net.toGuest(i)
	a := answer{given: true, takes: pr.spec.Times.Greet + p.Connect(luck)}
	switch i.daemons[daemon] {
	case stopped, "":
		a.refused = true
		return a
	case frozen:
		return answer{}
	}
	a.takes += p.Exchange(luck, 1) + pr.pace.greeting(i, luck)
	return a
}

// A question by ARP is repeated until somebody answers.
const (
	arpTries = 4
	arpAgain = 150 * time.Millisecond
)

// WhoHas returns the MAC address of everybody who answers ARP for ip.
func (pr *probes) WhoHas(ctx context.Context, ip netip.Addr) ([]cluster.MAC, error) {
	pr.lock()
	macs, takes := pr.claims(ip)
	pr.unlock()
	if err := pr.wait(ctx, takes, cluster.ErrNoAnswer); err != nil {
		return nil, fmt.Errorf("cannot ask who has %s: %w", ip, err)
	}
	return macs, nil
}

// claims are the answers to the first question that is answered at all; who did
// not hear that one is not heard.
func (pr *probes) claims(ip netip.Addr) (macs []cluster.MAC, takes time.Duration) {
	for n := range time.Duration(arpTries) {
		takes = n*arpAgain + pr.spec.Times.ARP
		claim := func(mac cluster.MAC, p Path) {
			if rtt, lost := p.Ping(pr.luck("arp ", ip.String(), mac.String())); !lost {
				macs, takes = append(macs, mac), max(takes, n*arpAgain+pr.spec.Times.ARP+rtt)
			}
		}
		if h := pr.hosts[ip]; h != nil && pr.net.answersPing(h) {
			claim(h.MAC, pr.net.toHost(h))
		}
		for _, i := range pr.net.answering(ip, fromManagement) {
			claim(i.mac, pr.net.toGuest(i))
		}
		if len(macs) > 0 {
			return macs, takes
		}
	}
	return nil, pr.spec.Times.ARPTimeout
}
