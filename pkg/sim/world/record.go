package world

import (
	"fmt"
	"slices"
	"time"
)

// Entry is one line of the fleet's timeline.
type Entry struct {
	At    time.Time `json:"at"`
	Kind  string    `json:"kind"` // real, guest, vip, fault, heal, load, power, client, balancer, violation, ...
	Real  string    `json:"real,omitempty"`
	Guest string    `json:"guest,omitempty"`
	What  string    `json:"what"`
}

// timelineMax bounds the memory of a fleet that runs for days.
const timelineMax = 50000

// Note adds to the timeline. Held: the lock, also below.
func (w *World) Note(kind, real, guest, format string, a ...any) {
	e := Entry{At: w.Now, Kind: kind, Real: real, Guest: guest, What: fmt.Sprintf(format, a...)}
	w.Timeline = Keep(w.Timeline, e, timelineMax)
}

// Keep appends x to all; from most on the older half is forgotten.
func Keep[T any](all []T, x T, most int) []T {
	if len(all) >= most {
		all = slices.Clone(all[most/2:])
	}
	return append(all, x)
}

// Unnote takes the last entry back.
func (w *World) Unnote() { w.Timeline = w.Timeline[:len(w.Timeline)-1] }

// Since is a copy of the end of all from begin on; it is in order of time.
func Since[T any](all []T, begin time.Time, at func(T) time.Time) []T {
	first, _ := slices.BinarySearchFunc(all, begin, func(x T, t time.Time) int { return at(x).Compare(t) })
	return append([]T{}, all[first:]...)
}

// The kinds of questions whose times are kept: one of each cycle of a monitor.
const (
	AskedGreet      = "greet"      // of a guest at its own address
	AskedMeasure    = "measure"    // in a guest
	AskedHypervisor = "hypervisor" // of a real server
)

// keepAsked bounds the times kept of one kind and name.
const keepAsked = 512

// asked are the times at which somebody asked: how late monitors are shows in
// the gaps between them.
type asked map[string]map[string][]time.Time // kind, name

func (a asked) Note(kind, name string, at time.Time) {
	if a[kind] == nil {
		a[kind] = map[string][]time.Time{}
	}
	times := append(a[kind][name], at)
	a[kind][name] = times[max(0, len(times)-keepAsked):]
}

// Since are the times from begin on.
func (a asked) Since(begin time.Time) map[string]map[string][]time.Time {
	out := map[string]map[string][]time.Time{}
	for kind, names := range a {
		out[kind] = map[string][]time.Time{}
		for name, times := range names {
			if in := Since(times, begin, func(t time.Time) time.Time { return t }); len(in) > 0 {
				out[kind][name] = in
			}
		}
	}
	return out
}
