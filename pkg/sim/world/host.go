package world

import (
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
	Management  bool
	State       spec.HostState
	Life        int // changes when what runs on it is lost or stopped; an operation begun before is void
	Partitioned bool
	Hypervisor  DaemonState
	Starts      int                // of the hypervisor
	Warm        map[spec.Kind]bool // the disk cache holds this kind's image
	On          map[string]*Instance
	ordered     []*Instance   // on by name; made anew by every change
	Slow        time.Duration // added to every call
	WolLost     int           // so many magic packets will be lost
	NeverWakes  bool
	FailSuspend int
	Taken       bool  // its processors are, by other work; see RealBusy
	Total, Idle Meter // of its processors

	Silent   bool      // its hypervisor cannot be reached from the management server
	Since    time.Time // of its last silence
	Answered time.Time // first answer after it; zero: none yet
	reported time.Time // when the last of its reports, delayed on its way, is heard
}

// managementMemoryKB is more than a real server has: the management server holds
// every backup at once.
const managementMemoryKB = 64 << 20

// hostCores are a real server's processors where its HostSpec names none.
const hostCores = 8

// NewInstance defines g on h, shut off.
func NewInstance(g *Guest, h *Host) *Instance {
	i := &Instance{Guest: g, At: h, State: cluster.GuestOff, Holds: map[netip.Addr]VIPHold{}, Services: map[string]DaemonState{}}
	h.Put(i)
	return i
}

// Put has i on h, drop nobody of that name.
func (h *Host) Put(i *Instance) {
	h.On[i.Host] = i
	h.ordered = nil
}

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
