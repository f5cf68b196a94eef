package sim

import (
	"context"
	"net/netip"
	"time"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/sim/balancer"
	"pss-msbs/pkg/sim/judge"
	"pss-msbs/pkg/sim/spec"
	"pss-msbs/pkg/sim/world"
)

// Query chooses what a Status tells.
type Query struct {
	Since    time.Time `json:"since,omitzero"` // energy, violations, exceptions, clients and timeline from then on; zero: from the start
	Timeline bool      `json:"timeline,omitempty"`
	Asked    bool      `json:"asked,omitempty"`
}

// Status is the fleet as it is and what happened in it.
type Status struct {
	Now        time.Time               `json:"now"` // emulated
	Since      time.Time               `json:"since"`
	Watts      float64                 `json:"watts"`
	EnergyWh   float64                 `json:"energy_wh"`
	Hosts      []HostStatus            `json:"hosts"`
	Guests     []GuestStatus           `json:"guests"`
	VIPs       []balancer.VIPStatus    `json:"vips"`
	Clients    []balancer.ClientStatus `json:"clients"`
	Violations []judge.Violation       `json:"violations"`
	Exceptions []judge.Exception       `json:"exceptions"`
	Harms      []judge.Harm            `json:"harms"`
	Unseen     []judge.Harm            `json:"unseen_harms,omitempty"` // harm that the management server could not know to be any
	Timeline   []world.Entry           `json:"timeline,omitempty"`

	Asked map[string]map[string][]time.Time `json:"asked,omitempty"` // by kind and name: when somebody asked
}

// HostStatus is a real server, or the management server.
type HostStatus struct {
	Name        string         `json:"name"`
	IP          netip.Addr     `json:"ip"`
	State       spec.HostState `json:"state"`
	Hypervisor  string         `json:"hypervisor"`
	Partitioned bool           `json:"partitioned,omitempty"`
	Watts       float64        `json:"watts"`
}

// GuestStatus is a guest on one host; Real is zero for one that is nowhere or saved.
type GuestStatus struct {
	Host    string             `json:"host"`
	Group   string             `json:"group"`
	Kind    spec.Kind          `json:"kind"`
	Real    netip.Addr         `json:"real,omitzero"`
	State   cluster.GuestState `json:"state"`
	VIPs    []netip.Addr       `json:"vips,omitempty"`
	Answers bool               `json:"answers"` // reachable by clients, every daemon runs
	Daemons map[string]string  `json:"daemons,omitempty"`
}

// Status tells what q asks for.
func (m *Model) Status(ctx context.Context, q Query) (Status, error) {
	m.world.Lock()
	defer m.world.Unlock()
	if q.Since.Before(m.world.Begun) {
		q.Since = m.world.Begun
	}
	s := Status{Now: m.world.Now, Since: q.Since, Watts: m.judge.Watts(), EnergyWh: m.judge.EnergyWh(q.Since), VIPs: m.balancer.VIPs(), Clients: m.balancer.Clients(q.Since)}
	s.Violations, s.Exceptions = m.judge.Since(q.Since)
	s.Harms, s.Unseen = m.harms.Since(q.Since)
	m.placeStatus(&s)
	if q.Timeline {
		s.Timeline = world.Since(m.world.Timeline, q.Since, func(e world.Entry) time.Time { return e.At })
	}
	if q.Asked {
		s.Asked = m.world.Asked.Since(q.Since)
	}
	return s, ctx.Err()
}

func (m *Model) placeStatus(s *Status) {
	for _, h := range m.world.Order {
		s.Hosts = append(s.Hosts, HostStatus{Name: h.Name, IP: h.IP, State: h.State, Hypervisor: string(h.Hypervisor), Partitioned: h.Partitioned, Watts: h.Watts()})
	}
	for _, name := range m.world.Names {
		s.Guests = append(s.Guests, m.guestStatus(m.world.Servers[name])...)
	}
}

func (m *Model) guestStatus(g *world.Guest) []GuestStatus {
	var out []GuestStatus
	for _, h := range m.world.Order {
		i := h.On[g.Host]
		if i == nil || !i.Live() && g.Saved != nil {
			continue
		}
		st := GuestStatus{Host: g.Host, Group: g.Group, Kind: g.Kind, Real: h.IP, State: i.State, VIPs: i.SortedVIPs(), Daemons: map[string]string{}}
		st.Answers = m.net.Connected(i, world.FromClients)
		for d, s := range i.Services {
			st.Daemons[d] = string(s)
			st.Answers = st.Answers && s == world.Running
		}
		out = append(out, st)
	}
	if len(out) > 0 {
		return out
	}
	state := cluster.GuestAbsent
	if g.Saved != nil {
		state = cluster.GuestSaved
	}
	return []GuestStatus{{Host: g.Host, Group: g.Group, Kind: g.Kind, State: state}}
}
