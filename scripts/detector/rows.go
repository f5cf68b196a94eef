package main

import (
	"time"

	"pss-msbs/pkg/sim"
)

// row is one condition of the world.
type row struct {
	name     string
	about    string   // for people
	path     sim.Path // of this program to target and host, and likewise to the references
	lossy    spells   // the path loses only then; none: always
	stops    spells   // this program gets no processor
	overload spells   // the server greets late, and its processors are busy
	jams     spells   // and then says nothing at all
	pauses   spells   // the guest is held by its hypervisor
	blackout spells   // nothing passes between this program and the target's host
	open     bool     // no target is set for it
}

// lan is a path in a machine room.
func lan(loss float64) sim.Path {
	return sim.Path{LossOut: loss, LossBack: loss, Delay: 100 * time.Microsecond, Jitter: 200 * time.Microsecond}
}

const (
	ms     = time.Millisecond
	sec    = time.Second
	minute = time.Minute
)

// rows are those of issue 12, then five more.
func rows() []row {
	jitter := lan(0)
	jitter.Jitter = 300 * ms
	return []row{
		{name: "loss 0 %", path: lan(0), about: "0.1 to 0.3 ms each way, no loss"},
		{name: "loss 1 %", path: lan(0.01), about: "each packet, each way, to target, host and hypervisor, and to the references by itself"},
		{name: "loss 2 %", path: lan(0.02)},
		{name: "loss 5 %", path: lan(0.05)},
		{name: "loss 10 %", path: lan(0.10)},
		{name: "jitter 300 ms", path: jitter, about: "each packet is up to 300 ms late, each way, all as likely"},
		{name: "starved", path: lan(0), stops: spells{10 * minute, 100 * ms, 60 * sec, true},
			about: "this program does not run for 0.1 to 60 s (each octave as likely), every 10 minutes (exponential)"},
		{name: "overload", path: lan(0), overload: spells{2 * time.Hour, minute, 15 * minute, false},
			about: "greets after 1 to 4.5 s, for 1 to 15 minutes, every 2 hours; pings 20 ms, the agent 0.5 s later (exponential); its processors are busy"},
		{name: "paused", path: lan(0), pauses: spells{30 * minute, sec, 5 * sec, false},
			about: "the guest is held for 1 to 5 s, every 30 minutes; half of the times its hypervisor says so; half of the times packets are queued, else lost"},
		{name: "5 % at times", path: lan(0.05), lossy: spells{time.Hour, 10 * sec, 10 * minute, true},
			about: "loss only for 10 s to 10 minutes, every hour: it has just begun, and is not known"},
		{name: "10 % at times", path: lan(0.10), lossy: spells{time.Hour, 10 * sec, 10 * minute, true}},
		{name: "all at once", path: lan(0.02), stops: spells{time.Hour, 100 * ms, 60 * sec, true},
			overload: spells{4 * time.Hour, minute, 15 * minute, false}, pauses: spells{time.Hour, sec, 5 * sec, false},
			about: "2 % loss, and stops, overloads and pauses at half their rates or less"},
		{name: "path away", path: lan(0), blackout: spells{time.Hour, 200 * ms, 2 * sec, true}, open: true,
			about: "nothing passes to target, host and hypervisor for 0.2 to 2 s every hour, and the references answer; no target is set"},
		{name: "busy", path: lan(0), overload: spells{2 * time.Hour, minute, 15 * minute, false}, jams: spells{20 * sec, 2 * sec, 15 * sec, false}, open: true,
			about: "overload in which the guest also says nothing at all for 2 to 15 s, every 20 s (exponential): at times twice in a row; no target is set"},
	}
}
