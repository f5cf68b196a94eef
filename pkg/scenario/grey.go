package scenario

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/sim"
)

// grey does a command after which something is slow, and nothing is broken; done
// reports whether f is one.
func (w *World) grey(f []string) (done bool, err error) {
	switch {
	case f[0] == "path" && len(f) >= 4:
		fault := sim.Fault{Kind: sim.BadPath, Target: f[1]}
		if fault.Path, fault.For, err = parsePath(f[2:]); err == nil {
			err = w.Model.Inject(fault)
		}
	case f[0] == "fault" && len(f) == 7 && f[3] == "for" && f[5] == "says":
		fault := sim.Fault{Kind: f[1], Target: f[2], Says: cluster.GuestState(f[6])}
		if fault.For, err = time.ParseDuration(f[4]); err == nil {
			err = w.Model.Inject(fault)
		}
	case (f[0] == "stop" || f[0] == "starve") && len(f) >= 4 && f[len(f)-2] == "for":
		var d time.Duration
		if d, err = time.ParseDuration(f[len(f)-1]); err == nil {
			err = w.hold(f[0], strings.Join(f[1:len(f)-2], " "), d)
		}
	default:
		return false, nil
	}
	return true, err
}

// parsePath reads what a command says of a path: pairs of a word and a number
// of percent, or a time; and for how long.
func parsePath(f []string) (p sim.Path, d time.Duration, err error) {
	if len(f) == 0 || len(f)%2 != 0 {
		return p, 0, fmt.Errorf("want loss, loss-out, loss-back, delay, jitter or for, and how much")
	}
	for ; len(f) > 0 && err == nil; f = f[2:] {
		switch f[0] {
		case "loss":
			p.LossOut, err = percent(f[1])
			p.LossBack = p.LossOut
		case "loss-out":
			p.LossOut, err = percent(f[1])
		case "loss-back":
			p.LossBack, err = percent(f[1])
		case "delay":
			p.Delay, err = time.ParseDuration(f[1])
		case "jitter":
			p.Jitter, err = time.ParseDuration(f[1])
		case "for":
			d, err = time.ParseDuration(f[1])
		default:
			err = fmt.Errorf("no %q of a path", f[0])
		}
	}
	return p, d, err
}

func percent(text string) (float64, error) {
	v, err := strconv.ParseFloat(text, 64)
	return v / 100, err
}

// What greetings take more, at most, on slow servers: at 100 % CPU, and for each
// guest that boots beside.
const (
	busyGreet = 3 * time.Second
	bootGreet = 400 * time.Millisecond
)

// slowServers has greetings grow with load and with boots beside.
func slowServers(spec *sim.Spec) { spec.Times.BusyGreet, spec.Times.BootGreet = busyGreet, bootGreet }

// slow draws what is slow or lossy as long as a campaign lasts: in a third of
// the seeds the network, in a third the servers.
func (c *Campaign) slow(rnd *rand.Rand, spec *sim.Spec) {
	spec.Seed = c.Seed
	if rnd.IntN(3) == 0 {
		if rnd.IntN(2) == 0 {
			spec.Path.LossOut, spec.Path.LossBack = percents(rnd), percents(rnd)
			spec.StripDeadline += repeats
		} else {
			spec.Path.Jitter = time.Duration(1+rnd.IntN(300)) * time.Millisecond
			spec.StripDeadline += repeats
		}
	}
	if rnd.IntN(3) == 0 {
		slowServers(spec)
	}
}

// repeats is what a bad network may add to strip_deadline: the first answer, a
// question to the files and three calls, each late or sent again.
const repeats = 3 * time.Second

// percents is a loss of 1 to 10 percent.
func percents(rnd *rand.Rand) float64 { return float64(10+rnd.IntN(91)) / 1000 }

// greyMost is how many things get slow in one campaign.
const greyMost = 8

// grey draws what gets slow for a while within Most.
func (d *drawer) grey(begin time.Duration) []Command {
	if d.rnd.IntN(4) > 0 {
		for range 1 + d.rnd.IntN(greyMost) {
			d.greyEvent(begin + time.Duration(d.rnd.Int64N(int64(Most))))
		}
	}
	return d.out
}

func (d *drawer) greyEvent(at time.Duration) {
	switch n := d.rnd.IntN(100); {
	case n < 35:
		d.path(at)
	case n < 45:
		d.add(at, "fault %s %s for %v", sim.Overload, pick(d.rnd, d.guests...), d.between(5, 90))
	case n < 50:
		d.add(at, "fault %s %s for %v", sim.RealTaken, pick(d.rnd, append(d.reals, "management")...), d.between(5, 90))
	case n < 65:
		d.add(at, "fault %s %s for %v says %s", sim.VMStall, pick(d.rnd, d.guests...), d.between(1, 5),
			pick(d.rnd, cluster.GuestRunning, cluster.GuestPaused))
	default:
		who, when := pick(d.rnd, d.programs...), ""
		if d.rnd.IntN(8) == 0 {
			who = "all"
		} else if d.rnd.IntN(2) == 0 {
			when = fmt.Sprintf(" at %d", 1+d.rnd.IntN(60))
		}
		d.add(at, "%s %s%s for %v", pick(d.rnd, "stop", "starve"), who, when, d.hold())
	}
}

// lateMost is how many times commands come true late in one campaign.
const lateMost = 6

// late draws, for half of the campaigns, servers for which commands come true late
// for a while within Most.
func (d *drawer) late(begin time.Duration) []Command {
	if d.rnd.IntN(2) == 0 {
		for range 1 + d.rnd.IntN(lateMost) {
			at := begin + time.Duration(d.rnd.Int64N(int64(Most)))
			d.add(at, "fault %s %s for %v", sim.Late, pick(d.rnd, pick(d.rnd, d.guests...), pick(d.rnd, d.guests...), pick(d.rnd, d.reals...)), d.between(1, 20))
		}
	}
	return d.out
}

// hold is 0.1 to 60 s, brief ones as likely as long ones.
func (d *drawer) hold() time.Duration {
	s := 0.1 * math.Pow(600, d.rnd.Float64())
	return time.Duration(s * float64(time.Second)).Round(time.Millisecond)
}

// path draws loss, delay or jitter of one path.
func (d *drawer) path(at time.Duration) {
	target := pick(d.rnd, pick(d.rnd, d.guests...), pick(d.rnd, d.reals...), partHypervisor+pick(d.rnd, d.reals...), "references", "management")
	what := ""
	switch d.rnd.IntN(4) {
	case 0:
		what = fmt.Sprintf("loss %.1f", 100*percents(d.rnd))
	case 1:
		what = fmt.Sprintf("%s %.1f", pick(d.rnd, "loss-out", "loss-back"), 100*percents(d.rnd))
	case 2:
		what = fmt.Sprintf("jitter %dms", 1+d.rnd.IntN(300))
	default:
		what = fmt.Sprintf("loss %.1f delay %dms", 100*percents(d.rnd), 1+d.rnd.IntN(100))
	}
	d.add(at, "path %s %s for %v", target, what, d.between(5, 90))
}

// partHypervisor begins the target of a path that is a hypervisor connection.
const partHypervisor = "hypervisor:"

// hold is what befalls a program at one of its next points.
type hold struct {
	points int // from now
	how    string
	d      time.Duration
}

// holdAt reads "stop PROGRAM at POINTS for TIME".
func (c *Campaign) holdAt(f []string) (err error) {
	n, h := len(f), hold{how: f[0]}
	if h.points, err = strconv.Atoi(f[n-3]); err == nil {
		h.d, err = time.ParseDuration(f[n-1])
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil {
		c.hold[strings.Join(f[1:n-4], " ")] = h
	}
	return err
}

// heldNow counts a point of a program, and is what befalls it there. Held: c.mu.
func (c *Campaign) heldNow(who string) hold {
	h, waits := c.hold[who]
	if !waits {
		return hold{}
	}
	if h.points--; h.points > 0 {
		c.hold[who] = h
		return hold{}
	}
	delete(c.hold, who)
	return h
}
