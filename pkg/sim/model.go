package sim

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"pss-msbs/pkg/clock"
	"pss-msbs/pkg/cluster"
)

// Model is a fleet in this process. All its methods may be called at once from
// many goroutines. Close ends it.
type Model struct {
	*hypervisors
	*agents
	*probes
	*machines
	*faults
	*world
	balancer *balancer
	reports  *reports
	net      *network
	pace     *pace
	harms    *harms
	judge    *judge
	life     *life
	lates    *lates
}

// world is what everything in the fleet stands on: its time, its machines, its
// luck and the record of what happened.
type world struct {
	*course
	spec     Spec
	hosts    map[netip.Addr]*host
	order    []*host // the management server first, then by address
	guests   map[string]*guest
	byIP     map[netip.Addr]*guest
	names    []string
	lots     lots
	timeline []Entry
	asked    asked
}

// host is a real server, or the management server.
type host struct {
	HostSpec
	management  bool
	state       HostState
	life        int // changes when what runs on it is lost or stopped; an operation begun before is void
	partitioned bool
	hypervisor  daemonState
	starts      int           // of the hypervisor
	warm        map[Kind]bool // the disk cache holds this kind's image
	on          map[string]*instance
	ordered     []*instance   // on by name; made anew by every change
	slow        time.Duration // added to every call
	wolLost     int           // so many magic packets will be lost
	neverWakes  bool
	failSuspend int
	taken       bool  // its processors are, by other work; see RealBusy
	total, idle meter // of its processors

	silent   bool      // its hypervisor cannot be reached from the management server
	since    time.Time // of its last silence
	answered time.Time // first answer after it; zero: none yet
	reported time.Time // when the last of its reports, delayed on its way, is heard
}

// guest is a server wherever it is.
type guest struct {
	GuestSpec
	mac   cluster.MAC
	saved *instance // its image on shared storage

	restored                           *host     // where it is being restored
	restoredUntil                      time.Time // until then
	failBoot, failRestore, failMigrate int
}

// instance is a guest on one host; a careless start makes two of them.
type instance struct {
	*guest
	at         *host
	state      cluster.GuestState
	seen       cluster.GuestState // what the hypervisor still believes until seenUntil
	seenUntil  time.Time
	life       int // changes at boot, reset, stop
	bootLate   bool
	bootHangs  bool // it never ends, and waits
	linkDown   bool // by the hypervisor: the fence
	cut        bool // by a fault
	frozen     bool
	loops      bool // a frozen kernel uses its processors
	agentDead  bool
	staleClock bool
	agentHung  bool
	stall      *stall // nil: it is not held
	overloaded bool
	overloads  int       // so many began
	jamming    bool      // its next jam is on the agenda
	sound      state     // it would answer clients, were its link up
	known      state     // and the management server could find out
	harmed     int       // 1 + the life in which it was; 0: never
	used       meter     // of its processors
	busy       time.Time // the hypervisor works on it until then
	restarted  time.Time // by itself, the last time
	vips       map[netip.Addr]vipHold
	daemons    map[string]daemonState
}

// vipHold says since when a guest holds a VIP and when it last told the switch.
type vipHold struct{ since, announced time.Time }

type daemonState string

const (
	running daemonState = "running"
	stopped daemonState = "stopped"
	frozen  daemonState = "frozen"
)

// New starts the fleet as s describes it, on clk.
func New(s Spec, clk clock.Clock) (*Model, error) {
	m := &Model{}
	w, err := newWorld(s, newCourse(clk, m.settle))
	if err != nil {
		return nil, fmt.Errorf("cannot emulate the fleet: %v", err)
	}
	m.world, m.net, m.lates = w, newNetwork(w), newLates(w)
	m.reports = newReports(w, m.net)
	m.pace = newPace(w, m.reports)
	m.harms = newHarms(w, m.net, m.pace)
	m.judge = newJudge(w, m.net, m.harms, m.lates)
	m.balancer = &balancer{world: w, net: m.net, pace: m.pace}
	m.life = &life{world: w, pace: m.pace, reports: m.reports}
	calls := &calls{world: w, net: m.net, lates: m.lates}
	m.hypervisors = &hypervisors{calls: calls, life: m.life, reports: m.reports, pace: m.pace, harms: m.harms, judge: m.judge}
	m.agents = &agents{calls: calls, pace: m.pace, harms: m.harms, judge: m.judge}
	m.probes = &probes{world: w, net: m.net, pace: m.pace}
	m.machines = &machines{calls: calls, life: m.life, judge: m.judge}
	m.faults = &faults{world: w, net: m.net, life: m.life, pace: m.pace, reports: m.reports, lates: m.lates}
	w.begin(m.balancer.start)
	return m, nil
}

// settle draws the conclusions from a change: silence, who holds what, power.
func (m *Model) settle() {
	m.reports.settle()
	m.net.settle()
	m.harms.settle()
	m.judge.settle()
	m.pace.settle()
}

func newWorld(s Spec, c *course) (*world, error) {
	w := &world{course: c, spec: s, hosts: map[netip.Addr]*host{}, guests: map[string]*guest{}, byIP: map[netip.Addr]*guest{},
		lots: newLots(s.Seed, c.start), asked: asked{}}
	return w, w.build()
}

func (w *world) build() error {
	w.addHost(HostSpec{Name: "management", IP: w.spec.Management, MAC: GuestMAC(w.spec.Management), MemoryKB: managementMemoryKB}, true)
	for _, h := range w.spec.Hosts {
		if w.hosts[h.IP] != nil {
			return fmt.Errorf("two real servers at %s", h.IP)
		}
		w.addHost(h, false)
	}
	for _, g := range w.spec.Guests {
		if w.guests[g.Host] != nil || w.byIP[g.IP] != nil {
			return fmt.Errorf("two servers named %s or at %s", g.Host, g.IP)
		}
		if err := w.addGuest(g); err != nil {
			return err
		}
	}
	w.names = slices.Sorted(maps.Keys(w.guests))
	return nil
}

func (w *world) addHost(s HostSpec, management bool) {
	if s.State == "" {
		s.State = Active
	}
	if s.Cores == 0 {
		s.Cores = hostCores
	}
	h := &host{HostSpec: s, management: management, state: s.State, answered: w.now, hypervisor: running, warm: map[Kind]bool{}, on: map[string]*instance{}}
	w.hosts[s.IP] = h
	w.order = append(w.order, h)
}

func (w *world) addGuest(s GuestSpec) error {
	g := &guest{GuestSpec: s, mac: GuestMAC(s.IP)}
	w.guests[s.Host], w.byIP[s.IP] = g, g
	if s.Home.IsValid() {
		h := w.hosts[s.Home]
		if h == nil {
			return fmt.Errorf("%s is on an unknown real server %s", s.Host, s.Home)
		}
		newInstance(g, h)
	}
	if s.Ready && !s.On.IsValid() {
		return w.addReady(g)
	}
	if !s.On.IsValid() {
		return nil
	}
	h := w.hosts[s.On]
	if h == nil {
		return fmt.Errorf("%s runs on an unknown real server %s", s.Host, s.On)
	}
	i := h.on[s.Host]
	if i == nil {
		i = newInstance(g, h)
	}
	i.state, h.warm[s.Kind] = cluster.GuestRunning, true
	i.startDaemons()
	for _, v := range s.VIPs {
		i.vips[v] = vipHold{since: w.now, announced: w.now}
	}
	return nil
}

// addReady has a backup paused, a spare saved, as they are once they were created.
func (w *world) addReady(g *guest) error {
	if !g.Home.IsValid() {
		h := w.hosts[w.spec.Management]
		i := newInstance(g, h)
		h.drop(g.Host)
		i.state, g.saved = cluster.GuestPaused, i
		i.startDaemons()
		return nil
	}
	h := w.hosts[g.Home]
	i := h.on[g.Host]
	i.state, h.warm[g.Kind] = cluster.GuestPaused, true
	i.startDaemons()
	return nil
}

// newInstance defines g on h, shut off.
func newInstance(g *guest, h *host) *instance {
	i := &instance{guest: g, at: h, state: cluster.GuestOff, vips: map[netip.Addr]vipHold{}, daemons: map[string]daemonState{}}
	h.put(i)
	return i
}

// put has i on h, drop nobody of that name.
func (h *host) put(i *instance) {
	h.on[i.Host] = i
	h.ordered = nil
}

func (h *host) drop(name string) {
	delete(h.on, name)
	h.ordered = nil
}

func (i *instance) startDaemons() {
	for _, d := range i.Daemons {
		i.daemons[d] = running
	}
}

// live reports whether the guest's machine exists there: it runs, boots or is paused.
func (i *instance) live() bool {
	switch i.state {
	case cluster.GuestRunning, cluster.GuestBooting, cluster.GuestPaused:
		return true
	}
	return false
}

// inOrder are the guests on the host by name, so that one run is like another.
func (h *host) inOrder() []*instance {
	if h.ordered == nil {
		h.ordered = slices.Collect(maps.Values(h.on))
		slices.SortFunc(h.ordered, func(a, b *instance) int { return strings.Compare(a.Host, b.Host) })
	}
	return h.ordered
}

// up reports whether the host's processors run, whoever can reach it.
func (h *host) up() bool { return h.state == Active || h.state == Suspending }
