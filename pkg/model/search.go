package model

import (
	"fmt"
	"hash/maphash"
	"strings"
	"time"
)

// Result is what a search found.
type Result struct {
	States, Transitions, Depth, Good int
	Took                             time.Duration
	Wrong                            string // what must not be and is; "": nothing
	Trace                            []string
	Cut                              bool // the limit of states ended the search
}

// String is the figures of a search.
func (r Result) String() string {
	return fmt.Sprintf("%d states, %d transitions, depth %d, %d of all well, %.1f s", r.States, r.Transitions, r.Depth, r.Good, r.Took.Seconds())
}

// search is a walk through all states, breadth first, so that a trace is as
// short as can be.
type search struct {
	*System
	seed   maphash.Seed
	index  map[uint64]int32
	states []State
	from   []int32  // the state before, in the walk
	what   []string // the step from there
	edges  []edge
	Result
}

type edge struct{ from, to int32 }

// Search walks through every state that the system can reach; limit bounds
// their number (0: none).
func (y *System) Search(limit int) Result {
	begun := time.Now()
	w := &search{System: y, seed: maphash.MakeSeed(), index: map[uint64]int32{}}
	w.visit(y.initial(), -1, "")
	level, end := 0, 1
	for at := 0; at < len(w.states) && w.Wrong == ""; at++ {
		if at == end {
			level, end = level+1, len(w.states)
		}
		if limit > 0 && len(w.states) > limit {
			w.Cut = true
			break
		}
		w.expand(int32(at))
	}
	w.States, w.Transitions, w.Depth = len(w.states), len(w.edges), level
	if w.Wrong == "" && !w.Cut {
		w.hopeless()
	}
	w.Took = time.Since(begun)
	return w.Result
}

// visit gives the number of a state, a new one if it was not seen before.
func (w *search) visit(s State, from int32, what string) int32 {
	for h := maphash.Comparable(w.seed, s); ; h++ {
		i, seen := w.index[h]
		if seen && w.states[i] != s {
			continue // two states of one hash
		}
		if !seen {
			i = int32(len(w.states))
			w.index[h] = i
			w.states, w.from, w.what = append(w.states, s), append(w.from, from), append(w.what, what)
			if why := w.wrong(s); why != "" && w.Wrong == "" {
				w.Wrong, w.Trace = why, w.trace(i)
			}
		}
		return i
	}
}

func (w *search) expand(at int32) {
	moves := w.moves(w.states[at])
	for _, m := range moves {
		w.edges = append(w.edges, edge{at, w.visit(m.to, at, m.what)})
	}
	if len(moves) == 0 && w.Wrong == "" && !w.well(w.states[at]) {
		w.Wrong, w.Trace = "nobody can do anything and not all is well", w.trace(at)
	}
}

// hopeless looks for a state from which none is reachable in which all is well:
// backwards from those.
func (w *search) hopeless() {
	hope := make([]bool, len(w.states))
	var todo []int32
	for i, s := range w.states {
		if w.well(s) {
			hope[i] = true
			todo = append(todo, int32(i))
		}
	}
	w.Good = len(todo)
	before := w.backwards()
	for len(todo) > 0 {
		at := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		for _, b := range before(at) {
			if !hope[b] {
				hope[b] = true
				todo = append(todo, b)
			}
		}
	}
	for i := range hope {
		if !hope[i] {
			w.Wrong, w.Trace = "from here all can never be well again", w.trace(int32(i))
			return
		}
	}
}

// backwards lists the states before one.
func (w *search) backwards() func(int32) []int32 {
	first := make([]int32, len(w.states)+1)
	for _, e := range w.edges {
		first[e.to+1]++
	}
	for i := range w.states {
		first[i+1] += first[i]
	}
	list, next := make([]int32, len(w.edges)), append([]int32{}, first...)
	for _, e := range w.edges {
		list[next[e.to]] = e.from
		next[e.to]++
	}
	return func(i int32) []int32 { return list[first[i]:first[i+1]] }
}

// trace is the way to a state, one line a step.
func (w *search) trace(i int32) []string {
	var out []string
	for ; i >= 0; i = w.from[i] {
		s := w.states[i]
		line := w.describe(s)
		out = append([]string{fmt.Sprintf("%-60s %s", w.what[i], line)}, out...)
	}
	return out
}

// describe is a state for a reader of traces.
func (y *System) describe(s State) string {
	var b strings.Builder
	g := stepper{System: y, s: s}
	b.WriteString("held[")
	for i := range y.vips {
		f := strings.Split(y.vips[i].String(), ".")
		fmt.Fprintf(&b, " %s:%s", f[3], strings.Join(y.namesOf(g.holders(&s, i)), "+"))
	}
	b.WriteString(" ] ")
	if s.lock != nobody {
		b.WriteString("lock=" + y.names[s.lock] + " ")
	}
	if s.failed != 0 {
		fmt.Fprintf(&b, "failed=%v ", y.namesOf(s.failed))
	}
	b.WriteString(text(y.tables.all[s.files]))
	if s.journal != 0 {
		b.WriteString(" JOURNAL " + text(y.tables.all[s.journal]))
	}
	return b.String()
}
