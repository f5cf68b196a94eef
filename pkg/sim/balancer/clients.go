package balancer

import (
	"net/netip"
	"slices"
	"time"

	"pss-msbs/pkg/sim/world"
)

// clients is a group's clients: one that asks at every interval, and the load.
type clients struct {
	group  string
	ports  []*port
	next   int
	log    []access
	failed time.Time // first access of the outage under way
	demand *world.Demand
}

// access is one line of the client's log.
type access struct {
	at     time.Time
	delay  time.Duration
	failed bool
}

// ClientStatus sums up one group's client.
type ClientStatus struct {
	Group   string  `json:"group"`
	Load    float64 `json:"load_percent"`
	Asked   int     `json:"asked"`
	Failed  int     `json:"failed"`
	Delayed int     `json:"delayed"`   // answered later than the client's interval
	Longest float64 `json:"longest_s"` // longest wait for an answer; an outage counts from its first failed access
	Late    float64 `json:"late_s"`    // by how much the longest wait passed the client's interval: the delay in the paper's client log
	Down    bool    `json:"down"`      // the outage lasts
}

func (c *clients) up() []*port {
	var out []*port
	for _, p := range c.ports {
		if p.up {
			out = append(out, p)
		}
	}
	return out
}

// pick is the next VIP in turn that is up, or nil.
func (c *clients) pick() *port {
	for range c.ports {
		p := c.ports[c.next%len(c.ports)]
		c.next++
		if p.up {
			return p
		}
	}
	return nil
}

func (c *clients) add(a access) {
	if len(c.log) >= logMax {
		c.log = slices.Clone(c.log[logMax/2:])
	}
	c.log = append(c.log, a)
}

// ask lets the client of every group make one access.
func (b *Balancer) ask() {
	for _, c := range b.groups {
		b.access(c)
	}
}

func (b *Balancer) access(c *clients) {
	delay := b.Spec.Balancer.Latency
	for p := c.pick(); p != nil; p = c.pick() {
		p.syns++
		switch b.try(p.VIP) {
		case served:
			b.answered(c, delay+b.keptWaiting(p.VIP))
			return
		case refused:
			delay += b.Spec.Balancer.Latency
		case unheard:
			delay += b.Spec.Balancer.ConnectTimeout
		}
		b.mark(p, false)
	}
	if c.failed.IsZero() {
		c.failed = b.Now
		b.Note("client", "", "", "client of %s finds no server", c.group)
	}
	c.add(access{at: b.Now, delay: delay, failed: true})
}

// answered logs an access; the first after an outage waited since the first that failed.
func (b *Balancer) answered(c *clients, delay time.Duration) {
	if !c.failed.IsZero() {
		delay += b.Now.Sub(c.failed)
		b.Note("client", "", "", "client of %s served again after %.2f s", c.group, delay.Seconds())
		c.failed = time.Time{}
	}
	c.add(access{at: b.Now, delay: delay})
}

// keptWaiting is how long who answers for vip makes a client wait.
func (b *Balancer) keptWaiting(vip netip.Addr) time.Duration {
	who := b.net.Answerer(vip, world.FromClients)
	if _, to := b.pace.Slowness(who); to == 0 {
		return 0
	}
	return b.pace.Greeting(who, b.Luck("client of ", vip.String()))
}

// Clients sums up what every group's client saw from begin on.
func (b *Balancer) Clients(begin time.Time) []ClientStatus {
	out := []ClientStatus{}
	for _, c := range b.groups {
		out = append(out, b.clientStatus(c, begin))
	}
	return out
}

func (b *Balancer) clientStatus(c *clients, begin time.Time) ClientStatus {
	s := ClientStatus{Group: c.group, Load: c.demand.Percent(b.Now), Down: !c.failed.IsZero()}
	var longest time.Duration
	for _, a := range world.Since(c.log, begin, func(a access) time.Time { return a.at }) {
		s.Asked++
		longest = max(longest, a.delay)
		switch {
		case a.failed:
			s.Failed++
		case a.delay > b.Spec.Balancer.AskInterval:
			s.Delayed++
		}
	}
	if s.Down {
		longest = max(longest, b.Now.Sub(c.failed))
	}
	s.Longest = longest.Seconds()
	s.Late = max(0, longest-b.Spec.Balancer.AskInterval).Seconds()
	return s
}
