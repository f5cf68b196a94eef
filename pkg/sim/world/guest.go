package world

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/sim/spec"
)

// Guest is a server wherever it is.
type Guest struct {
	spec.GuestSpec
	MAC   cluster.MAC
	Saved *Instance // its image on shared storage

	Restored                           *Host     // where it is being restored
	RestoredUntil                      time.Time // until then
	FailBoot, FailRestore, FailMigrate int
}

// IsRestored reports whether k is just being restored on h.
func (k *Guest) IsRestored(h *Host, now time.Time) bool {
	return k != nil && k.Restored == h && now.Before(k.RestoredUntil)
}

// Instance is a guest on one host; a careless start makes two of them.
type Instance struct {
	*Guest
	At         *Host
	State      cluster.GuestState
	Seen       cluster.GuestState // what the hypervisor still believes until seenUntil
	SeenUntil  time.Time
	Life       int // changes at boot, reset, stop
	BootLate   bool
	BootHangs  bool // it never ends, and waits
	LinkDown   bool // by the hypervisor: the fence
	Cut        bool // by a fault
	Frozen     bool
	Loops      bool // a frozen kernel uses its processors
	AgentDead  bool
	StaleClock bool
	AgentHung  bool
	Stall      *Stall // nil: it is not held
	Overloaded bool
	overloads  int       // so many began
	Jamming    bool      // its next jam is on the agenda
	Sound      state     // it would answer clients, were its link up
	Known      state     // and the management server could find out
	Harmed     int       // 1 + the life in which it was; 0: never
	Used       Meter     // of its processors
	Busy       time.Time // the hypervisor works on it until then
	Restarted  time.Time // by itself, the last time
	Holds      map[netip.Addr]VIPHold
	Services   map[string]DaemonState
}

// VIPHold says since when a guest holds a VIP and when it last told the switch.
type VIPHold struct{ Since, Announced time.Time }

type DaemonState string

const (
	Running DaemonState = "running"
	Stopped DaemonState = "stopped"
	Frozen  DaemonState = "frozen"
)

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

func (i *Instance) SortedVIPs() []netip.Addr {
	out := make([]netip.Addr, 0, len(i.Holds))
	for v := range i.Holds {
		out = append(out, v)
	}
	slices.SortFunc(out, netip.Addr.Compare)
	return out
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
