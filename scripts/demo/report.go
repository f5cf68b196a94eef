package main

import (
	"fmt"
	"os"
	"text/tabwriter"
	"time"

	"pss-msbs/pkg/harness"
)

// report prints the timelines of Fig. 12 and 13 and Table 5.
func (d *demo) report(dir string) {
	timeline("Power saving (as Fig. 12): pss, and dbss of F2", d.fig12)
	timeline("M1 is shut down in Moderate (as Fig. 13): dbss of M1, and pss", d.fig13)
	d.shiftTable()
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

// shiftTable prints the last rows of Table 4.
func (d *demo) shiftTable() {
	fmt.Printf("\nTable 4: seconds for a change of condition, everything that belongs to it done; the paper's in brackets\n")
	w := tabwriter.NewWriter(os.Stdout, 2, 0, 2, ' ', 0)
	for _, c := range d.shifts {
		fmt.Fprintf(w, "  %s\t%s\n", c.what, d.beside(c.took, c.took, c.paper))
	}
	w.Flush()
}

// table prints Table 5.
func (d *demo) table() {
	fmt.Printf("\nTable 5: seconds, from the detection unless said; the paper's in brackets, which was measured with a detection %.1f s after the fault\n", paperDetection)
	w := tabwriter.NewWriter(os.Stdout, 2, 0, 2, ' ', 0)
	fmt.Fprintln(w, "  Trouble\tCondition\tDetected after\tFunction back\tFrom the fault\tTarget back\tClient delay")
	for _, c := range d.cells {
		function, recovery := c.paper()
		fmt.Fprintf(w, "  %s\t%s\t%.2f\t%s\t%s\t%s\t%.2f (0.00)\n", c.name, c.condition, c.detected,
			d.beside(c.function, c.function, function), d.beside(c.fromFault, 0, 0), d.beside(c.recovery, c.comparable(), recovery), c.late)
	}
	w.Flush()
	fmt.Printf("\nplayed in %.1f s\n", time.Since(d.begun).Seconds())
}
