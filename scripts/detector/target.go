package main

import (
	"fmt"
	"time"
)

// The targets of issue 12 for profile fast at no loss: medians.
var targets = map[fault]time.Duration{
	crash: 700 * time.Millisecond, cut: 700 * time.Millisecond, shutdown: 300 * time.Millisecond,
}

// missed names the targets that l misses.
func (l *line) missed() []string {
	var m []string
	miss := func(format string, a ...any) {
		m = append(m, fmt.Sprintf("%s, %s: ", l.row, l.who)+fmt.Sprintf(format, a...))
	}
	if l.open || l.who != "fast" && l.who != "paper" {
		return nil
	}
	if l.tally.Harm > 0 {
		miss("%d times harm", l.tally.Harm)
	}
	if l.who != "fast" {
		return m
	}
	if most := mostFalse(l.row); l.tally.False > most {
		miss("%d false takeovers, more than %d", l.tally.False, most)
	}
	if l.row != noLoss {
		return m
	}
	for f, most := range targets {
		if median := l.found[f].quantile(0.5); len(l.found[f]) > 0 && median > most {
			miss("%s found after %v, later than %v", f, median, most)
		}
	}
	return m
}

// The rows whose targets are their own.
const (
	noLoss   = "loss 0 %"
	mostLoss = "loss 10 %"
)

// mostFalse is how many false takeovers a row may have in a year.
func mostFalse(row string) int {
	if row == mostLoss {
		return 1
	}
	return 0
}
