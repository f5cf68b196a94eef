package main

import (
	"fmt"
	"os"
	"text/tabwriter"
	"time"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/harness"
)

// report prints the timelines of Fig. 12 and 13 and Table 5.
func (d *demo) report(dir string) {
	timeline("Power saving (as Fig. 12): pss, and dbss of F2", d.fig12)
	timeline("M1 is shut down in Moderate (as Fig. 13): dbss of M1, and pss", d.fig13)
	d.table()
	fmt.Printf("\nfiles and logs: %s\n", dir)
}

func timeline(title string, lines []harness.Line) {
	if len(lines) == 0 {
		return
	}
	fmt.Printf("\n%s\n", title)
	for _, l := range lines {
		bg := ""
		if l.Background {
			bg = "__"
		}
		fmt.Printf("  %s %-8s %s%s\n", l.At.Format("15:04:05.00"), l.Source, bg, l.Text)
	}
}

// table prints Table 5, the paper's figures beside ours.
func (d *demo) table() {
	fmt.Printf("\nTable 5: seconds, from the detection unless said; the paper's in brackets\n")
	w := tabwriter.NewWriter(os.Stdout, 2, 0, 2, ' ', 0)
	fmt.Fprintln(w, "  Trouble\tCondition\tDetected after\tFunction back\tFrom the fault\tTarget back\tClient delay")
	for _, c := range d.cells {
		col := 0
		if c.condition == cluster.PS1 {
			col = 1
		}
		fmt.Fprintf(w, "  %s\t%s\t%.2f\t%s\t%s\t%s\t%.2f (0.00)\n", c.name, c.condition, c.detected,
			beside(c.function, c.trouble.function[col]), plain(c.fromFault), beside(c.recovery, c.trouble.recovery[col]), c.late)
	}
	w.Flush()
	fmt.Printf("\nplayed in %.1f s\n", time.Since(d.begun).Seconds())
}

func plain(v float64) string {
	if v < 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f", v)
}

func beside(v, paper float64) string {
	if paper == 0 {
		return plain(v)
	}
	return fmt.Sprintf("%s (%.2f)", plain(v), paper)
}
