package sim

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// balancer is the load balancer: round robin over the VIPs of a group, a
// health check of each VIP, redispatch of an access that finds nobody.
type balancer struct {
	*world
	net    *network
	pace   *pace
	ports  []*port
	groups []*clients
}

// port is one VIP as the balancer sees it.
type port struct {
	VIPSpec
	up   bool
	syns float64
}

// clients is a group's clients: one that asks at every interval, and the load.
type clients struct {
	group  string
	ports  []*port
	next   int
	log    []access
	failed time.Time // first access of the outage under way
	demand *demand
}

// access is one line of the client's log.
type access struct {
	at     time.Time
	delay  time.Duration
	failed bool
}

// demand is the load on a group's servers, for each VIP that a server holds.
type demand struct {
	from, to float64 // percent
	start    time.Time
	over     time.Duration // the ramp's length
	accesses float64       // per second, besides the one client's
}

func (d demand) percent(now time.Time) float64 {
	done := now.Sub(d.start)
	if d.over <= 0 || done >= d.over {
		return d.to
	}
	return d.from + (d.to-d.from)*float64(done)/float64(d.over)
}

// logMax bounds a client's log.
const logMax = 20000

func (b *balancer) start() {
	for _, v := range b.spec.VIPs {
		p := &port{VIPSpec: v, up: true}
		b.ports = append(b.ports, p)
		c := b.clientsOf(v.Group)
		if c == nil {
			c = &clients{group: v.Group, demand: &demand{to: b.spec.Load}}
			b.pace.demands[v.Group] = c.demand
			b.groups = append(b.groups, c)
		}
		c.ports = append(c.ports, p)
	}
	slices.SortFunc(b.groups, func(a, b *clients) int { return a.ports[0].VIP.Compare(b.ports[0].VIP) })
	if s := b.spec.Balancer; !s.Off {
		b.every(s.CheckInterval, 0, b.check)
		b.every(s.AskInterval, s.AskInterval/2, b.ask)
	}
}

func (b *balancer) clientsOf(group string) *clients {
	for _, c := range b.groups {
		if c.group == group {
			return c
		}
	}
	return nil
}

// every does do at each interval d, beginning shift after the fleet's start.
func (c *course) every(d, shift time.Duration, do func()) {
	var again func()
	next := c.start.Add(shift)
	again = func() {
		next = next.Add(d)
		c.at(next, again)
		do()
	}
	c.at(next, again)
}

// outcome of one connection to a VIP.
type outcome int

const (
	served  outcome = iota
	refused         // somebody answers, but no program there
	unheard         // nobody answers, or a frozen program accepts and says nothing
)

func (b *balancer) try(vip netip.Addr) outcome {
	who := b.net.answerer(vip, fromClients)
	if who == nil {
		return unheard
	}
	out := served
	for _, d := range who.daemons {
		switch d {
		case stopped:
			out = refused
		case frozen:
			return unheard
		}
	}
	return out
}

// check is one round of health checks, and the accesses of the load since the last.
func (b *balancer) check() {
	d := b.spec.Balancer.CheckInterval.Seconds()
	for _, p := range b.ports {
		p.syns += b.spec.Balancer.PerSecond * d
		b.mark(p, b.try(p.VIP) == served)
	}
	for _, c := range b.groups {
		if up := c.up(); len(up) > 0 {
			for _, p := range up {
				p.syns += c.demand.accesses * d / float64(len(up))
			}
		}
	}
}

func (b *balancer) mark(p *port, up bool) {
	if p.up != up {
		p.up = up
		b.note("balancer", "", "", "%s up: %t", p.VIP, up)
	}
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
func (b *balancer) ask() {
	for _, c := range b.groups {
		b.access(c)
	}
}

func (b *balancer) access(c *clients) {
	delay := b.spec.Balancer.Latency
	for p := c.pick(); p != nil; p = c.pick() {
		p.syns++
		switch b.try(p.VIP) {
		case served:
			b.answered(c, delay+b.keptWaiting(p.VIP))
			return
		case refused:
			delay += b.spec.Balancer.Latency
		case unheard:
			delay += b.spec.Balancer.ConnectTimeout
		}
		b.mark(p, false)
	}
	if c.failed.IsZero() {
		c.failed = b.now
		b.note("client", "", "", "client of %s finds no server", c.group)
	}
	c.add(access{at: b.now, delay: delay, failed: true})
}

// answered logs an access; the first after an outage waited since the first that failed.
func (b *balancer) answered(c *clients, delay time.Duration) {
	if !c.failed.IsZero() {
		delay += b.now.Sub(c.failed)
		b.note("client", "", "", "client of %s served again after %.2f s", c.group, delay.Seconds())
		c.failed = time.Time{}
	}
	c.add(access{at: b.now, delay: delay})
}

// keptWaiting is how long who answers for vip makes a client wait.
func (b *balancer) keptWaiting(vip netip.Addr) time.Duration {
	who := b.net.answerer(vip, fromClients)
	if _, to := b.pace.slowness(who); to == 0 {
		return 0
	}
	return b.pace.greeting(who, b.luck("client of ", vip.String()))
}

func (c *clients) add(a access) {
	if len(c.log) >= logMax {
		c.log = slices.Clone(c.log[logMax/2:])
	}
	c.log = append(c.log, a)
}

func (b *balancer) accesses(ctx context.Context) (map[netip.Addr]uint64, error) {
	b.lock()
	defer b.unlock()
	if b.spec.Balancer.Off {
		return nil, fmt.Errorf("cannot count accesses: no load balancer")
	}
	out := map[netip.Addr]uint64{}
	for _, p := range b.ports {
		out[p.VIP] = uint64(p.syns)
	}
	return out, ctx.Err()
}

func (b *balancer) setLoad(group string, percent, accesses float64, over time.Duration) error {
	b.lock()
	defer b.unlock()
	c := b.clientsOf(group)
	switch {
	case c == nil:
		return fmt.Errorf("cannot set the load: no group %q", group)
	case percent < 0 || percent > 100 || accesses < 0 || over < 0:
		return fmt.Errorf("cannot set the load of %s: want 0 to 100 percent, and no negative accesses or time", group)
	}
	b.dirty = true
	*c.demand = demand{from: c.demand.percent(b.now), to: percent, start: b.now, over: over, accesses: accesses}
	b.note("load", "", "", "load of %s to %g %%, %g accesses/s", group, percent, accesses)
	return nil
}
