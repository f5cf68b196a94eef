// Package balancer is the load balancer of an emulated fleet and the clients behind it.
package balancer

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"pss-msbs/pkg/sim/spec"
	"pss-msbs/pkg/sim/world"
)

// Balancer is the load balancer: round robin over the VIPs of a group, a
// health check of each VIP, redispatch of an access that finds nobody.
type Balancer struct {
	*world.World
	net    *world.Network
	pace   *world.Pace
	ports  []*port
	groups []*clients
}

// New has no clients before Start.
func New(w *world.World, n *world.Network, p *world.Pace) *Balancer {
	return &Balancer{World: w, net: n, pace: p}
}

// port is one VIP as the balancer sees it.
type port struct {
	spec.VIPSpec
	up   bool
	syns float64
}

// logMax bounds a client's log.
const logMax = 20000

// outcome of one connection to a VIP.
type outcome int

const (
	served  outcome = iota
	refused         // somebody answers, but no program there
	unheard         // nobody answers, or a frozen program accepts and says nothing
)

// Start has the clients ask.
func (b *Balancer) Start() {
	for _, v := range b.Spec.VIPs {
		p := &port{VIPSpec: v, up: true}
		b.ports = append(b.ports, p)
		c := b.clientsOf(v.Group)
		if c == nil {
			c = &clients{group: v.Group, demand: &world.Demand{To: b.Spec.Load}}
			b.pace.Demands[v.Group] = c.demand
			b.groups = append(b.groups, c)
		}
		c.ports = append(c.ports, p)
	}
	slices.SortFunc(b.groups, func(a, b *clients) int { return a.ports[0].VIP.Compare(b.ports[0].VIP) })
	if s := b.Spec.Balancer; !s.Off {
		b.Every(s.CheckInterval, 0, b.check)
		b.Every(s.AskInterval, s.AskInterval/2, b.ask)
	}
}

func (b *Balancer) clientsOf(group string) *clients {
	for _, c := range b.groups {
		if c.group == group {
			return c
		}
	}
	return nil
}

func (b *Balancer) try(vip netip.Addr) outcome {
	who := b.net.Answerer(vip, world.FromClients)
	if who == nil {
		return unheard
	}
	out := served
	for _, d := range who.Services {
		switch d {
		case world.Stopped:
			out = refused
		case world.Frozen:
			return unheard
		}
	}
	return out
}

// check is one round of health checks, and the accesses of the load since the last.
func (b *Balancer) check() {
	d := b.Spec.Balancer.CheckInterval.Seconds()
	for _, p := range b.ports {
		p.syns += b.Spec.Balancer.PerSecond * d
		b.mark(p, b.try(p.VIP) == served)
	}
	for _, c := range b.groups {
		if up := c.up(); len(up) > 0 {
			for _, p := range up {
				p.syns += c.demand.Accesses * d / float64(len(up))
			}
		}
	}
}

func (b *Balancer) mark(p *port, up bool) {
	if p.up != up {
		p.up = up
		b.Note("balancer", "", "", "%s up: %t", p.VIP, up)
	}
}

// Accesses are the TCP SYNs to each VIP since the fleet began.
func (b *Balancer) Accesses(ctx context.Context) (map[netip.Addr]uint64, error) {
	b.Lock()
	defer b.Unlock()
	if b.Spec.Balancer.Off {
		return nil, fmt.Errorf("cannot count accesses: no load balancer")
	}
	out := map[netip.Addr]uint64{}
	for _, p := range b.ports {
		out[p.VIP] = uint64(p.syns)
	}
	return out, ctx.Err()
}

// SetLoad changes the demand on a group.
func (b *Balancer) SetLoad(group string, percent, accesses float64, over time.Duration) error {
	b.Lock()
	defer b.Unlock()
	c := b.clientsOf(group)
	switch {
	case c == nil:
		return fmt.Errorf("cannot set the load: no group %q", group)
	case percent < 0 || percent > 100 || accesses < 0 || over < 0:
		return fmt.Errorf("cannot set the load of %s: want 0 to 100 percent, and no negative accesses or time", group)
	}
	b.Dirty = true
	*c.demand = world.Demand{From: c.demand.Percent(b.Now), To: percent, Start: b.Now, Over: over, Accesses: accesses}
	b.Note("load", "", "", "load of %s to %g %%, %g accesses/s", group, percent, accesses)
	return nil
}

// VIPs are those that clients use.
func (b *Balancer) VIPs() (out []VIPStatus) {
	for _, p := range b.ports {
		v := VIPStatus{VIP: p.VIP, Group: p.Group, Up: p.up, Holders: []string{}}
		for _, i := range b.net.Answering(p.VIP, world.FromClients) {
			v.Holders = append(v.Holders, i.Host)
		}
		out = append(out, v)
	}
	return out
}

// VIPStatus says who holds a VIP, seen from the clients.
type VIPStatus struct {
	VIP     netip.Addr `json:"vip"`
	Group   string     `json:"group"`
	Holders []string   `json:"holders"`
	Up      bool       `json:"up"` // for the load balancer
}

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
	c.log = world.Keep(c.log, access{at: b.Now, delay: delay, failed: true}, logMax)
}

// answered logs an access; the first after an outage waited since the first that failed.
func (b *Balancer) answered(c *clients, delay time.Duration) {
	if !c.failed.IsZero() {
		delay += b.Now.Sub(c.failed)
		b.Note("client", "", "", "client of %s served again after %.2f s", c.group, delay.Seconds())
		c.failed = time.Time{}
	}
	c.log = world.Keep(c.log, access{at: b.Now, delay: delay}, logMax)
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
