package harness

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Line is one line of a system log (SPEC 8).
type Line struct {
	At         time.Time // emulated
	Source     string    // whose log: dbss-M1, dsrs-RS1, pss
	Background bool
	Text       string // step, message and fields
}

const timeLayout = "2006-01-02 15:04:05.00"

// ParseLine reads one line of the log of source; ok is false for a line of
// another shape.
func ParseLine(source, s string) (Line, bool) {
	l := Line{Source: source}
	s, l.Background = strings.CutPrefix(s, "__")
	if len(s) < len(timeLayout)+2 {
		return l, false
	}
	at, err := time.ParseInLocation(timeLayout, s[:len(timeLayout)], time.Local)
	if err != nil {
		return l, false
	}
	l.At = at
	_, l.Text, _ = strings.Cut(s[len(timeLayout)+1:], " ")
	return l, true
}

// Lines is the system log of a program since a moment of emulated time.
// source is PROGRAM-NAME, or pss.
func (r *Rig) Lines(source string, since time.Time) []Line {
	program, name, _ := strings.Cut(source, "-")
	var out []Line
	for _, s := range r.Log(program, name) {
		if l, ok := ParseLine(source, s); ok && !l.At.Before(since.Truncate(10*time.Millisecond)) {
			out = append(out, l)
		}
	}
	return out
}

// Merge is the lines of several logs in order of time.
func (r *Rig) Merge(since time.Time, sources ...string) []Line {
	var out []Line
	for _, s := range sources {
		out = append(out, r.Lines(s, since)...)
	}
	slices.SortStableFunc(out, func(a, b Line) int { return a.At.Compare(b.At) })
	return out
}

// When finds the first line of source since a moment that contains text.
func (r *Rig) When(source, text string, since time.Time) (Line, bool) {
	for _, l := range r.Lines(source, since) {
		if strings.Contains(l.Text, text) {
			return l, true
		}
	}
	return Line{}, false
}

// AwaitLine waits until source has logged a line with text since a moment.
func (r *Rig) AwaitLine(ctx context.Context, source, text string, since time.Time, limit time.Duration) (Line, error) {
	var found Line
	err := r.Await(ctx, fmt.Sprintf("%q in the log of %s", text, source), limit, func() string {
		l, ok := r.When(source, text, since)
		found = l
		if !ok {
			return "not logged"
		}
		return ""
	})
	return found, err
}
