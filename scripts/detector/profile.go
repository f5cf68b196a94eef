package main

import (
	"time"

	"pss-msbs/pkg/detector"
	"pss-msbs/pkg/settings"
)

// profile is how a monitor of this system watches.
type profile struct {
	name   string
	config detector.Config
	every  time.Duration // monitor interval
	events bool          // the hypervisor's reports are heard
}

// profiles are those of the default settings.
func profiles() []profile {
	fast := settings.Default().WithProfile(settings.Fast)
	paper := settings.Default().WithProfile(settings.Paper)
	return []profile{
		{"fast", config(fast), fast.DBSS.MonitorInterval.D(), true},
		{"paper", config(paper), paper.DBSS.MonitorInterval.D(), false},
	}
}

// config is what dbss makes of the settings.
func config(set settings.Settings) detector.Config {
	s, b := set.Detector, set.DBSS
	cfg := detector.Config{
		Alarm: s.Alarm, Act: s.Act, Interval: s.Interval.D(), Burst: s.Burst.D(), GreetEvery: s.GreetEvery.D(),
		PingPatience: b.PingTimeout.D(), LeastSilence: s.LeastSilence.D(), HostSilence: s.HostSilence.D(), HungHost: s.HungHost.D(),
		Alarming: b.GreetTimeout.D(), FreezeDeadline: b.FreezeDeadline.D(), FreezeMost: max(s.FreezeMost.D(), b.FreezeDeadline.D()),
		Observe: s.Observe.D(), Overload: s.Overload.D(), LossFloor: s.LossFloor, Grain: 10 * time.Millisecond, Lateness: s.Lateness.D(),
		WorkEvery: s.WorkEvery.D(), Busy: s.Busy, LeastIdle: s.LeastIdle,
	}
	if set.Profile == settings.Paper {
		cfg.Interval, cfg.WorkEvery = 0, 0
	}
	return cfg
}

// daemons are the services of the target.
func daemons() []string { return []string{"imap", "smtp"} }
