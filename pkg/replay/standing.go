package replay

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"pss-msbs/pkg/ahead"
	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/load"
	"pss-msbs/pkg/plan"
)

// standing is what follows from the tables in force, which change seldom.
type standing struct {
	serving   map[string][]server // by group; nil: not worked out yet
	separated map[string][]netip.Addr
	ahead     map[string]map[cluster.Condition]load.Layout
	plans     map[string]plan.Steps // by the wants
}

// stands is the standing of the tables in force.
func (r *replayer) stands() *standing {
	if r.standing.serving != nil {
		return &r.standing
	}
	homes := r.tables.Homes(r.in.Homes)
	view := ahead.View{Tables: r.tables, Homes: homes, Capacity: r.capacity, Backup: func(host string) string { return r.in.Backups[host] }}
	s := standing{serving: map[string][]server{}, separated: map[string][]netip.Addr{}, ahead: map[string]map[cluster.Condition]load.Layout{},
		plans: map[string]plan.Steps{}}
	for _, row := range r.tables.State {
		for _, host := range r.tables.Operation.InGroup(row.Group).Hosts() {
			s.serving[row.Group] = append(s.serving[row.Group], r.server(host, homes))
		}
		s.separated[row.Group] = r.tables.Unserved(row.Group)
		if r.in.Settings.ClassOf(row.Group).LookAhead {
			s.ahead[row.Group] = view.Layouts(row.Group)
		}
	}
	r.standing = s
	return &r.standing
}

// make plans what is wanted; the same wants of the same tables once.
func (r *replayer) make(wants plan.Wants) plan.Steps {
	var key strings.Builder
	for _, row := range r.tables.State {
		fmt.Fprintf(&key, "%s;", wants[row.Group])
	}
	plans := r.stands().plans
	steps, ok := plans[key.String()]
	if !ok {
		steps = plan.Within(r.tables, r.in.Homes, wants, plan.Limits{})
		plans[key.String()] = steps
	}
	return steps
}

func (r *replayer) capacity(host string) load.Capacity {
	spec := r.in.Settings.ServerOf(host)
	return load.Capacity{MemKB: float64(spec.MemoryKB), Cores: float64(spec.Cores), NetKBs: load.RatedKBs(spec.NetworkMbps)}
}

// server is a serving server and the hosts whose rows make up its reading.
type server struct {
	host     string
	capacity load.Capacity
	rows     []string
	cores    []float64 // of those hosts
}

func (r *replayer) server(host string, homes cluster.Homes) server {
	out := server{host: host, capacity: r.capacity(host), rows: stoodFor(r.tables, host, homes)}
	for _, h := range out.rows {
		out.cores = append(out.cores, r.capacity(h).Cores)
	}
	return out
}

// measure is a serving server's reading: its own row and those of the homes of
// the other VIPs it holds, so that a trace recorded with every server on shows
// what one server would carry for several. CPU is added in cores, memory is the
// greatest of them.
func (v server) measure(rows map[string]Row) (load.Server, float64) {
	s := load.Server{Host: v.host, Capacity: v.capacity}
	var accesses float64
	for i, h := range v.rows {
		row, ok := rows[h]
		if !ok {
			continue
		}
		s.Measured = true
		s.Reading.MemKB = max(s.Reading.MemKB, row.Reading.MemKB)
		s.Reading.NetKBs += row.Reading.NetKBs
		s.Reading.CPUPercent += float64(row.Reading.CPUPercent * (v.cores[i] / max(1, v.capacity.Cores)))
		accesses += row.Accesses
	}
	return s, accesses
}

// stoodFor returns the hosts whose rows make up host's reading: itself and the
// homes of the VIPs it holds.
func stoodFor(t cluster.Tables, host string, homes cluster.Homes) []string {
	out := []string{host}
	for _, v := range t.Operation.Of(host).VIPs() {
		if h, ok := homes[v]; ok && !slices.Contains(out, h.Host) {
			out = append(out, h.Host)
		}
	}
	return out
}
