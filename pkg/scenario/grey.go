package scenario

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/sim"
)

// grey does a command after which something is slow, and nothing is broken; done
// tells whether f is one.
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
