package settings

import (
	"net/netip"
	"time"

	"pss-msbs/pkg/cluster"
)

const second = Duration(time.Second)

// Default is what a missing settings.toml means. The profile's own timings
// (SPEC 5) are laid over it by WithProfile.
func Default() Settings {
	s := Settings{
		LogFormat: "text",
		Fleet:     Fleet{Driver: "libvirt", Speed: 1},
		Measure:   Measure{Interval: 10 * second, Samples: 3},
		Class: Class{Light: 30, Moderate: 50, LightStreak: 4, ModerateStreak: 1,
			PS2Accesses: 10, PS2Window: 60 * second, PS2Streak: 1, MonitorAccessesPerSecond: 1,
			FailureLoad: 100, UrgentLoad: 75, LighterAfter: 90 * second, HeavierAfter: 180 * second, LighterLongest: 4 * 3600 * second},
		Group:   map[string]Group{},
		Server:  Server{MemoryKB: 2097152, Cores: 1, NetworkMbps: 1000},
		Servers: map[string]ServerSpec{},
		Power:   Power{ActiveW: 28, SuspendedW: 3},
		Reals:   map[netip.Addr]Power{},
		PSS:     PSS{WakeDeadline: 60 * second, WakeTries: 3, SpareDeadline: 60 * second, StepDeadline: 10 * second},
		DBSS: DBSS{MonitorInterval: 10 * second, PingInterval: second, PingTimeout: second, GreetTimeout: 2 * second,
			ReexamineCount: 3, FreezeDeadline: 6 * second, BackupDeadline: 20 * second, RecoverDeadline: 180 * second,
			GivebackCount: 2, BudgetRecoveries: 5, BudgetWindow: 8 * 3600 * second},
		Detector: Detector{Alarm: 5, Act: 8, Interval: second / 2, GreetEvery: 3 * second / 5, LeastSilence: 2 * second / 5,
			HostSilence: second, HungHost: 2 * second, FreezeMost: 20 * second, Overload: second, Observe: 5 * second,
			WorkEvery: second, Busy: 0.9, LeastIdle: 0.05, LossFloor: 0.05, Lateness: second / 10},
		DSRS: DSRS{MonitorInterval: 10 * second, PingTimeout: second, ReexamineCount: 3, WakeTries: 3,
			RestoreDeadline: 600 * second, StripDeadline: second, BootSlots: 2},
		Lock: Lock{Wait: 10 * second, Hold: 3 * second},
		Brake: Brake{StormShare: 0.5, StormLeast: 3, StormWindow: 10 * second, StormLongest: 60 * second,
			MaxResets: 3, ResetWindow: 600 * second, ResetPause: 120 * second, Migrations: 1, Wakes: 2},
		Libvirt: Libvirt{URI: "qemu+ssh://root@{ip}/system", ManagementURI: "qemu:///system",
			SuspendCommand: []string{"ssh", "-o", "BatchMode=yes", "root@{ip}", "systemctl", "suspend"},
			RestartCommand: []string{"ssh", "-o", "BatchMode=yes", "root@{ip}", "systemctl", "restart", "libvirtd"},
			CallTimeout:    5 * second, SavePath: "/var/lib/pss-msbs/saved/{host}.save", MigrateURI: "tcp://{ip}"},
		Guest: Guest{Method: "agent", SSHCommand: []string{"ssh", "-o", "BatchMode=yes", "root@{ip}", "--"}, Interface: "eth0",
			RestartCommand:   []string{"systemctl", "restart", "{daemon}"},
			AnnounceCommand:  []string{"arping", "-U", "-c", "1", "-I", "{interface}", "{vip}"},
			Announce6Command: []string{"ndptool", "-t", "na", "-U", "-i", "{interface}", "-T", "{vip}", "send"}},
		Access: Access{Source: "none"},
	}
	return s.WithProfile(Fast)
}

// WithProfile lays a profile's own timings over s (SPEC 5).
func (s Settings) WithProfile(p Profile) Settings {
	s.Profile = p
	re, burst := 200*Duration(time.Millisecond), 30*Duration(time.Millisecond)
	wait := 10 * second // a magic packet does not hurt a host that is booting anyway
	if p == Paper {
		re, burst, wait = second, second/2, 55*second
	}
	s.Detector.Burst = burst
	s.Class.LookAhead = p != Paper
	s.DBSS.ReexamineInterval, s.DSRS.ReexamineInterval, s.DSRS.RestartWait = re, re, wait
	return s
}

// ClassOf is the classification of a group: [class] with its own keys on top.
func (s Settings) ClassOf(group string) Class {
	if g, ok := s.Group[group]; ok {
		return g.Class
	}
	return s.Class
}

// TypeOf is the server type of a group (default CPU_NET).
func (s Settings) TypeOf(group string) cluster.Type {
	if g, ok := s.Group[group]; ok && g.Type != "" {
		return g.Type
	}
	return cluster.CPUNet
}

// ServerOf is what the server host is made of.
func (s Settings) ServerOf(host string) Server {
	if v, ok := s.Servers[host]; ok {
		return v
	}
	return s.Server
}

// PowerOf is the power of the real server at ip.
func (s Settings) PowerOf(ip netip.Addr) Power {
	if p, ok := s.Reals[ip]; ok {
		return p
	}
	return s.Power
}
