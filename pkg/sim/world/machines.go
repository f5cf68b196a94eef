package world

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/sim/spec"
)

// Host is a real server, or the management server.
type Host struct {
	spec.HostSpec
	Troubles
	Management  bool
	State       spec.HostState
	Life        int // changes when what runs on it is lost or stopped; an operation begun before is void
	Hypervisor  DaemonState
	Starts      int                // of the hypervisor
	Warm        map[spec.Kind]bool // the disk cache holds this kind's image
	On          map[string]*Instance
	ordered     []*Instance // on by name; made anew by every change
	Total, Idle Meter       // of its processors

	Silent   bool      // its hypervisor cannot be reached from the management server
	Since    time.Time // of its last silence
	Answered time.Time // first answer after it; zero: none yet
	reported time.Time // when the last of its reports, delayed on its way, is heard
}

// Troubles are the faults of a host that end once it is healed.
type Troubles struct {
	Partitioned bool
	Slow        time.Duration // added to every call
	WolLost     int           // so many magic packets will be lost
	NeverWakes  bool
	FailSuspend int
	Taken       bool // its processors are, by other work
}

// managementMemoryKB is more than a real server has: the management server holds
// every backup at once.
const managementMemoryKB = 64 << 20

// hostCores are a real server's processors where its HostSpec names none.
const hostCores = 8

// NewInstance defines g on h, shut off.
func NewInstance(g *Guest, h *Host) *Instance {
	i := &Instance{Guest: g, At: h, State: cluster.GuestOff, Session: NewSession()}
	h.Put(i)
	return i
}

// Put has i on h.
func (h *Host) Put(i *Instance) {
	h.On[i.Host] = i
	h.ordered = nil
}

// Drop takes the guest of that name off.
func (h *Host) Drop(name string) {
	delete(h.On, name)
	h.ordered = nil
}

// InOrder are the guests on the host by name, so that one run is like another.
func (h *Host) InOrder() []*Instance {
	if h.ordered == nil {
		h.ordered = slices.Collect(maps.Values(h.On))
		slices.SortFunc(h.ordered, func(a, b *Instance) int { return strings.Compare(a.Host, b.Host) })
	}
	return h.ordered
}

// Up reports whether the host's processors run, whoever can reach it.
func (h *Host) Up() bool { return h.State == spec.Active || h.State == spec.Suspending }

// booting is how many guests boot on h, those that hang in it apart.
func (h *Host) booting() int {
	n := 0
	for _, i := range h.On {
		if i.State == cluster.GuestBooting && !i.BootHangs {
			n++
		}
	}
	return n
}

// crowded reports whether h has no idle processor: others have taken them, or a
// guest boots.
func (h *Host) crowded() bool { return h.Taken || h.booting() > 0 }

// Watts is a real server's power; the paper does not count the management server.
func (h *Host) Watts() float64 {
	switch h.State {
	case spec.Off:
		return 0
	case spec.Suspended:
		return h.SuspendedW
	}
	return h.ActiveW
}

// Guest is a server wherever it is.
type Guest struct {
	spec.GuestSpec
	MAC   cluster.MAC
	Saved *Instance // its image on shared storage

	Restored      *Host     // where it is being restored
	RestoredUntil time.Time // until then
	Fails
}

// Fails are how many of a guest's next boots and moves will fail.
type Fails struct{ FailBoot, FailRestore, FailMigrate int }

// IsRestored reports whether k is just being restored on h.
func (k *Guest) IsRestored(h *Host, now time.Time) bool {
	return k != nil && k.Restored == h && now.Before(k.RestoredUntil)
}

// Instance is a guest on one host; a careless start makes two of them.
type Instance struct {
	*Guest
	Session
	At        *Host
	State     cluster.GuestState
	Seen      cluster.GuestState // what the hypervisor still believes until SeenUntil
	Life      int                // changes at boot, reset, stop
	LinkDown  bool               // by the hypervisor: the fence
	Cut       bool               // by a fault
	Stall     *Stall             // nil: it is not held
	overloads int                // so many began
	Sound     state              // it would answer clients, were its link up
	Known     state              // and the management server could find out
	Harmed    int                // 1 + the life in which it was; 0: never
	Used      Meter              // of its processors
	Busy      time.Time          // the hypervisor works on it until then
	Restarted time.Time          // by itself, the last time
}

// Session is what a guest loses when it stops.
type Session struct {
	SeenUntil  time.Time
	BootLate   bool
	BootHangs  bool // it never ends, and waits
	Frozen     bool
	Loops      bool // a frozen kernel uses its processors
	AgentDead  bool
	AgentHung  bool
	StaleClock bool
	Overloaded bool
	Jamming    bool // its next jam is on the agenda
	Holds      map[netip.Addr]VIPHold
	Services   map[string]DaemonState
}

// NewSession begins without VIPs and services.
func NewSession() Session {
	return Session{Holds: map[netip.Addr]VIPHold{}, Services: map[string]DaemonState{}}
}

// VIPHold says since when a guest holds a VIP and when it last told the switch.
type VIPHold struct{ Since, Announced time.Time }

// DaemonState is that of a service program, or of a hypervisor.
type DaemonState string

// The states of a program.
const (
	Running DaemonState = "running"
	Stopped DaemonState = "stopped"
	Frozen  DaemonState = "frozen"
)

// StartDaemons has its services run.
func (i *Instance) StartDaemons() {
	for _, d := range i.Daemons {
		i.Services[d] = Running
	}
}

// Live reports whether the guest's machine exists there: it runs, boots or is paused.
func (i *Instance) Live() bool {
	switch i.State {
	case cluster.GuestRunning, cluster.GuestBooting, cluster.GuestPaused:
		return true
	}
	return false
}

// IsPaused reports whether the hypervisor says so; then it refuses calls of the agent.
func (i *Instance) IsPaused() bool {
	return i.State == cluster.GuestPaused || i.State == cluster.GuestRunning && i.Stall != nil && i.Stall.says == cluster.GuestPaused
}

// SortedVIPs are those it holds.
func (i *Instance) SortedVIPs() []netip.Addr {
	return slices.SortedFunc(maps.Keys(i.Holds), netip.Addr.Compare)
}

// Serves reports whether all its services run.
func (i *Instance) Serves() bool {
	for _, s := range i.Services {
		if s != Running {
			return false
		}
	}
	return true
}

// Works reports whether the programs of i run at this moment.
func (i *Instance) Works() bool {
	return i.State == cluster.GuestRunning && i.Stall == nil && !i.Frozen && !i.AgentHung && i.At.Up()
}

// slowed reports whether i gets less of a processor than it could use.
func (i *Instance) slowed() bool { return i.Overloaded || i.At.Taken }

// BreakDaemon stops or freezes one daemon, the first where none is named.
func (i *Instance) BreakDaemon(daemon string, s DaemonState) error {
	if daemon == "" && len(i.Daemons) > 0 {
		daemon = i.Daemons[0]
	}
	if i.Services[daemon] == "" {
		return fmt.Errorf("no service %q runs there", daemon)
	}
	i.Services[daemon] = s
	return nil
}

// state is something that is or is not, and since when.
type state struct {
	is    bool
	since time.Time // zero: always
}

// Mark notes what it is now.
func (s *state) Mark(is bool, now time.Time) {
	if s.is != is {
		s.is, s.since = is, now
	}
}

// Long reports whether it is, and was d ago.
func (s *state) Long(now time.Time, d time.Duration) bool { return s.is && now.Sub(s.since) >= d }

// Stall is a guest that its hypervisor holds for a moment, as a snapshot or
// the end of a migration does: it loses nothing, and time passes it by. Or one
// that works on something and does nothing else.
type Stall struct {
	Over  chan struct{} // closed at its end
	from  time.Time
	until time.Time // zero: until healed
	says  cluster.GuestState
	works bool // its processors do: a jam
}

// Brief reports whether a stall ends before a client gives up. What waits for the
// end of a jam waits for the work behind it too.
func (s *Stall) Brief(patience time.Duration) bool {
	return s == nil || !s.works && !s.until.IsZero() && s.until.Sub(s.from) <= patience
}

// Meter is a total of processor time, which grows at the present rate.
type Meter struct {
	Total time.Duration
	rate  float64 // processors
	since time.Time
}

// set reads the meter, and lets it go on at another rate.
func (t *Meter) set(now time.Time, rate float64) {
	t.Total += time.Duration(t.rate * float64(now.Sub(t.since)))
	t.rate, t.since = rate, now
}
