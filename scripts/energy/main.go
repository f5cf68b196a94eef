// Command energy prints what shifting saves over generated weeks of demand on the
// paper's system: by the defaults, by the published rules (look_ahead = false) and
// in hindsight. The same flags print the same table.
package main

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"text/tabwriter"
	"time"

	"pss-msbs/pkg/replay"
	"pss-msbs/pkg/settings"
	"pss-msbs/pkg/weeks"
)

func main() {
	var o options
	flag.Uint64Var(&o.first, "first", 1, "first seed")
	flag.IntVar(&o.seeds, "seeds", 10, "how many weeks")
	flag.DurationVar(&o.interval, "interval", time.Minute, "time between cycles")
	flag.StringVar(&o.trace, "trace", "", "write the week of the first seed there, for pss replay, instead of the table")
	flag.Parse()
	if flag.NArg() > 0 || o.seeds < 1 || o.interval < time.Second {
		flag.Usage()
		os.Exit(2)
	}
	do := o.print
	if o.trace != "" {
		do = o.write
	}
	if err := do(); err != nil {
		fmt.Fprintln(os.Stderr, "energy:", err)
		os.Exit(1)
	}
}

type options struct {
	first    uint64
	seeds    int
	interval time.Duration
	trace    string
}

// columns are the table's, each with its own median.
var columns = []string{"always on, Wh", "saved, %", "published, %", "hindsight, %", "of hindsight", "shifts a day", "published", "hindsight",
	"not redundant, min", "published", "strained, min", "published"}

func (o options) print() error {
	c := settings.Default().Class
	fmt.Printf("energy -first %d -seeds %d -interval %s: weeks of the paper's system, three groups; a real server draws %g W awake, %g W asleep\n",
		o.first, o.seeds, o.interval, settings.Default().Power.ActiveW, settings.Default().Power.SuspendedW)
	fmt.Printf("look_ahead = %t, urgent_load = %g, failure_load = %g, lighter_after = %s, heavier_after = %s, lighter_longest = %s\n\n",
		c.LookAhead, c.UrgentLoad, c.FailureLoad, c.LighterAfter.D(), c.HeavierAfter.D(), c.LighterLongest.D())
	var rows [][]float64
	t := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(t, "seed\t")
	for _, c := range columns {
		fmt.Fprintf(t, "%s\t", c)
	}
	fmt.Fprintln(t)
	for seed := o.first; seed < o.first+uint64(o.seeds); seed++ {
		row := o.week(seed)
		rows = append(rows, row)
		line(t, fmt.Sprint(seed), row)
	}
	line(t, "median", medians(rows))
	if err := t.Flush(); err != nil {
		return fmt.Errorf("cannot write the table: %v", err)
	}
	_, err := fmt.Println("\nminutes are added over the groups: not redundant in PS2, strained in a lighter condition under a measured load above moderate")
	return err
}

// write writes the week of the first seed.
func (o options) write() error {
	f, err := os.Create(o.trace)
	if err != nil {
		return fmt.Errorf("cannot write the trace: %v", err)
	}
	plan, _ := weeks.Paper(settings.Default(), o.interval)
	if err := replay.WriteTrace(f, weeks.Week(plan, o.first)); err != nil {
		_ = f.Close()
		return err
	}
	return f.Close()
}

// week replays the week of a seed.
func (o options) week(seed uint64) []float64 {
	set := settings.Default()
	plan, in := weeks.Paper(set, o.interval)
	trace := weeks.Week(plan, seed)
	ours, hindsight := replay.Run(in, trace).Summary, replay.Hindsight(in, trace)
	set.Class.LookAhead = false
	_, in = weeks.Paper(set, o.interval)
	published := replay.Run(in, trace).Summary
	return []float64{ours.AlwaysOnWh, ours.SavedPercent, published.SavedPercent, hindsight.SavedPercent, ours.SavedPercent / hindsight.SavedPercent,
		ours.ShiftsADay, published.ShiftsADay, hindsight.ShiftsADay, ours.NotRedundant, published.NotRedundant, ours.Strained, published.Strained}
}

func line(t *tabwriter.Writer, name string, row []float64) {
	fmt.Fprintf(t, "%s\t", name)
	for i, v := range row {
		format := "%.1f\t"
		switch {
		case i == 4:
			format = "%.2f\t"
		case i == 0 || i >= 8:
			format = "%.0f\t"
		}
		fmt.Fprintf(t, format, v)
	}
	fmt.Fprintln(t)
}

// medians of the columns.
func medians(rows [][]float64) []float64 {
	out := make([]float64, len(columns))
	for i := range out {
		var all []float64
		for _, row := range rows {
			all = append(all, row[i])
		}
		slices.Sort(all)
		out[i] = (all[(len(all)-1)/2] + all[len(all)/2]) / 2
	}
	return out
}
