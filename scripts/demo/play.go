package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/harness"
)

// The paper's system (SPEC 1).
var (
	servers = []string{"M1", "W1", "F1", "M2", "W2", "F2"}
	reals   = []string{"RS1", "RS2", "RS3"}
	groups  = []string{"Mail", "Web", "FTP"}
)

// The loads of the play: percent of each server, accesses a second besides
// the client's. x is raised so that the one client, 60 accesses a minute, is
// what is left at night.
const (
	dayLoad      = 60
	eveningLoad  = 15
	eveningRate  = 5
	nightRate    = 0
	ps2Accesses  = 100
	shiftLimit   = 5 * time.Minute // emulated: streaks, window and the shift itself
	startLimit   = 5 * time.Minute
	recoverLimit = 6 * time.Minute
)

// demo is one play.
type demo struct {
	*harness.Rig
	ctx   context.Context
	begun time.Time
	tally
	cells  []cell
	shifts []change
	fig12  []harness.Line
	fig13  []harness.Line
}

// play runs the whole evaluation and reports whether every expectation held.
func play(ctx context.Context, o options) (bool, error) {
	dir, err := makeDir()
	if err != nil {
		return false, err
	}
	rig, err := harness.New(dir, o.bin, o.conf, o.settings())
	if err != nil {
		return false, err
	}
	defer rig.Close()
	d := &demo{Rig: rig, ctx: ctx, begun: time.Now()}
	fmt.Printf("pss-msbs: the paper's evaluation, profile %s, %g emulated seconds a second\nfiles and logs stay in %s\n\n", o.profile, o.speed, dir)
	err = d.acts()
	d.report(dir)
	return d.close(), err
}

// makeDir makes the play's directory, in memory where the machine has such a
// place: the fleet runs faster than the clock, the disk under the files' fsync
// would not.
func makeDir() (string, error) {
	if dir, err := os.MkdirTemp("/dev/shm", "pss-demo-"); err == nil {
		return dir, nil
	}
	return os.MkdirTemp("", "pss-demo-")
}

// settings are the keys of the example's settings.toml that the play changes.
func (o options) settings() map[string]string {
	return map[string]string{
		"profile":           fmt.Sprintf("%q", o.profile),
		"speed":             fmt.Sprintf("%g", o.speed),
		"ps2_accesses":      fmt.Sprint(ps2Accesses),
		"budget_recoveries": "50", // 12 faults in half an hour are this play's point
	}
}

// say prints progress: wall time, emulated time, what.
func (d *demo) say(format string, a ...any) {
	fmt.Printf("%5.1f s  %s  %s\n", time.Since(d.begun).Seconds(), d.Now().Format("15:04:05"), fmt.Sprintf(format, a...))
}

func (d *demo) acts() error {
	for _, act := range []func() error{d.start, d.powerSaving, d.moderateFaults, d.ps1Faults, d.end} {
		if err := act(); err != nil {
			return err
		}
	}
	return nil
}

// start launches everything and waits until all monitors, backups and spares
// are ready.
func (d *demo) start() error {
	if err := d.Load(dayLoad, eveningRate, groups...); err != nil {
		return err
	}
	d.LaunchAll(servers, reals)
	d.say("6 dbss, 3 dsrs and pss are launched; backup and spare servers are being created")
	if err := d.Await(d.ctx, "the start", startLimit, d.ready); err != nil {
		return err
	}
	d.say("all servers are monitored, 6 backup servers stand paused, 3 spare servers saved")
	d.expectProcesses(nil)
	d.expectWatts(cluster.Moderate)
	return nil
}

// ready says "" once nothing of the start is left to do.
func (d *demo) ready() string {
	if why := d.Settled(servers, reals); why != "" {
		return why
	}
	for _, n := range servers {
		if _, ok := d.When("dbss-"+n, "normal state", time.Time{}); !ok {
			return "dbss " + n + " has not found its target normal"
		}
	}
	return d.sparesRest()
}

// sparesRest says "" once every spare server is saved.
func (d *demo) sparesRest() string {
	s, err := d.Status(d.Now())
	if err != nil {
		return err.Error()
	}
	for _, g := range s.Guests {
		if g.Kind == "spare" && g.State != cluster.GuestSaved {
			return "spare " + g.Host + " is " + string(g.State)
		}
	}
	return ""
}

// change is a change of condition, in seconds; paper is 0 where it has none.
type change struct {
	what        string
	took, paper float64
}

// shift changes the load and waits for the condition and its end.
func (d *demo) shift(percent, rate float64, to cluster.Condition) error {
	if err := d.Load(percent, rate, groups...); err != nil {
		return err
	}
	if err := d.Await(d.ctx, "condition "+string(to), shiftLimit, func() string { return d.InCondition(to) }); err != nil {
		return err
	}
	return d.Await(d.ctx, "the end of the shift", shiftLimit, func() string { return d.Settled(servers, reals) })
}

// operations are the ends of what Table 4 names.
var operations = []string{"VIP moved", "real server suspended", "spare server stopped"}

// change is a shift whose time is compared with the paper's of Table 4: all that
// the table names is done, the suspension of spares too.
func (d *demo) change(percent, rate float64, from, to cluster.Condition, paper float64) error {
	at := d.Now()
	if err := d.shift(percent, rate, to); err != nil {
		return err
	}
	d.expectWatts(to) // which its last real server reaches after the VIPs have moved
	if to == cluster.Moderate {
		if err := d.Await(d.ctx, "the spares' suspension", shiftLimit, d.sparesRest); err != nil {
			return err
		}
	}
	start, err := d.AwaitLine(d.ctx, "pss", "shift start", at, shiftLimit)
	if err != nil {
		return err
	}
	end := start.At
	for _, l := range d.Lines("pss", start.At) {
		if slices.ContainsFunc(operations, func(o string) bool { return strings.Contains(l.Text, o) }) && l.At.After(end) {
			end = l.At
		}
	}
	c := change{fmt.Sprintf("%s -> %s", from, to), end.Sub(start.At).Seconds(), paper}
	d.shifts = append(d.shifts, c)
	d.say("%s took %.2f s", c.what, c.took)
	return nil
}

// powerSaving is section 4.2: Moderate, PS1 and back (Fig. 12), then PS1, PS2
// and back.
func (d *demo) powerSaving() error {
	from := d.Now()
	for _, act := range []func(time.Time) error{d.there, d.back, d.further} {
		if err := act(from); err != nil {
			return err
		}
	}
	d.expectClient("power saving", from)
	return nil
}

// there is Moderate to PS1.
func (d *demo) there(time.Time) error {
	d.say("the load falls to %d %%", eveningLoad)
	if err := d.change(eveningLoad, eveningRate, cluster.Moderate, cluster.PS1, 3.73); err != nil {
		return err
	}
	d.expectProcesses([]string{"Ws", "Fs"})
	return nil
}

// back is PS1 to Moderate, and the end of Fig. 12.
func (d *demo) back(from time.Time) error {
	d.say("the load returns to %d %%", dayLoad)
	if err := d.change(dayLoad, eveningRate, cluster.PS1, cluster.Moderate, 9.43); err != nil {
		return err
	}
	if _, err := d.AwaitLine(d.ctx, "dbss-F2", "monitoring resumed", from, time.Minute); err != nil {
		d.expect("dbss F2 notes access stop and the return (Fig. 12)", false, err.Error())
	}
	d.fig12 = d.Merge(from, "pss", "dbss-F2")
	return nil
}

// further is Moderate to PS1, PS2, and Moderate.
func (d *demo) further(time.Time) error {
	d.say("the load falls to %d %%, then only the client still asks", eveningLoad)
	if err := d.shift(eveningLoad, eveningRate, cluster.PS1); err != nil {
		return err
	}
	if err := d.change(eveningLoad, nightRate, cluster.PS1, cluster.PS2, 0); err != nil {
		return err
	}
	d.say("the load returns to %d %%", dayLoad)
	if err := d.change(dayLoad, eveningRate, cluster.PS2, cluster.Moderate, 0); err != nil {
		return err
	}
	return nil
}

// end goes home and looks back at the whole play.
func (d *demo) end() error {
	d.say("the load returns to %d %%", dayLoad)
	if err := d.shift(dayLoad, eveningRate, cluster.Moderate); err != nil {
		return err
	}
	home := d.Await(d.ctx, "the way home", startLimit, d.home)
	d.expect("every VIP is home again, no row lost", home == nil, fmt.Sprint(home))
	s, err := d.Status(time.Time{})
	if err != nil {
		return err
	}
	d.expect("the fleet records no violation", len(s.Violations) == 0, fmt.Sprintf("%d violations", len(s.Violations)))
	for _, v := range s.Violations {
		d.say("violation: %s %s %s", v.At.Format("15:04:05.00"), v.Kind, v.What)
	}
	asked, failed := 0, 0
	for _, c := range s.Clients {
		asked, failed = asked+c.Asked, failed+c.Failed
	}
	d.expect("no client access fails in the whole play", failed == 0, fmt.Sprintf("%d of %d failed", failed, asked))
	d.expect("no program gave up", len(d.Failures()) == 0, strings.Join(d.Failures(), "; "))
	d.say("energy %.1f Wh", s.EnergyWh)
	return nil
}

// home says "" when the files are as they were at the start.
func (d *demo) home() string {
	t, err := d.Tables()
	if err != nil {
		return err.Error()
	}
	if len(t.Operation) != 6 || len(t.AccessStop) != 0 || len(t.Separation) != 0 || len(t.Real) != 3 || len(t.Spares) != 3 {
		return fmt.Sprintf("%d rows in operation, %d in access-stop, %d in separation", len(t.Operation), len(t.AccessStop), len(t.Separation))
	}
	return ""
}

// sockets lists the companions' sockets.
func (d *demo) sockets() map[string]bool {
	found, _ := filepath.Glob(filepath.Join(d.Sub("run"), "sif-*.sock"))
	out := map[string]bool{}
	for _, f := range found {
		out[strings.TrimSuffix(strings.TrimPrefix(filepath.Base(f), "sif-"), ".sock")] = true
	}
	return out
}
