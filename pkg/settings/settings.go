// Package settings holds every knob of settings.toml with its unit, its
// default and what raising it costs. The file itself is read in file.go.
package settings

import (
	"net/netip"
	"time"

	"pss-msbs/pkg/cluster"
)

// Profile chooses how trouble is noticed and confirmed (SPEC 5).
type Profile string

// The two timing profiles: Paper polls as the published system did; Fast also
// listens to the hypervisor's events and pings each second.
const (
	Fast  Profile = "fast"
	Paper Profile = "paper"
)

// Duration is a time.Duration spelled as "10s" in settings.toml.
type Duration time.Duration

// D is the duration as the time package knows it.
func (d Duration) D() time.Duration { return time.Duration(d) }

// Settings is settings.toml.
type Settings struct {
	Profile   Profile `toml:"profile"`
	LogFormat string  `toml:"log_format"` // "text" (Fig. 12, 13) or "json"

	Fleet      Fleet                 `toml:"fleet"`
	Management Management            `toml:"management"`
	Network    NetworkCheck          `toml:"network"`
	Measure    Measure               `toml:"measure"`
	Class      Class                 `toml:"class"`
	Group      map[string]Group      `toml:"-"` // [group.NAME]
	Server     Server                `toml:"-"` // [server]
	Servers    map[string]ServerSpec `toml:"-"` // [server.NAME]
	Power      Power                 `toml:"power"`
	Reals      map[netip.Addr]Power  `toml:"-"` // [real.IP]

	PSS      PSS      `toml:"pss"`
	DBSS     DBSS     `toml:"dbss"`
	Detector Detector `toml:"detector"`
	DSRS     DSRS     `toml:"dsrs"`
	Lock     Lock     `toml:"lock"`
	Brake    Brake    `toml:"brake"`
	Libvirt  Libvirt  `toml:"libvirt"`
	Guest    Guest    `toml:"guest"`
	Access   Access   `toml:"access"`
}

// Fleet says where servers really are.
type Fleet struct {
	Driver string  `toml:"driver"` // "libvirt" or "sim"
	Speed  float64 `toml:"speed"`  // emulated seconds per second; only with "sim"
	Socket string  `toml:"socket"` // the emulated fleet's socket; empty: fleet.sock in the run directory
}

// Management is the management server.
type Management struct {
	IP netip.Addr `toml:"ip"` // stands as the real server of a backup in the operation file
}

// NetworkCheck tells "the target is dead" from "we are cut off".
type NetworkCheck struct {
	References []netip.Addr `toml:"references"` // none of these answers: hold, no takeover
}

// Measure is the load measurement (paper, section 2.5).
type Measure struct {
	Interval Duration `toml:"interval"` // one cycle of pss
	Samples  int      `toml:"samples"`  // readings averaged to A_n
}

// Class is the classification and the rules of the conditions (paper, section 2.6).
type Class struct {
	Light                    float64  `toml:"light"`           // percent; Ls below: light
	Moderate                 float64  `toml:"moderate"`        // percent; Ls above: moderate
	LightStreak              int      `toml:"light_streak"`    // cycles
	ModerateStreak           int      `toml:"moderate_streak"` // cycles
	PS2Accesses              float64  `toml:"ps2_accesses"`    // x, accesses per window
	PS2Window                Duration `toml:"ps2_window"`      // y
	PS2Streak                int      `toml:"ps2_streak"`      // cycles
	MonitorAccessesPerSecond float64  `toml:"monitor_accesses_per_second"`
	LookAhead                bool     `toml:"look_ahead"`      // a lighter condition only where the load fits there; by the profile
	FailureLoad              float64  `toml:"failure_load"`    // percent; Ls of a PS1 group after a real server's failure up to which another may sleep
	UrgentLoad               float64  `toml:"urgent_load"`     // percent; Ls above: back to Moderate at once
	LighterAfter             Duration `toml:"lighter_after"`   // how long a load fits before a lighter condition
	HeavierAfter             Duration `toml:"heavier_after"`   // how long it does not before a heavier one
	LighterLongest           Duration `toml:"lighter_longest"` // what lighter_after grows to where lighter conditions do not last
}

// Group is [group.NAME]: the server type and overrides of [class].
type Group struct {
	Type  cluster.Type
	Class Class // [class] with the group's own keys on top
}

// Server is [server]: what a virtual server is made of.
type Server struct {
	MemoryKB    int64   `toml:"memory_kb"` // used where free says nothing
	Cores       int     `toml:"cores"`
	NetworkMbps float64 `toml:"network_mbps"`
}

// ServerSpec is [server.NAME], already laid over [server].
type ServerSpec = Server

// Power is a real server's power in watts.
type Power struct {
	ActiveW    float64 `toml:"active_w"`
	SuspendedW float64 `toml:"suspended_w"`
}

// PSS holds the knobs of shifts.
type PSS struct {
	WakeDeadline  Duration `toml:"wake_deadline"`  // from the first magic packet to ping and hypervisor
	WakeTries     int      `toml:"wake_tries"`     // magic packets per wake
	SpareDeadline Duration `toml:"spare_deadline"` // a spare restored until its services answer
	StepDeadline  Duration `toml:"step_deadline"`  // any other single step of a shift
}

// DBSS holds the knobs of the monitors of virtual servers (SPEC 5).
type DBSS struct {
	MonitorInterval   Duration `toml:"monitor_interval"`
	PingInterval      Duration `toml:"ping_interval"` // profile fast: pings between monitorings
	PingTimeout       Duration `toml:"ping_timeout"`
	GreetTimeout      Duration `toml:"greet_timeout"` // one greeting attempt
	ReexamineCount    int      `toml:"reexamine_count"`
	ReexamineInterval Duration `toml:"reexamine_interval"`
	FreezeDeadline    Duration `toml:"freeze_deadline"` // no greeting for so long while ping answers: freeze
	BackupDeadline    Duration `toml:"backup_deadline"` // backup resumed until its services answer
	RecoverDeadline   Duration `toml:"recover_deadline"`
	GivebackCount     int      `toml:"giveback_count"`
	BudgetRecoveries  int      `toml:"budget_recoveries"`
	BudgetWindow      Duration `toml:"budget_window"`
}

// Detector is how sure a monitor must be, and how fast it asks (SPEC 5). Doubt
// is φ: -log10 of the probability that a sound server would have been as silent.
type Detector struct {
	Alarm        float64  `toml:"alarm"` // φ at which trouble is told and the backup resumed
	Act          float64  `toml:"act"`   // φ at which it is believed
	Interval     Duration `toml:"interval"`
	Burst        Duration `toml:"burst"`
	GreetEvery   Duration `toml:"greet_every"`
	LeastSilence Duration `toml:"least_silence"`
	HostSilence  Duration `toml:"host_silence"`
	HungHost     Duration `toml:"hung_host"`
	FreezeMost   Duration `toml:"freeze_most"`
	WorkEvery    Duration `toml:"work_every"`
	Busy         float64  `toml:"busy"`       // share of its processors
	LeastIdle    float64  `toml:"least_idle"` // share of its host's
	Overload     Duration `toml:"overload"`
	Observe      Duration `toml:"observe"`
	LossFloor    float64  `toml:"loss_floor"`
	Lateness     Duration `toml:"lateness"`
}

// DSRS holds the knobs of the monitors of real servers (SPEC 6).
type DSRS struct {
	MonitorInterval   Duration `toml:"monitor_interval"`
	PingTimeout       Duration `toml:"ping_timeout"`
	ReexamineCount    int      `toml:"reexamine_count"`
	ReexamineInterval Duration `toml:"reexamine_interval"`
	RestartWait       Duration `toml:"restart_wait"` // how long a silent host may come back by itself
	WakeTries         int      `toml:"wake_tries"`
	RestoreDeadline   Duration `toml:"restore_deadline"`
	StripDeadline     Duration `toml:"strip_deadline"`
	BootSlots         int      `toml:"boot_slots"` // servers booting at once, all programs together
}

// Lock holds the bounds of the one lock over the seven files (SPEC 3).
type Lock struct {
	Wait Duration `toml:"wait"` // longest wait for the lock
	Hold Duration `toml:"hold"` // longest time a hold may keep it
}

// Brake holds the bounds over all programs together: what is done to a fleet at
// a time, and when its troubles look like our own (SPEC 5).
type Brake struct {
	StormShare   float64  `toml:"storm_share"`   // of the virtual servers that turn doubtful together
	StormLeast   int      `toml:"storm_least"`   // distinct causes
	StormWindow  Duration `toml:"storm_window"`  // within which
	StormLongest Duration `toml:"storm_longest"` // a storm holds takeovers back for so long
	MaxResets    int      `toml:"max_resets"`    // resets within reset_window
	ResetWindow  Duration `toml:"reset_window"`
	ResetPause   Duration `toml:"reset_pause"` // between two of a group, unless the first has answered
	Migrations   int      `toml:"migrations"`  // backups on their way at once
	Wakes        int      `toml:"wakes"`       // real servers being woken at once
}

// Libvirt holds the URI templates; {ip} is the real server's address, {host}
// the guest's name. Argument lists never pass through a shell.
type Libvirt struct {
	URI            string   `toml:"uri"`
	ManagementURI  string   `toml:"management_uri"`
	SuspendCommand []string `toml:"suspend_command"` // argument list; {ip} is replaced
	RestartCommand []string `toml:"restart_command"` // argument list; restarts the virtualization software of {ip}
	CallTimeout    Duration `toml:"call_timeout"`    // any one hypervisor call
	Definition     string   `toml:"definition"`      // path of {host}'s domain XML; empty: every hypervisor has it defined
	SavePath       string   `toml:"save_path"`       // of {host}'s saved image, shared by all real servers and this one
	MigrateURI     string   `toml:"migrate_uri"`     // where {ip} receives a live migration
	CopyStorage    bool     `toml:"copy_storage"`    // disks are not shared: a migration copies them
}

// Guest says how commands reach a virtual server.
type Guest struct {
	Method           string   `toml:"method"`            // "agent" or "ssh"
	SSHCommand       []string `toml:"ssh_command"`       // argument list; {ip} is replaced, the guest's command appended
	Interface        string   `toml:"interface"`         // the guest's interface that carries VIPs
	RestartCommand   []string `toml:"restart_command"`   // run in the guest; {daemon} is replaced
	AnnounceCommand  []string `toml:"announce_command"`  // gratuitous ARP, run in the guest; {interface} and {vip} are replaced
	Announce6Command []string `toml:"announce6_command"` // the same for IPv6, an unsolicited neighbour advertisement

	Ports map[string]int `toml:"ports"` // TCP port of a daemon whose protocol is not known, by the daemon's name
}

// BySSH reports whether commands reach a guest over its own link, which then cannot
// be cut for a fence.
func (g Guest) BySSH() bool { return g.Method == "ssh" }

// Access says where client accesses are counted.
type Access struct {
	Source    string   `toml:"source"` // "none", "interface" or "command"
	Interface string   `toml:"interface"`
	Command   []string `toml:"command"` // prints a pcap stream, e.g. ssh LB tcpdump -w -
}
