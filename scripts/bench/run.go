package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"pss-msbs/pkg/harness"
	"pss-msbs/pkg/sim"
	"pss-msbs/pkg/sim/world"
)

const (
	cycle      = 10 * time.Second // of every program
	startLimit = 15 * time.Minute
	backLimit  = 5 * time.Minute
	homeLimit  = 20 * time.Minute
)

// bench is one run.
type bench struct {
	*harness.Rig
	ctx            context.Context
	opt            options
	site           site
	servers, reals []string
	begun          time.Time
	faults         []string // what must not be
}

func run(ctx context.Context, o options) (bool, error) {
	dir := o.dir
	if dir == "" {
		var err error
		if dir, err = os.MkdirTemp("", "pss-bench-"); err != nil {
			return false, err
		}
	}
	conf := filepath.Join(dir, "site")
	if err := os.MkdirAll(conf, 0o700); err != nil {
		return false, err
	}
	b := &bench{ctx: ctx, opt: o, site: newSite(o), begun: time.Now()}
	b.servers, b.reals = b.site.names()
	settings, err := os.ReadFile(filepath.Join(o.base, "settings.toml"))
	if err != nil {
		return false, err
	}
	if err := b.site.write(conf, cleaned(string(settings))); err != nil {
		return false, err
	}
	if b.Rig, err = harness.New(dir, o.bin, conf, o.settings(), "--ready"); err != nil {
		return false, err
	}
	defer b.Close()
	fmt.Printf("pss-msbs at scale: %d real servers with %d virtual servers each in %d groups, profile %s, speed %g, %d boot slots\nfiles and logs in %s, load of the machine %s\n\n",
		o.reals, o.each, o.groups, o.profile, o.speed, o.slots, dir, load())
	err = b.acts()
	for _, f := range b.faults {
		fmt.Println("FAULT", f)
	}
	return err == nil && len(b.faults) == 0, err
}

// settings are the keys of the example that a run changes.
func (o options) settings() map[string]string {
	return map[string]string{
		"profile": fmt.Sprintf("%q", o.profile), "speed": fmt.Sprint(o.speed), "ip": fmt.Sprintf("%q", management),
		"references": references, "memory_kb": "131072", "boot_slots": fmt.Sprint(o.slots),
	}
}

// cleaned is the example's settings without the tables of its groups.
func cleaned(text string) string {
	return regexp.MustCompile(`(?m)^\[group\.[^]]*\]\n(?:type = .*\n)?`).ReplaceAllString(text, "")
}

func (b *bench) acts() error {
	for _, act := range []func() error{b.start, b.steady, b.disaster} {
		if err := act(); err != nil {
			return err
		}
	}
	return nil
}

// say prints progress: wall time since the beginning, load of the machine, what.
func (b *bench) say(format string, a ...any) {
	fmt.Printf("%6.1f s  load %-15s %s\n", time.Since(b.begun).Seconds(), load(), fmt.Sprintf(format, a...))
}

// start launches everything and waits until every monitor has found its server normal.
func (b *bench) start() error {
	batch := b.opt.batch
	if batch == 0 {
		batch = len(b.servers)
	}
	for some := range slices.Chunk(b.servers, batch) {
		b.LaunchMonitors(some, nil)
		if err := b.Await(b.ctx, "the start", startLimit, func() string { return b.unmonitored(some) }); err != nil {
			return err
		}
	}
	b.LaunchAll(nil, b.reals)
	b.say("%d dbss have found their servers normal, %d dsrs and pss are launched", len(b.servers), len(b.reals))
	return nil
}

// unmonitored names a server whose dbss has not found it normal.
func (b *bench) unmonitored(servers []string) string {
	for _, n := range servers {
		if !b.logged("dbss-"+n, "normal state") {
			return "dbss " + n + " has not found its target normal"
		}
	}
	return ""
}

func (b *bench) logged(source, text string) bool {
	raw, _ := os.ReadFile(filepath.Join(b.Sub("log"), source+".log"))
	return strings.Contains(string(raw), text)
}

// steady measures a while in which nothing happens.
func (b *bench) steady() error {
	if err := b.sleep(2 * cycle); err != nil { // the start's own work settles
		return err
	}
	from, wall := b.Now(), time.Now()
	before, err := costs(b.Rig)
	if err != nil {
		return err
	}
	all, used := busy()
	if err := b.sleep(b.opt.watch); err != nil {
		return err
	}
	after, err := costs(b.Rig)
	if err != nil {
		return err
	}
	all2, used2 := busy()
	b.say("%v watched; the machine was %.0f %% busy", b.opt.watch, 100*float64(used2-used)/float64(max(1, all2-all)))
	b.tableOfCosts(before, after, time.Since(wall))
	return b.tableOfLateness(from)
}

func (b *bench) sleep(d time.Duration) error { return b.Clock.Sleep(b.ctx, d) }

func (b *bench) tableOfCosts(before, after map[string]cost, wall time.Duration) {
	fmt.Printf("\n%-8s %9s %11s %11s %9s %7s %14s\n", "program", "processes", "RSS each", "PSS each", "threads", "fds", "CPU, all")
	var sum cost
	for _, p := range []string{"dbss", "sif", "dsrs", "pss", "fleet"} {
		c := after[p]
		n := int64(max(1, c.processes))
		percent := 100 * float64(c.ticks-before[p].ticks) / 100 / wall.Seconds()
		fmt.Printf("%-8s %9d %11s %11s %9d %7d %11.1f %%\n", p, c.processes, mb(c.rss/n), mb(c.pss/n), c.threads/int(n), c.fds/int(n), percent)
		sum = sum.plus(c)
	}
	pair := (after["dbss"].pss + after["sif"].pss) / int64(max(1, after["dbss"].processes))
	fmt.Printf("%-8s %9d %11s %11s   a dbss and its sif: PSS %s\n\n", "all", sum.processes, mb(sum.rss), mb(sum.pss), mb(pair))
}

func (b *bench) tableOfLateness(from time.Time) error {
	ctx, cancel := context.WithTimeout(b.ctx, time.Minute)
	defer cancel()
	s, err := b.Fleet.Status(ctx, sim.Query{Since: from, Asked: true})
	if err != nil {
		return err
	}
	fmt.Println("lateness of cycles of 10 s, seconds")
	fmt.Println("  dbss ", lateness(s.Asked[world.AskedGreet], cycle))
	fmt.Println("  dsrs ", lateness(s.Asked[world.AskedHypervisor], cycle))
	fmt.Println("  pss  ", lateness(s.Asked[world.AskedMeasure], cycle))
	fmt.Println()
	return nil
}

// disaster has one real server die with everything on it.
func (b *bench) disaster() error {
	dead := b.reals[len(b.reals)-1]
	var lost []string
	for _, d := range b.site.servers {
		if d.Real == b.site.reals[len(b.reals)-1].IP {
			lost = append(lost, d.Host)
		}
	}
	from := b.Now()
	if err := b.Fault(sim.RealShutdown, dead); err != nil {
		return err
	}
	b.say("%s dies with %d virtual servers", dead, len(lost))
	err := b.Await(b.ctx, "every function", backLimit, func() string { return b.without(from, lost, "server function recovered") })
	b.say("functions are back")
	if err == nil {
		err = b.Await(b.ctx, "every row", backLimit, b.rows)
	}
	b.functions(from, lost)
	if err != nil {
		return err
	}
	if b.opt.home {
		err = b.Await(b.ctx, "every server", homeLimit, func() string { return b.Settled(b.servers, b.reals) })
		b.say("servers are back")
		b.returns(from, dead)
	}
	b.judge()
	return err
}

// without names a server of lost whose monitor has not logged text since from.
func (b *bench) without(from time.Time, lost []string, text string) string {
	missing := 0
	for _, n := range lost {
		if _, ok := b.When("dbss-"+n, text, from); !ok {
			missing++
		}
	}
	if missing > 0 {
		return fmt.Sprintf("%d of %d missing", missing, len(lost))
	}
	return ""
}

// rows says "" once every VIP stands in operation again.
func (b *bench) rows() string {
	t, err := b.Tables()
	if err != nil {
		return err.Error()
	}
	if n := len(t.Operation.VIPs()); n != len(b.servers) {
		return fmt.Sprintf("%d of %d VIPs in operation", n, len(b.servers))
	}
	return ""
}

func (b *bench) functions(from time.Time, lost []string) {
	stages := []string{"trouble detected", "trouble confirmed", "target server separated", "backup server started", "server function recovered", "backup server in operation", "handed over"}
	fmt.Printf("\n%-28s seconds after the fault\n", "of each server lost")
	var back, detected spread
	for _, stage := range stages {
		var s spread
		for _, n := range lost {
			if l, ok := b.When("dbss-"+n, stage, from); ok {
				s = append(s, l.At.Sub(from))
			}
		}
		fmt.Printf("  %-26s %s\n", stage, s)
		switch stage {
		case "server function recovered":
			back = s
		case "trouble detected":
			detected = s
		}
	}
	fmt.Printf("  last function back %.2f s after the last detection, %.2f s after the first\n\n",
		(back.at(1) - detected.at(1)).Seconds(), (back.at(1) - detected.at(0)).Seconds())
}

func (b *bench) returns(from time.Time, dead string) {
	var s spread
	for _, l := range b.Lines("dsrs-"+dead, from) {
		switch {
		case strings.Contains(l.Text, "virtual server recovered"):
			s = append(s, l.At.Sub(from))
		case strings.Contains(l.Text, "real server answers"), strings.Contains(l.Text, "stripped"), strings.Contains(l.Text, "real server recovered"):
			fmt.Printf("  %6.1f s  %s\n", l.At.Sub(from).Seconds(), l.Text)
		}
	}
	fmt.Printf("  %-26s %s\n\n", "virtual server recovered", s)
}

// judge looks for what must never be.
func (b *bench) judge() {
	s, err := b.Status(time.Time{})
	if err != nil {
		b.faults = append(b.faults, err.Error())
		return
	}
	for _, v := range s.Violations {
		b.faults = append(b.faults, fmt.Sprintf("violation %s: %s", v.Kind, v.What))
	}
	if why := b.rows(); why != "" {
		b.faults = append(b.faults, why)
	}
	b.faults = append(b.faults, b.Failures()...)
	asked, failed := 0, 0
	for _, c := range s.Clients {
		asked, failed = asked+c.Asked, failed+c.Failed
	}
	fmt.Printf("clients: %d of %d accesses failed; exceptions of SPEC 10: %d\n", failed, asked, len(s.Exceptions))
}
