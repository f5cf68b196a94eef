package scenario

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"time"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/sim"
)

// Most is how long things go wrong in a campaign.
const Most = 5 * time.Minute

// Draw draws a schedule for w: 5 to 30 events within Most, the first ones
// perhaps before the backups are there, and how it must be in the end. What only
// makes things slow is drawn from grey, what makes commands come true late from
// late.
func Draw(rnd, grey, late *rand.Rand, w *World, t cluster.Tables) []Command {
	d := &drawer{rnd: rnd, reals: w.reals(), guests: w.everyone()[len(w.reals()):], groups: w.groups()}
	d.programs = []string{"pss", "pss", "pss", "pss"} // there is but one, and many dbss
	for _, g := range d.guests {
		d.programs = append(d.programs, "dbss "+g, "sif "+g)
	}
	for _, r := range d.reals {
		d.programs = append(d.programs, "dsrs "+r, "sif "+r)
	}
	begin := d.between(0, 60)
	if rnd.IntN(3) == 0 {
		begin = d.between(60, 180)
	}
	if rnd.IntN(3) > 0 { // where the load is light shifts go to PS1 and PS2
		d.add(begin, "load all %g 0", pick(rnd, 15.0, 15, 40))
	}
	for range 5 + rnd.IntN(26) {
		d.event(begin + time.Duration(rnd.Int64N(int64(Most))))
	}
	slow := &drawer{rnd: grey, reals: d.reals, guests: d.guests, programs: d.programs}
	lazy := &drawer{rnd: late, reals: d.reals, guests: d.guests}
	d.out = slices.Concat(d.out, slow.grey(begin), lazy.late(begin))
	slices.SortStableFunc(d.out, func(a, b Command) int { return cmp.Compare(a.At, b.At) })
	end := begin + Most
	if n := len(d.out); n > 0 {
		end = max(end, d.out[n-1].At)
	}
	d.add(end, "settle %s", pick(rnd, "home", "home", "light"))
	return d.out
}

// everyone are the real servers and then all virtual ones, backups and spares too.
func (w *World) everyone() []string {
	out := w.reals()
	for _, path := range sortedKeys(w.dats.Servers) {
		out = append(out, w.dats.Servers[path].Host)
	}
	return append(out, w.spares...)
}

type drawer struct {
	rnd                             *rand.Rand
	reals, guests, groups, programs []string
	out                             []Command
}

func pick[T any](rnd *rand.Rand, of ...T) T { return of[rnd.IntN(len(of))] }

func (d *drawer) between(from, to int) time.Duration {
	return time.Duration(from)*time.Second + time.Duration(d.rnd.Int64N(int64(to-from)*1000))*time.Millisecond
}

func (d *drawer) add(at time.Duration, format string, a ...any) {
	text := fmt.Sprintf(format, a...)
	at = at.Round(time.Millisecond)
	d.out = append(d.out, Command{At: at, Do: strings.Fields(text), text: fmt.Sprintf("at %v %s", at, text)})
}

// event draws one thing that goes wrong.
func (d *drawer) event(at time.Duration) {
	switch n := d.rnd.IntN(100); {
	case n < 30:
		d.fault(at, pick(d.rnd, d.guests...), sim.ServiceStop, sim.ServiceFreeze, sim.VMRestart, sim.VMShutdown, sim.VMCrash, sim.VMFreeze,
			sim.NetworkCut, sim.AgentDead, sim.BootFail, sim.RestoreFail, sim.MigrateFail)
	case n < 47:
		d.fault(at, pick(d.rnd, d.reals...), sim.RealRestart, sim.RealShutdown, sim.RealFreeze, sim.Partition, sim.HypervisorStop,
			sim.HypervisorFreeze, sim.SlowCalls, sim.WakeLost, sim.WakeNever, sim.SuspendFail)
	case n < 50:
		d.fault(at, "management", sim.NetworkLost)
	case n < 58:
		d.add(at, "kill %s", pick(d.rnd, d.programs...))
	case n < 66:
		d.add(at, "doom %s %d", pick(d.rnd, d.programs...), 1+d.rnd.IntN(60))
	case n < 67:
		d.add(at, "kill all")
	case n < 68:
		d.add(at, "reboot management for %v", d.between(20, 60))
	case n < 71:
		file := pick(d.rnd, "operation.conf", "separation.conf", "access-stop.conf", "state.conf")
		d.add(at, "break %s", file)
		d.add(at+d.between(1, 60), "mend %s", file)
	case n < 74:
		d.add(at, "disk full for %v", d.between(1, 20))
	case n < 76:
		d.add(at, "disk slow for %v", d.between(5, 60))
	case n < 80:
		d.add(at, "replies %s %s for %v", pick(d.rnd, "lost", "delayed"), strings.ReplaceAll(pick(d.rnd, append(d.programs, "all")...), " ", "-"), d.between(2, 30))
	case n < 82:
		d.add(at, "clock %v", pick(d.rnd, -24*time.Hour, -time.Hour, -time.Minute, time.Minute, time.Hour, 24*time.Hour))
	default:
		d.load(at)
	}
}

// fault draws one of kinds, at times a lasting one.
func (d *drawer) fault(at time.Duration, target string, kinds ...string) {
	kind, text := pick(d.rnd, kinds...), ""
	lasting := d.between(1, 90)
	switch kind {
	case sim.NetworkCut, sim.AgentDead, sim.RealFreeze, sim.Partition, sim.NetworkLost, sim.SlowCalls, sim.WakeNever:
		text = fmt.Sprintf(" for %v", lasting)
	case sim.HypervisorStop, sim.HypervisorFreeze:
		if d.rnd.IntN(2) == 0 {
			text = fmt.Sprintf(" for %v", lasting)
		}
	}
	d.add(at, "fault %s %s%s", kind, target, text)
}

func (d *drawer) load(at time.Duration) {
	group := "all"
	if d.rnd.IntN(2) == 0 {
		group = pick(d.rnd, d.groups...)
	}
	d.add(at, "load %s %g %g", group, pick(d.rnd, 15.0, 15, 15, 40, 80), pick(d.rnd, 0.0, 0, 5))
}

// ReadSchedule reads what Text wrote.
func ReadSchedule(path string) ([]Command, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var out []Command
	for line := range strings.Lines(string(b)) {
		if line, _, _ = strings.Cut(line, "#"); strings.TrimSpace(line) == "" {
			continue
		}
		c, err := parse(strings.TrimSpace(line))
		if err != nil {
			return nil, fmt.Errorf("%s: %v", path, err)
		}
		out = append(out, c)
	}
	if n := len(out); n == 0 || out[n-1].Do[0] != "settle" {
		return nil, fmt.Errorf("%s: want settle as the last event", path)
	}
	return out, nil
}

// Text is a schedule as ReadScript reads it.
func Text(script []Command) string {
	var b strings.Builder
	for _, c := range script {
		fmt.Fprintln(&b, c.text)
	}
	return b.String()
}
