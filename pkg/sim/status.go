package sim

import (
	"context"
	"maps"
	"net/netip"
	"slices"
	"time"

	"pss-msbs/pkg/cluster"
)

// Query chooses what a Status tells.
type Query struct {
	Since    time.Time `json:"since,omitzero"` // energy, violations, exceptions, clients and timeline from then on; zero: from the start
	Timeline bool      `json:"timeline,omitempty"`
	Asked    bool      `json:"asked,omitempty"`
}

// Status is the fleet as it is and what happened in it.
type Status struct {
	Now        time.Time      `json:"now"` // emulated
	Since      time.Time      `json:"since"`
	Watts      float64        `json:"watts"`
	EnergyWh   float64        `json:"energy_wh"`
	Hosts      []HostStatus   `json:"hosts"`
	Guests     []GuestStatus  `json:"guests"`
	VIPs       []VIPStatus    `json:"vips"`
	Clients    []ClientStatus `json:"clients"`
	Violations []Violation    `json:"violations"`
	Exceptions []Exception    `json:"exceptions"`
	Harms      []Harm         `json:"harms"`
	Unseen     []Harm         `json:"unseen_harms,omitempty"` // harm that the management server could not know to be any
	Timeline   []Entry        `json:"timeline,omitempty"`

	Asked map[string]map[string][]time.Time `json:"asked,omitempty"` // by kind and name: when somebody asked
}

// HostStatus is a real server, or the management server.
type HostStatus struct {
	Name        string     `json:"name"`
	IP          netip.Addr `json:"ip"`
	State       HostState  `json:"state"`
	Hypervisor  string     `json:"hypervisor"`
	Partitioned bool       `json:"partitioned,omitempty"`
	Watts       float64    `json:"watts"`
}

// GuestStatus is a guest on one host; Real is zero for one that is nowhere or saved.
type GuestStatus struct {
	Host    string             `json:"host"`
	Group   string             `json:"group"`
	Kind    Kind               `json:"kind"`
	Real    netip.Addr         `json:"real,omitzero"`
	State   cluster.GuestState `json:"state"`
	VIPs    []netip.Addr       `json:"vips,omitempty"`
	Answers bool               `json:"answers"` // reachable by clients, every daemon runs
	Daemons map[string]string  `json:"daemons,omitempty"`
}

// VIPStatus says who holds a VIP, seen from the clients.
type VIPStatus struct {
	VIP     netip.Addr `json:"vip"`
	Group   string     `json:"group"`
	Holders []string   `json:"holders"`
	Up      bool       `json:"up"` // for the load balancer
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

// Status tells what q asks for.
func (m *Model) Status(ctx context.Context, q Query) (Status, error) {
	m.lock()
	defer m.unlock()
	if q.Since.Before(m.start) {
		q.Since = m.start
	}
	s := Status{Now: m.now, Since: q.Since, Watts: m.judge.watts(), EnergyWh: m.judge.energyWh(q.Since),
		Clients: []ClientStatus{}, Violations: []Violation{}, Exceptions: []Exception{}, Harms: harmsSince(m.harms.done, q.Since), Unseen: harmsSince(m.harms.unseen, q.Since)}
	m.placeStatus(&s)
	for _, c := range m.groups {
		s.Clients = append(s.Clients, m.clientStatus(c, q.Since))
	}
	m.judge.blameStatus(&s)
	if q.Timeline {
		first, _ := slices.BinarySearchFunc(m.timeline, q.Since, func(e Entry, t time.Time) int { return e.At.Compare(t) })
		s.Timeline = slices.Clone(m.timeline[first:])
	}
	if q.Asked {
		s.Asked = m.asked.since(q.Since)
	}
	return s, ctx.Err()
}

func harmsSince(all []Harm, since time.Time) []Harm {
	first, _ := slices.BinarySearchFunc(all, since, func(h Harm, t time.Time) int { return h.At.Compare(t) })
	return append([]Harm{}, all[first:]...)
}

// blameStatus tells what was recorded, and what lasts so far.
func (j *judge) blameStatus(s *Status) {
	exceptions := slices.Clone(j.exceptions)
	for _, key := range slices.Sorted(maps.Keys(j.conflicts)) {
		c := j.conflicts[key]
		if c.violation != nil {
			c.violation.Seconds = j.now.Sub(c.since).Seconds()
		}
		if c.excused != nil {
			exceptions = append(exceptions, j.exception(c))
		}
	}
	for _, v := range j.violations {
		if !v.At.Before(s.Since) {
			s.Violations = append(s.Violations, *v)
		}
	}
	for _, e := range exceptions {
		if !e.At.Before(s.Since) {
			s.Exceptions = append(s.Exceptions, e)
		}
	}
}

func (m *Model) placeStatus(s *Status) {
	for _, h := range m.order {
		s.Hosts = append(s.Hosts, HostStatus{Name: h.Name, IP: h.IP, State: h.state, Hypervisor: string(h.hypervisor), Partitioned: h.partitioned, Watts: h.watts()})
	}
	for _, name := range m.names {
		s.Guests = append(s.Guests, m.guestStatus(m.guests[name])...)
	}
	for _, p := range m.ports {
		v := VIPStatus{VIP: p.VIP, Group: p.Group, Up: p.up, Holders: []string{}}
		for _, i := range m.net.answering(p.VIP, fromClients) {
			v.Holders = append(v.Holders, i.Host)
		}
		s.VIPs = append(s.VIPs, v)
	}
}

func (m *Model) guestStatus(g *guest) []GuestStatus {
	var out []GuestStatus
	for _, h := range m.order {
		i := h.on[g.Host]
		if i == nil || !i.live() && g.saved != nil {
			continue
		}
		st := GuestStatus{Host: g.Host, Group: g.Group, Kind: g.Kind, Real: h.IP, State: i.state, VIPs: i.sortedVIPs(), Daemons: map[string]string{}}
		st.Answers = m.net.connected(i, fromClients)
		for d, s := range i.daemons {
			st.Daemons[d] = string(s)
			st.Answers = st.Answers && s == running
		}
		out = append(out, st)
	}
	if len(out) > 0 {
		return out
	}
	state := cluster.GuestAbsent
	if g.saved != nil {
		state = cluster.GuestSaved
	}
	return []GuestStatus{{Host: g.Host, Group: g.Group, Kind: g.Kind, State: state}}
}

func (b *balancer) clientStatus(c *clients, since time.Time) ClientStatus {
	s := ClientStatus{Group: c.group, Load: c.demand.percent(b.now), Down: !c.failed.IsZero()}
	first, _ := slices.BinarySearchFunc(c.log, since, func(a access, t time.Time) int { return a.at.Compare(t) })
	var longest time.Duration
	for _, a := range c.log[first:] {
		s.Asked++
		longest = max(longest, a.delay)
		switch {
		case a.failed:
			s.Failed++
		case a.delay > b.spec.Balancer.AskInterval:
			s.Delayed++
		}
	}
	if s.Down {
		longest = max(longest, b.now.Sub(c.failed))
	}
	s.Longest = longest.Seconds()
	s.Late = max(0, longest-b.spec.Balancer.AskInterval).Seconds()
	return s
}

// Violations are all that were recorded so far.
func (m *Model) Violations() []Violation {
	m.lock()
	defer m.unlock()
	if len(m.judge.violations) == 0 { // asked often
		return nil
	}
	var s Status
	m.judge.blameStatus(&s)
	return s.Violations
}

// Harms are all that were done so far.
func (m *Model) Harms() []Harm {
	m.lock()
	defer m.unlock()
	return append([]Harm(nil), m.harms.done...)
}

// Holders are the guests that hold vip, seen from the clients.
func (m *Model) Holders(vip netip.Addr) []string {
	m.lock()
	defer m.unlock()
	var out []string
	for _, i := range m.net.answering(vip, fromClients) {
		out = append(out, i.Host)
	}
	return out
}
