package main

import (
	"time"

	"pss-msbs/pkg/detector"
)

// kind is what an event is.
type kind int

const (
	told     kind = iota // an answer
	reported             // the hypervisor reports something
	looked               // the target's VIPs have been looked at
)

// event comes to the program at its time.
type event struct {
	at       time.Duration
	asked    time.Duration // when the program decided to ask
	deadline time.Duration // of the question
	kind     kind
	answer   detector.Answer
}

// queue is a heap of events, the earliest first.
type queue []event

func (q *queue) push(e event) {
	h := append(*q, e)
	for i := len(h) - 1; i > 0; {
		up := (i - 1) / 2
		if h[up].at <= h[i].at {
			break
		}
		h[up], h[i] = h[i], h[up]
		i = up
	}
	*q = h
}

func (q *queue) pop() event {
	h := *q
	first, n := h[0], len(h)-1
	h[0] = h[n]
	h = h[:n]
	for i := 0; ; {
		down := 2*i + 1
		if down >= n {
			break
		}
		if down+1 < n && h[down+1].at < h[down].at {
			down++
		}
		if h[i].at <= h[down].at {
			break
		}
		h[i], h[down] = h[down], h[i]
		i = down
	}
	*q = h
	return first
}

// next is when the first event is due.
func (q queue) next() time.Duration {
	if len(q) == 0 {
		return never
	}
	return q[0].at
}
