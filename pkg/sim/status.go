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
	s := Status{Now: m.now, Since: q.Since, Watts: m.judge.watts(), EnergyWh: m.judge.energyWh(q.Since), VIPs: m.balancer.vips(), Clients: m.balancer.clients(q.Since)}
	s.Violations, s.Exceptions = m.judge.since(q.Since)
	s.Harms, s.Unseen = m.harms.since(q.Since)
	m.placeStatus(&s)
	if q.Timeline {
		s.Timeline = since(m.timeline, q.Since, func(e Entry) time.Time { return e.At })
	}
	if q.Asked {
		s.Asked = m.asked.since(q.Since)
	}
	return s, ctx.Err()
}

// since is a copy of the end of all from begin on; it is in order of time.
func since[T any](all []T, begin time.Time, at func(T) time.Time) []T {
	first, _ := slices.BinarySearchFunc(all, begin, func(x T, t time.Time) int { return at(x).Compare(t) })
	return append([]T{}, all[first:]...)
}

// since tells of the harms done from begin on, and of those that the management
// server could not know to be any.
func (hs *harms) since(begin time.Time) (done, unseen []Harm) {
	at := func(h Harm) time.Time { return h.At }
	return since(hs.done, begin, at), since(hs.unseen, begin, at)
}

// since tells what was recorded from a time on, and what lasts so far.
func (j *judge) since(begin time.Time) (violations []Violation, exceptions []Exception) {
	all := slices.Clone(j.exceptions)
	for _, key := range slices.Sorted(maps.Keys(j.conflicts)) {
		c := j.conflicts[key]
		if c.violation != nil {
			c.violation.Seconds = j.now.Sub(c.since).Seconds()
		}
		if c.excused != nil {
			all = append(all, j.exception(c))
		}
	}
	violations, exceptions = []Violation{}, []Exception{}
	for _, v := range j.violations {
		if !v.At.Before(begin) {
			violations = append(violations, *v)
		}
	}
	for _, e := range all {
		if !e.At.Before(begin) {
			exceptions = append(exceptions, e)
		}
	}
	return violations, exceptions
}

func (m *Model) placeStatus(s *Status) {
	for _, h := range m.order {
		s.Hosts = append(s.Hosts, HostStatus{Name: h.Name, IP: h.IP, State: h.state, Hypervisor: string(h.hypervisor), Partitioned: h.partitioned, Watts: h.watts()})
	}
	for _, name := range m.names {
		s.Guests = append(s.Guests, m.guestStatus(m.guests[name])...)
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

// vips are those that clients use.
func (b *balancer) vips() (out []VIPStatus) {
	for _, p := range b.ports {
		v := VIPStatus{VIP: p.VIP, Group: p.Group, Up: p.up, Holders: []string{}}
		for _, i := range b.net.answering(p.VIP, fromClients) {
			v.Holders = append(v.Holders, i.Host)
		}
		out = append(out, v)
	}
	return out
}

// clients sums up what every group's client saw from begin on.
func (b *balancer) clients(begin time.Time) []ClientStatus {
	out := []ClientStatus{}
	for _, c := range b.groups {
		out = append(out, b.clientStatus(c, begin))
	}
	return out
}

func (b *balancer) clientStatus(c *clients, begin time.Time) ClientStatus {
	s := ClientStatus{Group: c.group, Load: c.demand.percent(b.now), Down: !c.failed.IsZero()}
	var longest time.Duration
	for _, a := range since(c.log, begin, func(a access) time.Time { return a.at }) {
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
	out, _ := m.judge.since(time.Time{})
	return out
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

// Events streams what real's hypervisor reports until ctx ends. While the host
// is silent reports are lost; the silence itself is one.
func (m *Model) Events(ctx context.Context, real netip.Addr) (<-chan cluster.Event, error) {
	return m.reports.subscribe(ctx, real)
}

// Accesses are the TCP SYNs to each VIP since the fleet began.
func (m *Model) Accesses(ctx context.Context) (map[netip.Addr]uint64, error) {
	return m.balancer.accesses(ctx)
}

// SetLoad changes the load on every server of a group: percent of memory, CPU
// and network for each VIP a server holds, reached within over; accesses are
// client accesses per second besides the one client's.
func (m *Model) SetLoad(group string, percent, accesses float64, over time.Duration) error {
	return m.balancer.setLoad(group, percent, accesses, over)
}
