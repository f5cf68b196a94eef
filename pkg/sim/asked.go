package sim

import "time"

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

func (a asked) note(kind, name string, at time.Time) {
	if a[kind] == nil {
		a[kind] = map[string][]time.Time{}
	}
	times := append(a[kind][name], at)
	a[kind][name] = times[max(0, len(times)-keepAsked):]
}

// since are the times from begin on.
func (a asked) since(begin time.Time) map[string]map[string][]time.Time {
	out := map[string]map[string][]time.Time{}
	for kind, names := range a {
		out[kind] = map[string][]time.Time{}
		for name, times := range names {
			for _, t := range times {
				if !t.Before(begin) {
					out[kind][name] = append(out[kind][name], t)
				}
			}
		}
	}
	return out
}
