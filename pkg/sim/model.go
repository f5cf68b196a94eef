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
	"pss-msbs/pkg/sim/packet"
	"pss-msbs/pkg/sim/spec"
	"pss-msbs/pkg/sim/world"
)

// Model is a fleet in this process. All its methods may be called at once from
// many goroutines. Close ends it.
type Model struct {
	*hypervisors
	*agents
	*machines
	*probes
	*faults
	fleet *fleet
}

// fleet is what a Model is made of, each part of those before it.
type fleet struct {
	*world.World
	net      *world.Network
	reports  *world.Reports
	pace     *world.Pace
	lates    *world.Lates
	harms    *judge.Harms
	judge    *judge.Judge
	balancer *balancer.Balancer
	life     *life.Life
}

// New starts the fleet as s describes it, on clk.
func New(s spec.Spec, clk clock.Clock) (*Model, error) {
	f := &fleet{}
	w, err := world.New(s, course.New(clk, f.settle))
	if err != nil {
		return nil, fmt.Errorf("cannot emulate the fleet: %v", err)
	}
	f.World, f.net, f.lates = w, world.NewNetwork(w), world.NewLates(w)
	f.reports = world.NewReports(w, f.net)
	f.pace = world.NewPace(w, f.reports)
	f.harms = judge.NewHarms(w, f.net, f.pace)
	f.judge = judge.New(w, f.net, f.harms, f.lates)
	f.balancer = balancer.New(w, f.net, f.pace)
	f.life = life.New(w, f.pace, f.reports)
	c := &calls{f}
	f.Begin(f.balancer.Start)
	return &Model{&hypervisors{c}, &agents{c}, &machines{c}, &probes{f}, &faults{f}, f}, nil
}

// settle draws the conclusions from a change: silence, who holds what, power.
func (f *fleet) settle() {
	f.reports.Settle()
	f.net.Settle()
	f.harms.Settle()
	f.judge.Settle()
	f.pace.Settle()
}

// Status tells what q asks for.
func (m *Model) Status(ctx context.Context, q Query) (Status, error) {
	m.fleet.Lock()
	defer m.fleet.Unlock()
	return m.fleet.status(q), ctx.Err()
}

// Close ends the fleet; calls that hang return.
func (m *Model) Close() error { return m.fleet.Close() }

// Violations are all that were recorded so far.
func (m *Model) Violations() []judge.Violation {
	m.fleet.Lock()
	defer m.fleet.Unlock()
	if len(m.fleet.judge.Violations) == 0 { // asked often
		return nil
	}
	out, _ := m.fleet.judge.Since(time.Time{})
	return out
}

// Harms are all that were done so far.
func (m *Model) Harms() []judge.Harm {
	m.fleet.Lock()
	defer m.fleet.Unlock()
	return append([]judge.Harm(nil), m.fleet.harms.Done...)
}

// Holders are the guests that hold vip, seen from the clients.
func (m *Model) Holders(vip netip.Addr) []string {
	m.fleet.Lock()
	defer m.fleet.Unlock()
	var out []string
	for _, i := range m.fleet.net.Answering(vip, world.FromClients) {
		out = append(out, i.Host)
	}
	return out
}

// Events streams what real's hypervisor reports until ctx ends. While the host
// is silent reports are lost; the silence itself is one.
func (m *Model) Events(ctx context.Context, real netip.Addr) (<-chan cluster.Event, error) {
	return m.fleet.reports.Subscribe(ctx, real)
}

// Accesses are the TCP SYNs to each VIP since the fleet began.
func (m *Model) Accesses(ctx context.Context) (map[netip.Addr]uint64, error) {
	return m.fleet.balancer.Accesses(ctx)
}

// SetLoad changes the load on every server of a group: percent of memory, CPU
// and network for each VIP a server holds, reached within over; accesses are
// client accesses per second besides the one client's.
func (m *Model) SetLoad(group string, percent, accesses float64, over time.Duration) error {
	return m.fleet.balancer.SetLoad(group, percent, accesses, over)
}

// What a fleet is described with, by the names that those who build one use.
type (
	Spec      = spec.Spec
	HostSpec  = spec.HostSpec
	GuestSpec = spec.GuestSpec
	VIPSpec   = spec.VIPSpec
	Balancer  = spec.Balancer
	Path      = packet.Path
)

// The kinds of guests and the states of real servers that callers ask for.
const (
	Virtual   = spec.Virtual
	Backup    = spec.Backup
	Spare     = spec.Spare
	Active    = spec.Active
	Suspended = spec.Suspended
	Off       = spec.Off
)
