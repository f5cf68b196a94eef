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

// hostFaults and guestFaults do a fault; the lock is held.
func hostFaults() map[string]func(*Model, *host, Fault) {
	return map[string]func(*Model, *host, Fault){
		RealRestart: func(m *Model, h *host, _ Fault) {
			m.fall(h, Booting)
			m.rise(h, Booting, m.spec.Times.RealRestart)
		},
		RealShutdown:     func(m *Model, h *host, _ Fault) { m.fall(h, Off) },
		RealFreeze:       func(m *Model, h *host, _ Fault) { m.freezeHost(h) },
		Partition:        func(_ *Model, h *host, _ Fault) { h.partitioned = true },
		HypervisorStop:   func(_ *Model, h *host, _ Fault) { h.hypervisor = stopped },
		HypervisorFreeze: func(_ *Model, h *host, _ Fault) { h.hypervisor = frozen },
		SlowCalls:        func(_ *Model, h *host, f Fault) { h.slow = f.Delay },
		WakeLost:         func(_ *Model, h *host, _ Fault) { h.wolLost++ },
		WakeNever:        func(_ *Model, h *host, _ Fault) { h.neverWakes = true },
		SuspendFail:      func(_ *Model, h *host, _ Fault) { h.failSuspend++ },
		RealTaken:        func(_ *Model, h *host, _ Fault) { h.taken = true },
	}
}

func guestFaults() map[string]func(*Model, *instance, Fault) {
	t := func(m *Model) Times { return m.spec.Times }
	return map[string]func(*Model, *instance, Fault){
		VMRestart: func(m *Model, i *instance, _ Fault) { m.reboot(i); i.restarted = m.now },
		VMShutdown: func(m *Model, i *instance, _ Fault) {
			m.publish(i.at, i.Host, cluster.EventAgentGone, t(m).AgentGone)
			m.die(i, cluster.GuestOff, cluster.EventShutdown, t(m).Shutdown)
		},
		VMCrash: func(m *Model, i *instance, _ Fault) {
			m.die(i, cluster.GuestCrashed, cluster.EventCrashed, t(m).Crashed)
		},
		VMFreeze:   func(_ *Model, i *instance, _ Fault) { i.frozen = true },
		VMLivelock: func(_ *Model, i *instance, _ Fault) { i.frozen, i.loops = true, true },
		NetworkCut: func(_ *Model, i *instance, _ Fault) { i.cut = true },
		AgentDead: func(m *Model, i *instance, _ Fault) {
			i.agentDead = true
			m.publish(i.at, i.Host, cluster.EventAgentGone, t(m).AgentGone)
		},
		AgentHung: func(_ *Model, i *instance, _ Fault) { i.agentHung = true },
	}
}

// FaultKinds lists every fault by name.
func FaultKinds() []string {
	out := []string{ServiceStop, ServiceFreeze, NetworkLost, BootFail, RestoreFail, MigrateFail, VMStall, VMJam, Overload, Late, BadPath}
	out = slices.AppendSeq(out, maps.Keys(hostFaults()))
	out = slices.AppendSeq(out, maps.Keys(guestFaults()))
	slices.Sort(out)
	return out
}

// die stops a guest; the hypervisor notices after d.
func (m *Model) die(i *instance, s cluster.GuestState, e cluster.EventKind, d time.Duration) {
	seen := i.state
	m.stop(i, s)
	i.seen, i.seenUntil = seen, m.now.Add(d)
	m.publish(i.at, i.Host, e, d)
	life := i.life
	m.after(d, func() {
		if i.life == life && s == cluster.GuestOff {
			m.forget(i)
		}
	})
}

// freezeHost hangs a host; what it had under way is lost.
func (m *Model) freezeHost(h *host) {
	if h.up() {
		h.life++
		m.turn(h, Frozen)
	}
}

// Inject makes f happen now.
func (m *Model) Inject(f Fault) error {
	m.lock()
	defer m.unlock()
	if !slices.Contains(FaultKinds(), f.Kind) {
		return fmt.Errorf("cannot inject %q: want one of %s", f.Kind, strings.Join(FaultKinds(), " "))
	}
	m.note("fault", nil, f.Target, "%s %s", f.Kind, f.Target)
	if err := m.inject(f); err != nil {
		m.record.timeline = m.record.timeline[:len(m.record.timeline)-1] // it did not happen
		return fmt.Errorf("cannot inject %s on %s: %v", f.Kind, f.Target, err)
	}
	m.dirty = true
	if f.For > 0 && !endsAlone(f.Kind) {
		m.after(f.For, func() { _ = m.heal(f.Target) }) // the target was found above
	}
	return nil
}

// endsAlone tells of the faults that end by themselves, and take no other of
// their target with them.
func endsAlone(kind string) bool {
	return kind == VMStall || kind == VMJam || kind == Overload || kind == Late || kind == BadPath
}

func (m *Model) inject(f Fault) error {
	if f.Kind == BadPath {
		return m.worsen(f.Target, f.Path, f.For)
	}
	if f.Kind == Late {
		return m.delay(f.Target, f.For)
	}
	if f.Kind == NetworkLost {
		if f.Target != "management" {
			return fmt.Errorf("want management")
		}
		m.cut = true
		return nil
	}
	if do, ok := hostFaults()[f.Kind]; ok {
		h := m.hostNamed(f.Target)
		if f.Kind == RealTaken && f.Target == partManagement {
			h = m.order[0]
		}
		switch {
		case h == nil:
			return fmt.Errorf("no such real server")
		case f.Kind == RealRestart && !h.up() && h.state != Frozen, f.Kind == RealFreeze && !h.up():
			return fmt.Errorf("it is %s", h.state)
		}
		do(m, h, f)
		return nil
	}
	return m.injectGuest(f)
}

func (m *Model) injectGuest(f Fault) error {
	name, daemon, _ := strings.Cut(f.Target, ":")
	g := m.guests[name]
	if g == nil {
		return fmt.Errorf("no such server")
	}
	switch f.Kind {
	case BootFail:
		g.failBoot++
		return nil
	case RestoreFail:
		g.failRestore++
		return nil
	case MigrateFail:
		g.failMigrate++
		return nil
	}
	i := m.liveOf(name)
	switch {
	case i == nil:
		return fmt.Errorf("it runs nowhere")
	case !i.at.up():
		return fmt.Errorf("its real server is %s", i.at.state)
	}
	switch f.Kind {
	case VMStall:
		return m.hold(i, f.For, f.Says)
	case VMJam:
		return m.jam(i, f.For)
	case Overload:
		m.overload(i, f.For)
		return nil
	}
	if do, ok := guestFaults()[f.Kind]; ok {
		do(m, i, f)
		return nil
	}
	return i.breakDaemon(daemon, map[string]daemonState{ServiceStop: stopped, ServiceFreeze: frozen}[f.Kind])
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
func (m *Model) Heal(target string) error {
	m.lock()
	defer m.unlock()
	if err := m.heal(target); err != nil {
		return fmt.Errorf("cannot heal %s: %v", target, err)
	}
	return nil
}

func (m *Model) heal(target string) error {
	m.note("heal", nil, target, "heal %s", target)
	m.dirty = true
	part, err := m.partOf(target)
	delete(m.lates, part)
	if err == nil {
		m.mend(part, nil)
		m.mend(partHypervisor+part, nil) // where it is a real server
	}
	switch {
	case target == partManagement:
		m.cut, m.order[0].taken = false, false
		return nil
	case err == nil && m.guests[part] == nil && m.hostNamed(target) == nil:
		return nil // nothing but a path
	}
	if h := m.hostNamed(target); h != nil {
		m.healHost(h)
		return nil
	}
	name, _, _ := strings.Cut(target, ":")
	g := m.guests[name]
	if g == nil {
		return fmt.Errorf("no such target")
	}
	g.failBoot, g.failRestore, g.failMigrate = 0, 0, 0
	for _, h := range m.order {
		if i := h.on[name]; i != nil {
			m.healGuest(i)
		}
	}
	return nil
}

func (m *Model) healHost(h *host) {
	h.partitioned, h.slow, h.wolLost, h.neverWakes, h.failSuspend, h.taken = false, 0, 0, false, 0, false
	h.hypervisor = running
	if h.state == Frozen {
		m.awake(h, false)
	}
}

func (m *Model) healGuest(i *instance) {
	i.frozen, i.loops, i.cut, i.agentHung, i.overloaded = false, false, false, false, false
	m.letGo(i, i.stall)
	if i.agentDead {
		i.agentDead = false
		m.publish(i.at, i.Host, cluster.EventAgentUp, 0)
	}
	for d := range i.daemons {
		i.daemons[d] = running
	}
}

func (m *Model) hostNamed(target string) *host {
	ip, _ := netip.ParseAddr(target)
	for _, h := range m.order {
		if !h.management && (h.Name == target || h.IP == ip) {
			return h
		}
	}
	return nil
}

// liveOf is where a guest lives; on two hosts, the one that clients reach.
func (m *Model) liveOf(name string) *instance {
	var found *instance
	for _, h := range m.order {
		if i := h.on[name]; i != nil && i.live() && (found == nil || m.connected(i, fromClients)) {
			found = i
		}
	}
	return found
}

// SetLoad changes the load on every server of a group: percent of memory, CPU
// and network for each VIP a server holds, reached within over; accesses are
// client accesses per second besides the one client's.
func (m *Model) SetLoad(group string, percent, accesses float64, over time.Duration) error {
	m.lock()
	defer m.unlock()
	c := m.clientsOf(group)
	switch {
	case c == nil:
		return fmt.Errorf("cannot set the load: no group %q", group)
	case percent < 0 || percent > 100 || accesses < 0 || over < 0:
		return fmt.Errorf("cannot set the load of %s: want 0 to 100 percent, and no negative accesses or time", group)
	}
	m.dirty = true
	c.demand = demand{from: c.demand.percent(m.now), to: percent, start: m.now, over: over, accesses: accesses}
	m.note("load", nil, "", "load of %s to %g %%, %g accesses/s", group, percent, accesses)
	return nil
}
