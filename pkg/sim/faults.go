package sim

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/sim/packet"
	"pss-msbs/pkg/sim/spec"
	"pss-msbs/pkg/sim/world"
)

// faults are done, and healed.
type faults struct{ *fleet }

// anyFaults, hostFaults, definedFaults and guestFaults do a fault: to what it names,
// to a real server, to a guest wherever it is, to one that lives. The lock is held.
func anyFaults() map[string]func(*faults, Fault) error {
	return map[string]func(*faults, Fault) error{
		BadPath: func(fs *faults, f Fault) error { return fs.net.Worsen(f.Target, f.Path, f.For) },
		Late:    func(fs *faults, f Fault) error { return fs.lates.Delay(f.Target, f.For) },
		NetworkLost: func(fs *faults, f Fault) error {
			if f.Target != world.PartManagement {
				return fmt.Errorf("want management")
			}
			fs.net.Cut = true
			return nil
		},
	}
}

func hostFaults() map[string]func(*faults, *world.Host, Fault) {
	return map[string]func(*faults, *world.Host, Fault){
		RealRestart: func(fs *faults, h *world.Host, _ Fault) {
			fs.life.Fall(h, spec.Booting)
			fs.life.Rise(h, spec.Booting, fs.Spec.Times.RealRestart)
		},
		RealShutdown:     func(fs *faults, h *world.Host, _ Fault) { fs.life.Fall(h, spec.Off) },
		RealFreeze:       func(fs *faults, h *world.Host, _ Fault) { fs.life.FreezeHost(h) },
		Partition:        func(_ *faults, h *world.Host, _ Fault) { h.Partitioned = true },
		HypervisorStop:   func(_ *faults, h *world.Host, _ Fault) { h.Hypervisor = world.Stopped },
		HypervisorFreeze: func(_ *faults, h *world.Host, _ Fault) { h.Hypervisor = world.Frozen },
		SlowCalls:        func(_ *faults, h *world.Host, f Fault) { h.Slow = f.Delay },
		WakeLost:         func(_ *faults, h *world.Host, _ Fault) { h.WolLost++ },
		WakeNever:        func(_ *faults, h *world.Host, _ Fault) { h.NeverWakes = true },
		SuspendFail:      func(_ *faults, h *world.Host, _ Fault) { h.FailSuspend++ },
		RealTaken:        func(_ *faults, h *world.Host, _ Fault) { h.Taken = true },
	}
}

func definedFaults() map[string]func(*world.Guest) {
	return map[string]func(*world.Guest){
		BootFail:    func(g *world.Guest) { g.FailBoot++ },
		RestoreFail: func(g *world.Guest) { g.FailRestore++ },
		MigrateFail: func(g *world.Guest) { g.FailMigrate++ },
	}
}

func guestFaults() map[string]func(*faults, *world.Instance, Fault) error {
	always := func(do func(*faults, *world.Instance)) func(*faults, *world.Instance, Fault) error {
		return func(fs *faults, i *world.Instance, _ Fault) error { do(fs, i); return nil }
	}
	mark := func(do func(*world.Instance)) func(*faults, *world.Instance, Fault) error {
		return always(func(_ *faults, i *world.Instance) { do(i) })
	}
	service := func(s world.DaemonState) func(*faults, *world.Instance, Fault) error {
		return func(_ *faults, i *world.Instance, f Fault) error {
			_, daemon, _ := strings.Cut(f.Target, ":")
			return i.BreakDaemon(daemon, s)
		}
	}
	return map[string]func(*faults, *world.Instance, Fault) error{
		ServiceStop:   service(world.Stopped),
		ServiceFreeze: service(world.Frozen),
		VMRestart:     always(func(fs *faults, i *world.Instance) { fs.life.Reboot(i); i.Restarted = fs.Now }),
		VMShutdown: always(func(fs *faults, i *world.Instance) {
			fs.reports.Publish(i.At, i.Host, cluster.EventAgentGone, fs.Spec.Times.AgentGone)
			fs.life.Die(i, cluster.GuestOff, cluster.EventShutdown, fs.Spec.Times.Shutdown)
		}),
		VMCrash: always(func(fs *faults, i *world.Instance) {
			fs.life.Die(i, cluster.GuestCrashed, cluster.EventCrashed, fs.Spec.Times.Crashed)
		}),
		VMFreeze:   mark(func(i *world.Instance) { i.Frozen = true }),
		VMLivelock: mark(func(i *world.Instance) { i.Frozen, i.Loops = true, true }),
		NetworkCut: mark(func(i *world.Instance) { i.Cut = true }),
		AgentHung:  mark(func(i *world.Instance) { i.AgentHung = true }),
		AgentDead: always(func(fs *faults, i *world.Instance) {
			i.AgentDead = true
			fs.reports.Publish(i.At, i.Host, cluster.EventAgentGone, fs.Spec.Times.AgentGone)
		}),
		VMStall:  func(fs *faults, i *world.Instance, f Fault) error { return fs.pace.Hold(i, f.For, f.Says) },
		VMJam:    func(fs *faults, i *world.Instance, f Fault) error { return fs.pace.Jam(i, f.For) },
		Overload: func(fs *faults, i *world.Instance, f Fault) error { fs.pace.Overload(i, f.For); return nil },
	}
}

// Inject makes f happen now.
func (fs *faults) Inject(f Fault) error {
	fs.Lock()
	defer fs.Unlock()
	if !slices.Contains(FaultKinds(), f.Kind) {
		return fmt.Errorf("cannot inject %q: want one of %s", f.Kind, strings.Join(FaultKinds(), " "))
	}
	fs.Note("fault", "", f.Target, "%s %s", f.Kind, f.Target)
	if err := fs.inject(f); err != nil {
		fs.Unnote() // it did not happen
		return fmt.Errorf("cannot inject %s on %s: %v", f.Kind, f.Target, err)
	}
	fs.Dirty = true
	if f.For > 0 && !endsAlone(f.Kind) {
		fs.After(f.For, func() { _ = fs.heal(f.Target) }) // the target was found above
	}
	return nil
}

func (fs *faults) inject(f Fault) error {
	if do, ok := anyFaults()[f.Kind]; ok {
		return do(fs, f)
	}
	if do, ok := hostFaults()[f.Kind]; ok {
		h := fs.HostNamed(f.Target)
		if f.Kind == RealTaken && f.Target == world.PartManagement {
			h = fs.Order[0]
		}
		switch {
		case h == nil:
			return fmt.Errorf("no such real server")
		case f.Kind == RealRestart && !h.Up() && h.State != spec.Frozen, f.Kind == RealFreeze && !h.Up():
			return fmt.Errorf("it is %s", h.State)
		}
		do(fs, h, f)
		return nil
	}
	return fs.injectGuest(f)
}

func (fs *faults) injectGuest(f Fault) error {
	name, _, _ := strings.Cut(f.Target, ":")
	g := fs.Servers[name]
	if g == nil {
		return fmt.Errorf("no such server")
	}
	if do, ok := definedFaults()[f.Kind]; ok {
		do(g)
		return nil
	}
	i := fs.net.LiveOf(name)
	switch {
	case i == nil:
		return fmt.Errorf("it runs nowhere")
	case !i.At.Up():
		return fmt.Errorf("its real server is %s", i.At.State)
	}
	return guestFaults()[f.Kind](fs, i, f)
}

// Heal takes back every lasting fault of target; what was lost stays lost.
func (fs *faults) Heal(target string) error {
	fs.Lock()
	defer fs.Unlock()
	if err := fs.heal(target); err != nil {
		return fmt.Errorf("cannot heal %s: %v", target, err)
	}
	return nil
}

func (fs *faults) heal(target string) error {
	fs.Note("heal", "", target, "heal %s", target)
	fs.Dirty = true
	part, err := fs.net.Heal(target)
	fs.lates.Heal(part)
	switch {
	case target == world.PartManagement:
		fs.net.Cut, fs.Order[0].Taken = false, false
		return nil
	case err == nil && fs.Servers[part] == nil && fs.HostNamed(target) == nil:
		return nil // nothing but a path
	}
	if h := fs.HostNamed(target); h != nil {
		fs.healHost(h)
		return nil
	}
	name, _, _ := strings.Cut(target, ":")
	g := fs.Servers[name]
	if g == nil {
		return fmt.Errorf("no such target")
	}
	g.Fails = world.Fails{}
	for i := range fs.Of(name) {
		fs.healGuest(i)
	}
	return nil
}

func (fs *faults) healHost(h *world.Host) {
	h.Troubles, h.Hypervisor = world.Troubles{}, world.Running
	if h.State == spec.Frozen {
		fs.life.Awake(h, false)
	}
}

func (fs *faults) healGuest(i *world.Instance) {
	i.Frozen, i.Loops, i.Cut, i.AgentHung, i.Overloaded = false, false, false, false, false
	fs.pace.LetGo(i, i.Stall)
	if i.AgentDead {
		i.AgentDead = false
		fs.reports.Publish(i.At, i.Host, cluster.EventAgentUp, 0)
	}
	for d := range i.Services {
		i.Services[d] = world.Running
	}
}

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
