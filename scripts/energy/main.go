// Command energy prints what shifting saves over generated weeks.
package main

import (
	"flag"
	"fmt"
	"os"
	"time"

	"context"
	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/conffile"
	"pss-msbs/pkg/load"
	"pss-msbs/pkg/replay"
	"pss-msbs/pkg/settings"
	"pss-msbs/pkg/weeks"
)

func main() {
	interval := flag.Duration("interval", time.Minute, "")
	seeds := flag.Int("seeds", 10, "")
	files := flag.Bool("files", false, "args are traces")
	lighter := flag.Duration("lighter", 0, "")
	heavier := flag.Duration("heavier", 0, "")
	longest := flag.Duration("longest", 0, "")
	failure := flag.Float64("failure", 0, "")
	flag.Parse()
	t, err := conffile.Open("testdata/paper", conffile.Options{Holder: "energy"}).View(context.Background())
	if err != nil {
		panic(err)
	}
	set, err := settings.Read("testdata/paper/settings.toml")
	if err != nil {
		panic(err)
	}
	defaults := set
	edit := func(s settings.Settings, f func(*settings.Class)) settings.Settings {
		f(&s.Class)
		groups := map[string]settings.Group{}
		for n, g := range s.Group {
			f(&g.Class)
			groups[n] = g
		}
		s.Group = groups
		return s
	}
	defaults = edit(defaults, func(c *settings.Class) {
		if *lighter > 0 {
			c.LighterAfter = settings.Duration(*lighter)
		}
		if *heavier > 0 {
			c.HeavierAfter = settings.Duration(*heavier)
		}
		if *longest > 0 {
			c.LighterLongest = settings.Duration(*longest)
		}
		if *failure > 0 {
			c.FailureLoad = *failure
		}
	})
	paper := edit(set, func(c *settings.Class) { c.LookAhead = false })
	backups := map[string]string{"M1": "Mb", "M2": "Mb2", "W1": "Wb", "W2": "Wb2", "F1": "Fb", "F2": "Fb2"}
	p := weeks.Plan{Groups: []weeks.Group{{"Mail", []string{"M1", "M2"}}, {"Web", []string{"W1", "W2"}}, {"FTP", []string{"F1", "F2"}}},
		Interval: *interval, Days: 7, Size: load.Capacity{MemKB: 2097152, Cores: 1, NetKBs: 256000}}
	show := func(name string, trace []replay.Cycle) {
		in := replay.Input{Tables: t, Settings: defaults, Backups: backups}
		d := replay.Run(in, trace).Summary
		in.Settings = paper
		pp := replay.Run(in, trace).Summary
		h := replay.Hindsight(in, trace)
		fmt.Printf("%-22s %6.2f %6.2f %6.2f  ratio %.3f  shifts/d %5.1f paper %5.1f hind %6.1f  notred %5.0f %5.0f %5.0f strained %5.0f %5.0f\n", name, d.SavedPercent, pp.SavedPercent, h.SavedPercent,
			d.SavedPercent/h.SavedPercent, d.ShiftsADay, pp.ShiftsADay, h.ShiftsADay, d.NotRedundant, pp.NotRedundant, h.NotRedundant, d.Strained, pp.Strained)
	}
	_ = cluster.PS1
	if *files {
		for _, a := range flag.Args() {
			f, err := os.Open(a)
			if err != nil {
				panic(err)
			}
			tr, err := replay.ReadTrace(a, f)
			if err != nil {
				panic(err)
			}
			f.Close()
			show(a, tr)
		}
		return
	}
	for s := range *seeds {
		show(fmt.Sprint(s+1), weeks.Week(p, uint64(s+1)))
	}
}
