package status

import (
	"fmt"
	"io"
	"time"

	"pss-msbs/pkg/doubt"
)

// Resets is how many resets all programs together have left.
type Resets struct {
	Left   int       `json:"left"`
	Limit  int       `json:"limit"`
	Window float64   `json:"window"`       // seconds
	Due    time.Time `json:"due,omitzero"` // when the next one is, where none is left
}

// Brakes are what the monitors doubt and what holds them back (SPEC 5).
type Brakes struct {
	Doubts []doubt.Doubt // by target
	Storm  doubt.Storm
	Resets Resets
	Faults []string // what could not be read of it
}

// warnOfBrakes collects what an operator should know of them.
func (r *Report) warnOfBrakes(faults []string) {
	say := func(format string, a ...any) { r.Warnings = append(r.Warnings, fmt.Sprintf(format, a...)) }
	if s := r.Storm; s.On {
		say("storm since %s: %d of %d servers are doubtful, by %d causes; takeovers without certain evidence wait until %s at the latest",
			s.Since.Format(time.DateTime), s.Doubtful, s.Targets, s.Causes, s.Until.Format(time.DateTime))
	}
	for _, d := range r.Doubts {
		if d.Kind == doubt.Overloaded {
			say("%s is overloaded since %s, %s grows no lighter", d.Target, d.Since.Format(time.DateTime), d.Group)
		}
	}
	if r.Resets.Limit > 0 && r.Resets.Left == 0 {
		say("no reset is left until %s: what freezes is left to its backup", r.Resets.Due.Format(time.DateTime))
	}
	r.Warnings = append(r.Warnings, faults...)
}

// brakes prints the doubtful targets and the resets left.
func (r Report) brakes(w io.Writer) {
	if len(r.Doubts) > 0 {
		fmt.Fprint(w, "DOUBTFUL\tGROUP\tWHAT\tφ\tSINCE\tEVIDENCE\n")
		for _, d := range r.Doubts {
			fmt.Fprintf(w, "%s\t%s\t%s\t%.1f\t%s\t%s\n", d.Target, dash(d.Group), d.Kind, d.Phi, d.Since.Format(time.DateTime), dash(d.Evidence))
		}
		fmt.Fprintln(w)
	}
	if x := r.Resets; x.Limit > 0 {
		window := time.Duration(x.Window * float64(time.Second))
		fmt.Fprintf(w, "resets left: %d of %d within %v\n\n", x.Left, x.Limit, window)
	}
}
