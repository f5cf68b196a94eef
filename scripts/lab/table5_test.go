//go:build lab

package main

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"pss-msbs/pkg/lab"
)

// trouble is a row of Table 5, or one like it: what goes wrong, whose log tells
// it, and the paper's seconds from the detection (Moderate; empty: none).
type trouble struct {
	name, kind, target string
	source             string
	recovered          string // the line of the recovered target
	function, back     string // the paper's
}

var troubles = []trouble{
	{"Service program stop", "service-stop", "M1:postfix", "dbss-M1", "service program restarted", "", "0.89"},
	{"Service program freeze", "service-freeze", "M1:postfix", "dbss-M1", "target server recovered", "4.41", "19.12"},
	{"Restart of M1", "vm-restart", "M1", "dbss-M1", "target server recovered", "3.12", "8.17"},
	{"Shutdown of M1", "vm-shutdown", "M1", "dbss-M1", "target server recovered", "3.09", "38.15"},
	{"Crash of M1", "vm-crash", "M1", "dbss-M1", "target server recovered", "", ""},
	{"M1 cut off", "network-cut", "M1", "dbss-M1", "target server recovered", "", ""},
	{"Restart of RS1", "rs-restart", "RS1", "dsrs-RS1", "real server recovered", "3.12", "70.79"},
	{"Shutdown of RS1", "rs-shutdown", "RS1", "dsrs-RS1", "real server recovered", "3.16", "149.00"},
}

// recoverLimit is how long a trouble may take, from the fault to its end.
const recoverLimit = 5 * time.Minute

// cell are the moments of one trouble.
type cell struct {
	trouble
	at, detected, function, back time.Time
	seen                         time.Time // by M1's monitor, which brings the function back also where RS1 fell
}

// table5 causes every trouble in turn and prints their times.
func (r room) table5() {
	var cells []cell
	for _, x := range troubles {
		r.t.Run(x.name, func(t *testing.T) { cells = append(cells, room{t, r.dir}.suffer(x)) })
	}
	w := tabwriter.NewWriter(os.Stdout, 2, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\nTable 5, Moderate; seconds\tDetected after\tFunction: from fault\tfrom detection\tpaper\tTarget: from fault\tfrom detection\tpaper")
	for _, c := range cells {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", c.name, span(c.at, c.detected), span(c.at, c.function), span(c.seen, c.function),
			c.trouble.function, span(c.at, c.back), span(c.detected, c.back), c.trouble.back)
	}
	if err := w.Flush(); err != nil {
		r.t.Error(err)
	}
}

func span(from, to time.Time) string {
	if from.IsZero() || to.IsZero() {
		return "-"
	}
	return fmt.Sprintf("%.2f", to.Sub(from).Seconds())
}

// suffer causes one trouble and waits until the normal state is back.
func (r room) suffer(x trouble) cell {
	r.t.Helper()
	c := cell{trouble: x, at: time.Now()}
	if err := lab.Fault(r.t.Context(), r.dir, x.kind, x.target); err != nil && strings.HasPrefix(x.kind, "rs-") {
		r.t.Fatal(err) // a guest may not live to answer
	}
	r.within(recoverLimit, x.name+": recovered", func() (err error) {
		if c.detected, err = r.when(x.source, "trouble detected", c.at); err == nil {
			c.back, err = r.when(x.source, x.recovered, c.at)
		}
		return err
	})
	if x.kind != "service-stop" {
		r.within(time.Second, "function", func() (err error) {
			if c.seen, err = r.when("dbss-M1", "trouble detected", c.at); err == nil {
				c.function, err = r.when("dbss-M1", "server function recovered", c.at)
			}
			return err
		})
	}
	r.within(recoverLimit, "the normal state after "+x.name, func() error { return r.settled("Moderate") })
	return c
}

// when is the moment of the first line of source with text in it.
func (r room) when(source, text string, since time.Time) (time.Time, error) {
	l := r.lines(source, text, since)
	if len(l) == 0 {
		return time.Time{}, fmt.Errorf("%s has not logged %q", source, text)
	}
	return l[0].At, nil
}
