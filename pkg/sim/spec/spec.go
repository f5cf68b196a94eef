// Package spec describes an emulated fleet before it starts, with the times of
// the paper's Table 4.
package spec

import (
	"hash/fnv"
	"net/netip"
	"time"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/sim/packet"
)

// Kind tells Table 4's columns apart.
type Kind string

// The kinds of guests.
const (
	Virtual Kind = "virtual"
	Backup  Kind = "backup"
	Spare   Kind = "spare"
)

// HostState is the power state of a real server.
type HostState string

// The states of a real server.
const (
	Active     HostState = "active"
	Suspending HostState = "suspending" // a suspend is under way, it still answers
	Suspended  HostState = "suspended"  // to memory; a magic packet wakes it
	Waking     HostState = "waking"
	Booting    HostState = "booting"
	Off        HostState = "off" // a magic packet boots it
	Frozen     HostState = "frozen"
)

// Spec is an emulated fleet before it starts.
type Spec struct {
	Management netip.Addr // always up; host of the backups
	Hosts      []HostSpec
	Guests     []GuestSpec
	VIPs       []VIPSpec
	References []netip.Addr // answer pings while the management server's network is well

	Times         Times
	Balancer      Balancer
	Load          float64       // percent, on every group at the beginning
	StripDeadline time.Duration // how long a host that was silent at a takeover may hold a VIP twice (SPEC 10)

	// Late is the share of the commands whose callers have gone, at their deadlines
	// or before, that come true all the same: within a second, or, where the guest or
	// the hypervisor cannot do anything meanwhile, once it can.
	Late float64

	Seed  uint64                 // of what happens to packets and of how long the slow take
	Path  packet.Path            // between the management server and everybody else, as long as the fleet lives
	Paths map[string]packet.Path // and to a guest, a real server and what is on it, "hypervisor:" and a real server, a reference, "references", "management" (its own link)

	// Patience is how long a client waits for an answer; 0 is DefaultPatience.
	// Who takes a VIP from a server that would have answered within it does harm.
	Patience time.Duration

	// PartitionSparesClients lets clients reach a partitioned host that the
	// management server cannot.
	PartitionSparesClients bool
}

// HostSpec is a real server.
type HostSpec struct {
	Name       string
	IP         netip.Addr
	MAC        cluster.MAC
	State      HostState // Active, Suspended or Off; "" is Active
	ActiveW    float64
	SuspendedW float64
	MemoryKB   int64
	Cores      int // 0: 8
}

// GuestSpec is a virtual, backup or spare server.
type GuestSpec struct {
	Host        string
	IP          netip.Addr
	Group       string
	Kind        Kind
	Daemons     []string
	Home        netip.Addr // where it is defined while it is off; zero for a spare
	On          netip.Addr // where it runs at the beginning; zero: nowhere
	VIPs        []netip.Addr
	Backup      string // its backup's Host; "": not said, it may be any
	Ready       bool   // a backup that stands paused, a spare that is saved, at the beginning
	MemoryKB    int64
	Cores       int
	NetworkMbps float64
}

// VIPSpec is a VIP that clients use.
type VIPSpec struct {
	VIP   netip.Addr
	Group string
}

// Start holds the start and restart times of one kind (Table 4).
type Start struct {
	First, Second  time.Duration // first boot on a host, and later ones out of its disk cache
	Restart        time.Duration
	Pause, Resume  time.Duration // "suspend" and "activate" of Table 4
	Save, Restored time.Duration
}

// Times are the durations of the emulation, in emulated time.
type Times struct {
	Guest map[Kind]Start

	RealStart, RealRestart, RealSuspend, RealWake time.Duration // Table 4

	Hypervisor        time.Duration // a hypervisor call
	Agent             time.Duration // a guest agent call (LAB)
	Ping, Greet, ARP  time.Duration // a probe that is answered
	ARPTimeout        time.Duration // WhoHas when nobody answers
	ProbeTimeout      time.Duration // a probe nobody answers, where the context has no deadline
	RestartDaemon     time.Duration
	RestartHypervisor time.Duration
	SetLink           time.Duration
	Migrate           time.Duration

	AgentGone, Rebooted, Shutdown, Crashed time.Duration // from the fault to the event (LAB; a crash takes up to 1.9 s where init does not reap QEMU at once)
	Disconnected                           time.Duration // from a host's silence to the connection's close

	// What a greeting takes more, at most, at 100 % CPU (it grows from 70 % on), and
	// for each guest that boots on the same host at that moment. Zero: nothing.
	BusyGreet, BootGreet time.Duration
}

// Balancer is the load balancer and the clients behind it.
type Balancer struct {
	Off            bool          // no balancer, no clients, no accesses
	CheckInterval  time.Duration // one health check of every VIP
	PerSecond      float64       // k: monitoring accesses per VIP and second
	ConnectTimeout time.Duration // then another server is tried (redispatch)
	Latency        time.Duration // of an access that is served
	AskInterval    time.Duration // of the one client of every group
}

const ms = time.Millisecond

// DefaultPatience is how long a client waits for an answer.
const DefaultPatience = 5 * time.Second

// DefaultTimes are the times of Table 4 and of the lab.
func DefaultTimes() Times {
	return Times{
		Guest: map[Kind]Start{
			Virtual: {First: 25140 * ms, Second: 11340 * ms, Restart: 13570 * ms, Pause: 2450 * ms, Resume: 530 * ms, Save: 2450 * ms, Restored: 530 * ms},
			Backup:  {First: 23490 * ms, Second: 11950 * ms, Restart: 14070 * ms, Pause: 2450 * ms, Resume: 530 * ms, Save: 2450 * ms, Restored: 530 * ms},
			Spare:   {First: 47380 * ms, Second: 29080 * ms, Restart: 26570 * ms, Pause: 2320 * ms, Resume: 1090 * ms, Save: 2320 * ms, Restored: 1090 * ms},
		},
		RealStart: 47390 * ms, RealRestart: 48010 * ms, RealSuspend: 2470 * ms, RealWake: 8530 * ms,
		Hypervisor: 10 * ms, Agent: 60 * ms, Ping: ms, Greet: 3 * ms, ARP: 2 * ms, ARPTimeout: 500 * ms, ProbeTimeout: 5 * time.Second,
		RestartDaemon: 400 * ms, RestartHypervisor: 1500 * ms, SetLink: 70 * ms, Migrate: 3700 * ms,
		AgentGone: 120 * ms, Rebooted: 190 * ms, Shutdown: 250 * ms, Crashed: 100 * ms, Disconnected: 3200 * ms,
	}
}

// DefaultBalancer checks every second and asks every second, as in the paper's experiment.
func DefaultBalancer() Balancer {
	return Balancer{CheckInterval: time.Second, PerSecond: 1, ConnectTimeout: 250 * ms, Latency: 2 * ms, AskInterval: time.Second}
}

// GuestMAC is the Ethernet address of the guest with the own address ip.
func GuestMAC(ip netip.Addr) cluster.MAC {
	h := fnv.New64a()
	h.Write(ip.AsSlice())
	b := h.Sum(nil)
	return cluster.MAC{0x52, b[1], b[2], b[3], b[4], b[5]} // 0x52: locally administered
}
