package main

import (
	"time"

	"pss-msbs/pkg/detector"
)

// profile is how a monitor of this system watches.
type profile struct {
	name   string
	config detector.Config
	events bool // the hypervisor's reports are heard
}

// examineEvery is the monitor interval of the paper.
const examineEvery = 10 * time.Second

func profiles() []profile {
	fast := detector.Config{
		Alarm: 5, Act: 8, Interval: 500 * time.Millisecond, Burst: 30 * time.Millisecond, GreetEvery: 750 * time.Millisecond,
		PingPatience: time.Second, LeastSilence: 300 * time.Millisecond, HostSilence: 500 * time.Millisecond, HungHost: 2 * time.Second,
		Alarming: 2 * time.Second, FreezeDeadline: 6 * time.Second, FreezeMost: 20 * time.Second, Observe: 5 * time.Second,
		Overload: time.Second, LossFloor: 0.05, Grain: 10 * time.Millisecond, Lateness: 100 * time.Millisecond,
	}
	paper := fast
	paper.Interval, paper.Burst = 0, time.Second
	return []profile{{"fast", fast, true}, {"paper", paper, false}}
}

// daemons are the services of the target.
func daemons() []string { return []string{"imap", "smtp"} }
