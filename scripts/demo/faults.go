package main

import (
	"fmt"
	"strings"
	"time"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/harness"
	"pss-msbs/pkg/sim"
)

// trouble is a row of Table 5: the fault, its target, whose log tells its
// times, the lines between which they are, and the paper's figures
// (Moderate, PS1; 0: none).
type trouble struct {
	name, kind, target string
	source             string
	detected           []string // any of these
	target2            string   // the line of the recovered target
	function, recovery [2]float64
}

var table5 = []trouble{
	{"Service program stop", sim.ServiceStop, "M1:postfix", "dbss-M1", []string{"service trouble detected"}, "service program restarted", [2]float64{}, [2]float64{0.89, 0.89}},
	{"Service program freeze", sim.ServiceFreeze, "M1:postfix", "dbss-M1", []string{"service trouble detected"}, "target server recovered", [2]float64{4.41, 4.40}, [2]float64{19.12, 19.30}},
	{"Intentional restart of M1", sim.VMRestart, "M1", "dbss-M1", []string{"network trouble detected"}, "target server recovered", [2]float64{3.12, 3.12}, [2]float64{8.17, 8.18}},
	{"Shutdown of M1", sim.VMShutdown, "M1", "dbss-M1", []string{"network trouble detected"}, "target server recovered", [2]float64{3.09, 3.10}, [2]float64{38.15, 37.46}},
	{"Intentional restart of RS1", sim.RealRestart, "RS1", "dsrs-RS1", []string{"real server trouble detected"}, "real server recovered", [2]float64{3.12, 3.09}, [2]float64{70.79, 70.44}},
	{"Shutdown of RS1", sim.RealShutdown, "RS1", "dsrs-RS1", []string{"real server trouble detected"}, "real server recovered", [2]float64{3.16, 3.37}, [2]float64{149.00, 149.04}},
}

// paperDetection is how long after the fault the paper's monitor detected it
// (Fig. 13, 14:47:42 to 49.10, the fault at the midpoint of the interval). A
// boot takes as long whenever it is detected, so a target that comes back by
// itself is compared from the fault where that was seen sooner than theirs.
const paperDetection = 7.1

// cell is one measured row of Table 5, in seconds; negative: not measured.
type cell struct {
	trouble
	condition           cluster.Condition
	detected            float64 // from the fault
	function, fromFault float64 // from detection, from the fault
	recovery            float64 // from detection
	late                float64
}

func (d *demo) moderateFaults() error { return d.faults(cluster.Moderate) }

func (d *demo) ps1Faults() error {
	d.say("the load falls to %d %%", eveningLoad)
	if err := d.shift(eveningLoad, eveningRate, cluster.PS1); err != nil {
		return err
	}
	return d.faults(cluster.PS1)
}

func (d *demo) faults(c cluster.Condition) error {
	for _, t := range table5 {
		m, err := d.fault(t, c)
		if err != nil {
			return fmt.Errorf("%s in %s: %v", t.name, c, err)
		}
		d.cells = append(d.cells, m)
	}
	return nil
}

// fault makes one trouble happen and measures it.
func (d *demo) fault(t trouble, c cluster.Condition) (cell, error) {
	m := cell{trouble: t, condition: c, function: -1, fromFault: -1, recovery: -1}
	if err := d.midpoint(t.source); err != nil {
		return m, err
	}
	at := d.Now()
	if err := d.Fault(t.kind, t.target); err != nil {
		return m, err
	}
	seen, err := d.first(t.source, t.detected, at)
	if err != nil {
		return m, err
	}
	m.detected = seen.Sub(at).Seconds()
	if t.function[0] > 0 {
		if err := d.function(&m, at, seen); err != nil {
			return m, err
		}
	}
	back, err := d.AwaitLine(d.ctx, t.source, t.target2, seen, recoverLimit)
	if err != nil {
		return m, err
	}
	m.recovery = back.At.Sub(seen).Seconds()
	if err := d.Await(d.ctx, "the end of the recovery", recoverLimit, func() string { return d.Settled(servers, reals) }); err != nil {
		return m, err
	}
	if err := d.Await(d.ctx, "the end of the recovery", recoverLimit, func() string { return d.InCondition(c) }); err != nil {
		return m, err
	}
	m.late = d.expectClient(t.name+" in "+string(c), at)
	if t.kind == sim.VMShutdown && c == cluster.Moderate {
		d.fig13 = d.Merge(at, "dbss-M1", "pss")
	}
	function := ""
	if m.function >= 0 {
		function = fmt.Sprintf(" function %.2f s,", m.function)
	}
	d.say("%-10s  %-26s detected after %.2f s,%s target %.2f s", c, t.name, m.detected, function, m.recovery)
	return m, nil
}

// midpoint waits for the middle of a monitoring interval, where the paper's
// troubles were generated: the monitor's last line about its target's normal
// state stands at the beginning of one.
func (d *demo) midpoint(source string) error {
	const interval = 10 * time.Second
	var last time.Time
	for _, l := range d.Lines(source, time.Time{}) {
		if strings.Contains(l.Text, " normal") || strings.HasPrefix(l.Text, "normal") {
			last = l.At
		}
	}
	wait := interval/2 - d.Clock.Since(last)%interval
	return d.Clock.Sleep(d.ctx, (wait+interval)%interval)
}

// function reads when M1's VIP was served again: by the clock of M1's dbss,
// whose detection counts also where the real server fell.
func (d *demo) function(m *cell, at, seen time.Time) error {
	l, err := d.AwaitLine(d.ctx, "dbss-M1", "server function recovered", at, recoverLimit)
	if err != nil {
		return err
	}
	if strings.HasPrefix(m.source, "dsrs") {
		if seen, err = d.first("dbss-M1", []string{"network trouble detected", "service trouble detected"}, at); err != nil {
			return err
		}
	}
	m.function, m.fromFault = l.At.Sub(seen).Seconds(), l.At.Sub(at).Seconds()
	return nil
}

// first waits for the first of several lines.
func (d *demo) first(source string, texts []string, since time.Time) (time.Time, error) {
	var found harness.Line
	err := d.Await(d.ctx, fmt.Sprintf("%q in the log of %s", texts, source), recoverLimit, func() string {
		for _, t := range texts {
			if l, ok := d.When(source, t, since); ok {
				found = l
				return ""
			}
		}
		return "not logged"
	})
	return found.At, err
}

// comparable is the target's recovery as the paper's was measured.
func (m cell) comparable() float64 { return min(m.recovery, m.detected+m.recovery-paperDetection) }

// paper are the paper's figures of a cell: the function's and the target's recovery.
func (m cell) paper() (function, recovery float64) {
	if m.condition == cluster.PS1 {
		return m.trouble.function[1], m.trouble.recovery[1]
	}
	return m.trouble.function[0], m.trouble.recovery[0]
}
