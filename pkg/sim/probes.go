package sim

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/sim/packet"
	"pss-msbs/pkg/sim/world"
)

// probes are what monitors ask the network.
type probes struct{ *fleet }

// answer is what becomes of a probe.
type answer struct {
	given   bool          // else: silence
	takes   time.Duration // until it is given
	after   *world.Stall  // who is asked is held: it is asked again once it is not
	refused bool          // by the machine, for its program
}

// probe waits for the answer to a question; where none comes, as long as the caller may.
func (pr *probes) probe(ctx context.Context, ask func() answer) error {
	limit, cancel := pr.Patient(ctx, pr.Spec.Times.ProbeTimeout)
	defer cancel()
	a := pr.hear(ask)
	for a.after != nil {
		if err := pr.Outlast(limit, a.after.Over, cluster.ErrNoAnswer); err != nil {
			return err
		}
		a = pr.hear(ask)
	}
	if !a.given {
		return pr.Hang(limit, cluster.ErrNoAnswer)
	}
	if err := pr.Wait(limit, a.takes, cluster.ErrNoAnswer); err != nil {
		return err
	}
	if a.refused {
		return cluster.ErrRefused
	}
	return nil
}

func (pr *probes) hear(ask func() answer) answer {
	pr.Lock()
	defer pr.Unlock()
	return ask()
}

// Ping is nil when ip answers an echo request.
func (pr *probes) Ping(ctx context.Context, ip netip.Addr) error {
	if err := pr.probe(ctx, func() answer { return pr.pinged(ip) }); err != nil {
		return fmt.Errorf("cannot ping %s: %w", ip, err)
	}
	return nil
}

// pinged is the answer to an echo request. Held: the lock, also below.
func (pr *probes) pinged(ip netip.Addr) answer {
	if h := pr.Hosts[ip]; h != nil {
		if !pr.net.AnswersPing(h) {
			return answer{}
		}
		return pr.echo(h, ip, pr.net.ToHost(h), 0)
	}
	i, held := pr.net.Asks(ip)
	switch {
	case held != nil:
		return answer{after: held}
	case i != nil:
		return pr.echo(i.At, ip, pr.net.ToGuest(i), pr.pace.PingSlow(i))
	case !pr.net.Cut && slices.Contains(pr.Spec.References, ip):
		return pr.echo(nil, ip, pr.net.ToReference(ip), 0)
	}
	return answer{}
}

// echo sends an echo request on a path; h hears it, where it is not nil.
func (pr *probes) echo(h *world.Host, ip netip.Addr, p packet.Path, slow time.Duration) answer {
	rtt := time.Duration(0)
	if p != (packet.Path{}) {
		var lost bool
		if rtt, lost = p.Ping(pr.Luck("ping ", ip.String())); lost {
			return answer{}
		}
	}
	if h != nil {
		pr.net.Heard(h)
	}
	return answer{given: true, takes: pr.Spec.Times.Ping + rtt + slow}
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
	i, held := pr.net.Asks(ip)
	if i == nil {
		return answer{after: held}
	}
	if i.IP == ip {
		pr.Asked.Note(world.AskedGreet, i.Host, pr.Now)
	}
	pr.net.Heard(i.At)
	luck, p := pr.Luck("greet ", ip.String(), " ", daemon), pr.net.ToGuest(i)
	a := answer{given: true, takes: pr.Spec.Times.Greet + p.Connect(luck)}
	switch i.Services[daemon] {
	case world.Stopped, "":
		a.refused = true
		return a
	case world.Frozen:
		return answer{}
	}
	a.takes += p.Exchange(luck, 1) + pr.pace.Greeting(i, luck)
	return a
}

// A question by ARP is repeated until somebody answers.
const (
	arpTries = 4
	arpAgain = 150 * time.Millisecond
)

// WhoHas returns the MAC address of everybody who answers ARP for ip.
func (pr *probes) WhoHas(ctx context.Context, ip netip.Addr) ([]cluster.MAC, error) {
	pr.Lock()
	macs, takes := pr.claims(ip)
	pr.Unlock()
	if err := pr.Wait(ctx, takes, cluster.ErrNoAnswer); err != nil {
		return nil, fmt.Errorf("cannot ask who has %s: %w", ip, err)
	}
	return macs, nil
}

// claims are the answers to the first question that is answered at all; who did
// not hear that one is not heard.
func (pr *probes) claims(ip netip.Addr) (macs []cluster.MAC, takes time.Duration) {
	for n := range time.Duration(arpTries) {
		takes = n*arpAgain + pr.Spec.Times.ARP
		claim := func(mac cluster.MAC, p packet.Path) {
			if rtt, lost := p.Ping(pr.Luck("arp ", ip.String(), mac.String())); !lost {
				macs, takes = append(macs, mac), max(takes, n*arpAgain+pr.Spec.Times.ARP+rtt)
			}
		}
		if h := pr.Hosts[ip]; h != nil && pr.net.AnswersPing(h) {
			claim(h.MAC, pr.net.ToHost(h))
		}
		for _, i := range pr.net.Answering(ip, world.FromManagement) {
			claim(i.MAC, pr.net.ToGuest(i))
		}
		if len(macs) > 0 {
			return macs, takes
		}
	}
	return nil, pr.Spec.Times.ARPTimeout
}
