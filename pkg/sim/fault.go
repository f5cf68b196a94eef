package sim

import (
	"maps"
	"slices"
	"time"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/sim/packet"
)

// Fault is something that goes wrong on purpose.
type Fault struct {
	Kind   string        `json:"kind"`
	Target string        `json:"target"`          // a guest, a real server (name or address), "management", or GUEST:DAEMON
	For    time.Duration `json:"for,omitempty"`   // emulated; healed after that, 0: until Heal
	Delay  time.Duration `json:"delay,omitempty"` // slow-calls: added to each call
	Path   packet.Path   `json:"path,omitzero"`   // path: what it adds

	Says cluster.GuestState `json:"says,omitempty"` // vm-stall: what the hypervisor says meanwhile, running (as "") or paused
}

// The faults of Table 5 and the others.
const (
	ServiceStop      = "service-stop"      // GUEST or GUEST:DAEMON; cured by a restart of the daemon
	ServiceFreeze    = "service-freeze"    // accepts TCP, never greets; cured by a restart of its server only
	VMRestart        = "vm-restart"        // the guest reboots
	VMShutdown       = "vm-shutdown"       // the guest powers off
	VMCrash          = "vm-crash"          // its process dies
	VMFreeze         = "vm-freeze"         // its kernel hangs: no ping, no agent
	NetworkCut       = "network-cut"       // the guest's link, until healed
	AgentDead        = "agent-dead"        // until healed or rebooted
	RealRestart      = "rs-restart"        // the real server reboots
	RealShutdown     = "rs-shutdown"       // powers off; a magic packet boots it
	RealFreeze       = "rs-freeze"         // hangs with all its guests, until healed
	Partition        = "partition"         // cut off, its guests go on inside, until healed
	HypervisorStop   = "hypervisor-stop"   // its daemon is down; RestartHypervisor cures
	HypervisorFreeze = "hypervisor-freeze" // its daemon hangs; RestartHypervisor cures
	NetworkLost      = "network-lost"      // "management": its own link
	SlowCalls        = "slow-calls"        // a real server's hypervisor
	WakeLost         = "wol-lost"          // the next magic packet
	WakeNever        = "wake-never"        // no magic packet is heard, until healed
	SuspendFail      = "suspend-fail"      // the next suspend
	BootFail         = "boot-fail"         // the guest's next boot never ends
	RestoreFail      = "restore-fail"      // the guest's next restore
	MigrateFail      = "migrate-fail"      // the guest's next migration
	VMStall          = "vm-stall"          // its hypervisor holds the guest: no ping, no greeting, its agent is silent; then all goes on
	Overload         = "overload"          // the guest works at its limit: 100 % CPU, it greets after seconds, and jams for seconds at times; until healed or rebooted
	VMJam            = "vm-jam"            // the guest does nothing but work: 100 % CPU, no ping, no greeting, its agent is silent; then all goes on
	VMLivelock       = "vm-livelock"       // its kernel hangs in a loop: as vm-freeze, at 100 % CPU
	RealTaken        = "rs-taken"          // a real server's, or the management server's, processors are taken by other work: it has none idle, its guests are overloaded and jam, boots take three times as long; until healed
	AgentHung        = "agent-hung"        // its channel stays open and nothing answers, until healed or rebooted
	Late             = "late"              // a guest or a real server: commands for it are not answered, and come true after their callers have gone
	BadPath          = "path"              // packets are lost or late: see Spec.Paths for its targets; until healed
)

// FaultKinds lists every fault by name.
func FaultKinds() []string {
	out := slices.Collect(maps.Keys(anyFaults()))
	out = slices.AppendSeq(out, maps.Keys(hostFaults()))
	out = slices.AppendSeq(out, maps.Keys(definedFaults()))
	out = slices.AppendSeq(out, maps.Keys(guestFaults()))
	slices.Sort(out)
	return out
}

// endsAlone tells of the faults that end by themselves, and take no other of
// their target with them.
func endsAlone(kind string) bool {
	return kind == VMStall || kind == VMJam || kind == Overload || kind == Late || kind == BadPath
}
