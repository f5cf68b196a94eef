// Package diag spells what is wrong with an input file: FILE:LINE: message.
package diag

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Fault is one thing wrong in a file. Line counts from 1; what concerns a
// whole file (it is missing) stands at line 1.
type Fault struct {
	File string `json:"file"`
	Line int    `json:"line"`
	Text string `json:"text"`
}

// String is FILE:LINE: message.
func (f Fault) String() string { return fmt.Sprintf("%s:%d: %s", f.File, f.Line, f.Text) }

// List is an error that carries every fault found. Use Err to turn it into an
// error: an empty list is none.
type List []Fault

// Add appends one fault.
func (l *List) Add(file string, line int, format string, args ...any) {
	*l = append(*l, Fault{File: file, Line: line, Text: fmt.Sprintf(format, args...)})
}

// Err is nil for an empty list, else a *List sorted by file and line, each
// fault once.
func (l List) Err() error {
	if len(l) == 0 {
		return nil
	}
	s := l.Sorted()
	return &s
}

// Sorted is a copy in order of file, line and text, each fault once.
func (l List) Sorted() List {
	s := slices.Clone(l)
	slices.SortFunc(s, func(a, b Fault) int {
		return cmp.Or(strings.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), strings.Compare(a.Text, b.Text))
	})
	return slices.Compact(s)
}

// Error is the faults, one a line.
func (l *List) Error() string {
	lines := make([]string, len(*l))
	for i, f := range *l {
		lines[i] = f.String()
	}
	return strings.Join(lines, "\n")
}

// ExitCode is 2, invalid input (SPEC 2).
func (l *List) ExitCode() int { return 2 }
