package main

import (
	"slices"
	"time"

	"pss-msbs/pkg/detector"
)

// tally is what happened in a time without faults.
type tally struct {
	Alarms, False, Harm int
	Why                 []string // the first false takeovers, in words
}

func (t *tally) takeover(v detector.Verdict, harm bool) {
	t.False++
	if harm {
		t.Harm++
	}
	if len(t.Why) < mostWhy {
		t.Why = append(t.Why, string(v.Trouble)+": "+v.Evidence)
	}
}

// mostWhy is how many false takeovers of a line are told in words.
const mostWhy = 3

func (t *tally) add(o tally) {
	t.Alarms += o.Alarms
	t.False += o.False
	t.Harm += o.Harm
	t.Why = append(t.Why, o.Why...)
	t.Why = t.Why[:min(len(t.Why), mostWhy)]
}

// times are detection times, and never for what was not found.
type times []time.Duration

// quantile is the time within which a share of q was found.
func (t times) quantile(q float64) time.Duration {
	if len(t) == 0 {
		return never
	}
	s := slices.Sorted(slices.Values(t))
	return s[min(len(s)-1, int(q*float64(len(s))))]
}
