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
