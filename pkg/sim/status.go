package sim

import (
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

// status tells what q asks for.
func (f *fleet) status(q Query) Status {
	if q.Since.Before(f.Begun) {
		q.Since = f.Begun
	}
	s := Status{Now: f.Now, Since: q.Since, Watts: f.judge.Watts(), EnergyWh: f.judge.EnergyWh(q.Since), VIPs: f.balancer.VIPs(), Clients: f.balancer.Clients(q.Since)}
	s.Violations, s.Exceptions = f.judge.Since(q.Since)
	s.Harms, s.Unseen = f.harms.Since(q.Since)
	f.placeStatus(&s)
	if q.Timeline {
		s.Timeline = world.Since(f.Timeline, q.Since, func(e world.Entry) time.Time { return e.At })
	}
	if q.Asked {
		s.Asked = f.Asked.Since(q.Since)
	}
	return s
}

func (f *fleet) placeStatus(s *Status) {
	for _, h := range f.Order {
		s.Hosts = append(s.Hosts, HostStatus{Name: h.Name, IP: h.IP, State: h.State, Hypervisor: string(h.Hypervisor), Partitioned: h.Partitioned, Watts: h.Watts()})
	}
	for _, name := range f.Names {
		s.Guests = append(s.Guests, f.guestStatus(f.Servers[name])...)
	}
}

func (f *fleet) guestStatus(g *world.Guest) []GuestStatus {
	var out []GuestStatus
	for i := range f.Of(g.Host) {
		if !i.Live() && g.Saved != nil {
			continue
		}
		st := GuestStatus{Host: g.Host, Group: g.Group, Kind: g.Kind, Real: i.At.IP, State: i.State, VIPs: i.SortedVIPs(),
			Answers: f.net.Connected(i, world.FromClients) && i.Serves(), Daemons: map[string]string{}}
		for d, s := range i.Services {
			st.Daemons[d] = string(s)
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
