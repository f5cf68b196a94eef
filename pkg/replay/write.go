package replay

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// WriteJSON writes one object a line: the cycles, then the summary.
func (r Result) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	for _, c := range r.Cycles {
		if err := e.Encode(c); err != nil {
			return fmt.Errorf("cannot write replay: %v", err)
		}
	}
	if err := e.Encode(map[string]Summary{"summary": r.Summary}); err != nil {
		return fmt.Errorf("cannot write replay: %v", err)
	}
	return nil
}

// WriteText writes a table for an operator: a line a cycle, then the summary.
func (r Result) WriteText(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "TIME\tWATTS")
	for _, g := range r.Groups {
		fmt.Fprintf(t, "\t%s", strings.ToUpper(g))
	}
	fmt.Fprintln(t)
	for _, c := range r.Cycles {
		fmt.Fprintf(t, "%s\t%.1f", strings.Trim(string(c.Time), `"`), c.Watts)
		for _, g := range r.Groups {
			fmt.Fprintf(t, "\t%s", c.Groups[g])
		}
		fmt.Fprintln(t)
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("cannot write replay: %v", err)
	}
	s := r.Summary
	_, err := fmt.Fprintf(w, "energy %.3f Wh, always on %.3f Wh, saved %.1f %%, %d shifts (%.1f a day), %.0f minutes not redundant, %.0f strained\n",
		s.EnergyWh, s.AlwaysOnWh, s.SavedPercent, s.Shifts, s.ShiftsADay, s.NotRedundant, s.Strained)
	return err
}

// String is a cell of the table: class, Ls in percent, condition.
func (g GroupResult) String() string {
	if g.Ls == nil {
		return fmt.Sprintf("%s %s", g.Class, g.Condition)
	}
	cell := fmt.Sprintf("%s %.2f %s", g.Class, *g.Ls, g.Condition)
	if g.Refused != "" {
		cell += ", " + g.Refused
	}
	return cell
}
