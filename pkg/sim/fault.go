package sim

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"pss-msbs/pkg/cluster"
)

// Fault is something that goes wrong on purpose.
type Fault struct {
	Kind   string        `json:"kind"`
	Target string        `json:"target"`          // a guest, a real server (name or address), "management", or GUEST:DAEMON
	For    time.Duration `json:"for,omitempty"`   // emulated; healed after that, 0: until Heal
	Delay  time.Duration `json:"delay,omitempty"` // slow-calls: added to each call
	Path   Path          `json:"path,omitzero"`   // path: what it adds

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

// faults are done, and healed.
type faults struct {
	*world
	net     *network
	life    *life
	pace    *pace
	reports *reports
	lates   *lates
}

// anyFaults, hostFaults, definedFaults and guestFaults do a fault: to what it names,
// to a real server, to a guest wherever it is, to one that lives. The lock is held.
func anyFaults() map[string]func(*faults, Fault) error {
	return map[string]func(*faults, Fault) error{
		BadPath: func(fs *faults, f Fault) error { return fs.net.worsen(f.Target, f.Path, f.For) },
		Late:    func(fs *faults, f Fault) error { return fs.lates.delay(f.Target, f.For) },
		NetworkLost: func(fs *faults, f Fault) error {
			if f.Target != partManagement {
				return fmt.Errorf("want management")
			}
			fs.net.cut = true
			return nil
		},
	}
}

func hostFaults() map[string]func(*faults, *host, Fault) {
	return map[string]func(*faults, *host, Fault){
		RealRestart: func(fs *faults, h *host, _ Fault) {
			fs.life.fall(h, Booting)
			fs.life.rise(h, Booting, fs.spec.Times.RealRestart)
		},
		RealShutdown:     func(fs *faults, h *host, _ Fault) { fs.life.fall(h, Off) },
		RealFreeze:       func(fs *faults, h *host, _ Fault) { fs.life.freezeHost(h) },
		Partition:        func(_ *faults, h *host, _ Fault) { h.partitioned = true },
		HypervisorStop:   func(_ *faults, h *host, _ Fault) { h.hypervisor = stopped },
		HypervisorFreeze: func(_ *faults, h *host, _ Fault) { h.hypervisor = frozen },
		SlowCalls:        func(_ *faults, h *host, f Fault) { h.slow = f.Delay },
		WakeLost:         func(_ *faults, h *host, _ Fault) { h.wolLost++ },
		WakeNever:        func(_ *faults, h *host, _ Fault) { h.neverWakes = true },
		SuspendFail:      func(_ *faults, h *host, _ Fault) { h.failSuspend++ },
		RealTaken:        func(_ *faults, h *host, _ Fault) { h.taken = true },
	}
}

func definedFaults() map[string]func(*guest) {
	return map[string]func(*guest){
		BootFail:    func(g *guest) { g.failBoot++ },
		RestoreFail: func(g *guest) { g.failRestore++ },
		MigrateFail: func(g *guest) { g.failMigrate++ },
	}
}

func guestFaults() map[string]func(*faults, *instance, Fault) error {
	mark := func(do func(*instance)) func(*faults, *instance, Fault) error {
		return func(_ *faults, i *instance, _ Fault) error { do(i); return nil }
	}
	service := func(s daemonState) func(*faults, *instance, Fault) error {
		return func(_ *faults, i *instance, f Fault) error {
			_, daemon, _ := strings.Cut(f.Target, ":")
			return i.breakDaemon(daemon, s)
		}
	}
	return map[string]func(*faults, *instance, Fault) error{
		ServiceStop:   service(stopped),
		ServiceFreeze: service(frozen),
		VMRestart:     func(fs *faults, i *instance, _ Fault) error { fs.life.reboot(i); i.restarted = fs.now; return nil },
		VMShutdown: func(fs *faults, i *instance, _ Fault) error {
			fs.reports.publish(i.at, i.Host, cluster.EventAgentGone, fs.spec.Times.AgentGone)
			fs.life.die(i, cluster.GuestOff, cluster.EventShutdown, fs.spec.Times.Shutdown)
			return nil
		},
		VMCrash: func(fs *faults, i *instance, _ Fault) error {
			fs.life.die(i, cluster.GuestCrashed, cluster.EventCrashed, fs.spec.Times.Crashed)
			return nil
		},
		VMFreeze:   mark(func(i *instance) { i.frozen = true }),
		VMLivelock: mark(func(i *instance) { i.frozen, i.loops = true, true }),
		NetworkCut: mark(func(i *instance) { i.cut = true }),
		AgentHung:  mark(func(i *instance) { i.agentHung = true }),
		AgentDead: func(fs *faults, i *instance, _ Fault) error {
			i.agentDead = true
			fs.reports.publish(i.at, i.Host, cluster.EventAgentGone, fs.spec.Times.AgentGone)
			return nil
		},
		VMStall:  func(fs *faults, i *instance, f Fault) error { return fs.pace.hold(i, f.For, f.Says) },
		VMJam:    func(fs *faults, i *instance, f Fault) error { return fs.pace.jam(i, f.For) },
		Overload: func(fs *faults, i *instance, f Fault) error { fs.pace.overload(i, f.For); return nil },
	}
}

// FaultKinds lists every fault by name.
func FaultKinds() []string {
	out := slices.Collect(maps.Keys(anyFaults()))
	out = slices.AppendSeq(out, maps.Keys(hostFaults()))
	out = slices.AppendSeq(out, maps.Keys(definedFaults()))
	out = slices.AppendSeq(out, maps.Keys(guestFaults()))
	slices.Sort(out)
	return out
}

// die stops a guest; the hypervisor notices after d.
func (l *life) die(i *instance, s cluster.GuestState, e cluster.EventKind, d time.Duration) {
	seen := i.state
	l.stop(i, s)
	i.seen, i.seenUntil = seen, l.now.Add(d)
	l.reports.publish(i.at, i.Host, e, d)
	life := i.life
	l.after(d, func() {
		if i.life == life && s == cluster.GuestOff {
			l.forget(i)
		}
	})
}

// freezeHost hangs a host; what it had under way is lost.
func (l *life) freezeHost(h *host) {
	if h.up() {
		h.life++
		l.turn(h, Frozen)
	}
}

// Inject makes f happen now.
func (fs *faults) Inject(f Fault) error {
	fs.lock()
	defer fs.unlock()
	if !slices.Contains(FaultKinds(), f.Kind) {
		return fmt.Errorf("cannot inject %q: want one of %s", f.Kind, strings.Join(FaultKinds(), " "))
	}
	fs.note("fault", "", f.Target, "%s %s", f.Kind, f.Target)
	if err := fs.inject(f); err != nil {
		fs.unnote() // it did not happen
		return fmt.Errorf("cannot inject %s on %s: %v", f.Kind, f.Target, err)
	}
	fs.dirty = true
	if f.For > 0 && !endsAlone(f.Kind) {
		fs.after(f.For, func() { _ = fs.heal(f.Target) }) // the target was found above
	}
	return nil
}

// endsAlone tells of the faults that end by themselves, and take no other of
// their target with them.
func endsAlone(kind string) bool {
	return kind == VMStall || kind == VMJam || kind == Overload || kind == Late || kind == BadPath
}

func (fs *faults) inject(f Fault) error {
	if do, ok := anyFaults()[f.Kind]; ok {
		return do(fs, f)
	}
	if do, ok := hostFaults()[f.Kind]; ok {
		h := fs.hostNamed(f.Target)
		if f.Kind == RealTaken && f.Target == partManagement {
			h = fs.order[0]
		}
		switch {
		case h == nil:
			return fmt.Errorf("no such real server")
		case f.Kind == RealRestart && !h.up() && h.state != Frozen, f.Kind == RealFreeze && !h.up():
			return fmt.Errorf("it is %s", h.state)
		}
		do(fs, h, f)
		return nil
	}
	return fs.injectGuest(f)
}

func (fs *faults) injectGuest(f Fault) error {
	name, _, _ := strings.Cut(f.Target, ":")
	g := fs.guests[name]
	if g == nil {
		return fmt.Errorf("no such server")
	}
	if do, ok := definedFaults()[f.Kind]; ok {
		do(g)
		return nil
	}
	i := fs.net.liveOf(name)
	switch {
	case i == nil:
		return fmt.Errorf("it runs nowhere")
	case !i.at.up():
		return fmt.Errorf("its real server is %s", i.at.state)
	}
	return guestFaults()[f.Kind](fs, i, f)
}

// breakDaemon stops or freezes one daemon, the first where none is named.
func (i *instance) breakDaemon(daemon string, s daemonState) error {
	if daemon == "" && len(i.Daemons) > 0 {
		daemon = i.Daemons[0]
	}
	if i.daemons[daemon] == "" {
		return fmt.Errorf("no service %q runs there", daemon)
	}
	i.daemons[daemon] = s
	return nil
}

// Heal takes back every lasting fault of target; what was lost stays lost.
func (fs *faults) Heal(target string) error {
	fs.lock()
	defer fs.unlock()
	if err := fs.heal(target); err != nil {
		return fmt.Errorf("cannot heal %s: %v", target, err)
	}
	return nil
}

func (fs *faults) heal(target string) error {
	fs.note("heal", "", target, "heal %s", target)
	fs.dirty = true
	part, err := fs.net.partOf(target)
	fs.lates.heal(part)
	if err == nil {
		fs.net.mend(part, nil)
		fs.net.mend(partHypervisor+part, nil) // where it is a real server
	}
	switch {
	case target == partManagement:
		fs.net.cut, fs.order[0].taken = false, false
		return nil
	case err == nil && fs.guests[part] == nil && fs.hostNamed(target) == nil:
		return nil // nothing but a path
	}
	if h := fs.hostNamed(target); h != nil {
		fs.healHost(h)
		return nil
	}
	name, _, _ := strings.Cut(target, ":")
	g := fs.guests[name]
	if g == nil {
		return fmt.Errorf("no such target")
	}
	g.failBoot, g.failRestore, g.failMigrate = 0, 0, 0
	for _, h := range fs.order {
		if i := h.on[name]; i != nil {
			fs.healGuest(i)
		}
	}
	return nil
}

func (fs *faults) healHost(h *host) {
	h.partitioned, h.slow, h.wolLost, h.neverWakes, h.failSuspend, h.taken = false, 0, 0, false, 0, false
	h.hypervisor = running
	if h.state == Frozen {
		fs.life.awake(h, false)
	}
}

func (fs *faults) healGuest(i *instance) {
	i.frozen, i.loops, i.cut, i.agentHung, i.overloaded = false, false, false, false, false
	fs.pace.letGo(i, i.stall)
	if i.agentDead {
		i.agentDead = false
		fs.reports.publish(i.at, i.Host, cluster.EventAgentUp, 0)
	}
	for d := range i.daemons {
		i.daemons[d] = running
	}
}

func (w *world) hostNamed(target string) *host {
	ip, _ := netip.ParseAddr(target)
	for _, h := range w.order {
		if !h.management && (h.Name == target || h.IP == ip) {
			return h
		}
	}
	return nil
}

// liveOf is where a guest lives; on two hosts, the one that clients reach.
func (n *network) liveOf(name string) *instance {
	var found *instance
	for _, h := range n.order {
		if i := h.on[name]; i != nil && i.live() && (found == nil || n.connected(i, fromClients)) {
			found = i
		}
	}
	return found
}
