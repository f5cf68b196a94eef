// Package sim is an emulated fleet: real servers, the management server, the
// guests on them, their addresses, the clients and the load balancer, with the
// times of the paper's Table 4. Model is the fleet in one process (also in a
// testing/synctest bubble); package remote carries it over a Unix socket.
//
// The fleet is also the judge: it records by itself what must never happen
// (SPEC 10), without asking the programs under test.
//
// What the fleet is made of lies below, each part using those before it only:
// spec and packet describe it, course is its time, world its machines and its
// network, judge and balancer look at them, life begins and ends them. Here are
// the calls that programs make, and the faults.
package sim

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"pss-msbs/pkg/clock"
	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/sim/balancer"
	"pss-msbs/pkg/sim/course"
	"pss-msbs/pkg/sim/judge"
	"pss-msbs/pkg/sim/life"
	"pss-msbs/pkg/sim/spec"
	"pss-msbs/pkg/sim/world"
)

// Model is a fleet in this process. All its methods may be called at once from
// many goroutines. Close ends it.
type Model struct {
	*hypervisors
	*agents
	*probes
	*machines
	*faults
	world    *world.World
	balancer *balancer.Balancer
	reports  *world.Reports
	net      *world.Network
	pace     *world.Pace
	harms    *judge.Harms
	judge    *judge.Judge
}

// New starts the fleet as s describes it, on clk.
func New(s spec.Spec, clk clock.Clock) (*Model, error) {
	m := &Model{}
	w, err := world.New(s, course.New(clk, m.settle))
	if err != nil {
		return nil, fmt.Errorf("cannot emulate the fleet: %v", err)
	}
	n, l := world.NewNetwork(w), world.NewLates(w)
	r := world.NewReports(w, n)
	p := world.NewPace(w, r)
	h := judge.NewHarms(w, n, p)
	j := judge.New(w, n, h, l)
	li := life.New(w, p, r)
	c := &calls{World: w, net: n, lates: l, judge: j}
	*m = Model{world: w, net: n, reports: r, pace: p, harms: h, judge: j, balancer: balancer.New(w, n, p),
		hypervisors: &hypervisors{calls: c, life: li, reports: r, pace: p, harms: h},
		agents:      &agents{calls: c, pace: p, harms: h},
		machines:    &machines{calls: c, life: li},
		probes:      &probes{World: w, net: n, pace: p},
		faults:      &faults{World: w, net: n, life: li, pace: p, reports: r, lates: l}}
	w.Begin(m.balancer.Start)
	return m, nil
}

// settle draws the conclusions from a change: silence, who holds what, power.
func (m *Model) settle() {
	m.reports.Settle()
	m.net.Settle()
	m.harms.Settle()
	m.judge.Settle()
	m.pace.Settle()
}

// Close ends the fleet; calls that hang return.
func (m *Model) Close() error { return m.world.Close() }

// Violations are all that were recorded so far.
func (m *Model) Violations() []judge.Violation {
	m.world.Lock()
	defer m.world.Unlock()
	if len(m.judge.Violations) == 0 { // asked often
		return nil
	}
	out, _ := m.judge.Since(time.Time{})
	return out
}

// Harms are all that were done so far.
func (m *Model) Harms() []judge.Harm {
	m.world.Lock()
	defer m.world.Unlock()
	return append([]judge.Harm(nil), m.harms.Done...)
}

// Holders are the guests that hold vip, seen from the clients.
func (m *Model) Holders(vip netip.Addr) []string {
	m.world.Lock()
	defer m.world.Unlock()
	var out []string
	for _, i := range m.net.Answering(vip, world.FromClients) {
		out = append(out, i.Host)
	}
	return out
}

// Events streams what real's hypervisor reports until ctx ends. While the host
// is silent reports are lost; the silence itself is one.
func (m *Model) Events(ctx context.Context, real netip.Addr) (<-chan cluster.Event, error) {
	return m.reports.Subscribe(ctx, real)
}

// Accesses are the TCP SYNs to each VIP since the fleet began.
func (m *Model) Accesses(ctx context.Context) (map[netip.Addr]uint64, error) {
	return m.balancer.Accesses(ctx)
}

// SetLoad changes the load on every server of a group: percent of memory, CPU
// and network for each VIP a server holds, reached within over; accesses are
// client accesses per second besides the one client's.
func (m *Model) SetLoad(group string, percent, accesses float64, over time.Duration) error {
	return m.balancer.SetLoad(group, percent, accesses, over)
}
