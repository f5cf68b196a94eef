package main

import (
	"time"

	"pss-msbs/pkg/sim"
)

// spells are times in which something is so: gaps and lengths alternate. Gaps
// are exponential with mean gap, lengths uniform between least and most, or
// as likely in each octave.
type spells struct {
	gap, least, most time.Duration
	octaves          bool
}

// row is one condition of the world.
type row struct {
	name     string
	path     sim.Path // of management server to target and host, and alike to the references
	lossy    spells   // path has its loss only then; none: always
	stops    spells   // this program gets no processor
	overload spells   // the server greets late
	pauses   spells   // the guest is held by its hypervisor
	blackout spells   // nothing passes between us and the target's host
	about    string
}

// lan is a path in a machine room.
func lan(loss float64) sim.Path {
	return sim.Path{LossOut: loss, LossBack: loss, Delay: 100 * time.Microsecond, Jitter: 200 * time.Microsecond}
}

func rows() []row {
	jitter := lan(0)
	jitter.Jitter = 300 * time.Millisecond
	const ms, s, m, h = time.Millisecond, time.Second, time.Minute, time.Hour
	return []row{
		{name: "loss 0 %", path: lan(0)},
		{name: "loss 1 %", path: lan(0.01)},
		{name: "loss 2 %", path: lan(0.02)},
		{name: "loss 5 %", path: lan(0.05)},
		{name: "loss 10 %", path: lan(0.10)},
		{name: "jitter 300 ms", path: jitter},
		{name: "starved", path: lan(0), stops: spells{10 * m, 100 * ms, 60 * s, true}},
		{name: "overload", path: lan(0), overload: spells{2 * h, 1 * m, 15 * m, false}},
		{name: "paused", path: lan(0), pauses: spells{30 * m, 1 * s, 5 * s, false}},
		{name: "5 % at times", path: lan(0.05), lossy: spells{h, 10 * s, 10 * m, true}},
		{name: "10 % at times", path: lan(0.10), lossy: spells{h, 10 * s, 10 * m, true}},
		{name: "all at once", path: lan(0.02), stops: spells{h, 100 * ms, 60 * s, true},
			overload: spells{4 * h, 1 * m, 15 * m, false}, pauses: spells{h, 1 * s, 5 * s, false}},
		{name: "path away 0.2-2 s", path: lan(0), blackout: spells{h, 200 * ms, 2 * s, true}},
	}
}
