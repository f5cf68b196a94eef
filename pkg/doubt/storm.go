package doubt

import (
	"net/netip"
	"slices"
	"time"
)

// Brake is when doubts are a storm ([brake] in settings.toml).
type Brake struct {
	Share   float64       // of the monitored servers
	Least   int           // distinct causes
	Window  time.Duration // within which they turned doubtful
	Longest time.Duration // a storm brakes for so long
}

// Storm is what the doubts of all monitors amount to.
type Storm struct {
	On       bool      `json:"on"`
	Doubtful int       `json:"doubtful"` // virtual servers that are doubted without certainty
	Causes   int       `json:"causes"`   // distinct ones among them
	Targets  int       `json:"targets"`  // monitored virtual servers
	Since    time.Time `json:"since,omitzero"`
	Until    time.Time `json:"until,omitzero"` // the brake is off then at the latest
}

// Judge reports whether there is a storm: so many servers turned doubtful within
// a window, and still are, that the common cause is likely ours (our processor,
// our link, our switch). A takeover without certain evidence then waits, for
// Longest at most: half of a fleet may really be dead.
//
// Both are asked for: Share of the servers are doubtful, and Least distinct
// causes. A real server that dies makes all its guests doubtful together, and
// is no fault of ours. So where a host is known to be silent itself (by its
// dsrs, or by the dbss of any guest of it) its guests count as one cause: in
// the paper's system two dead hosts of three are four servers of six and yet
// two causes, no storm, and nobody waits for a takeover. All hosts silent at once,
// two at least, brake: what they have in common is us. A server that only greets
// slowly counts: a starved monitor sees all of them like that. What is certain does not.
func (b Brake) Judge(doubts []Doubt, fleet Fleet, now time.Time) Storm {
	hosts := silences{}
	var open []Doubt
	for _, d := range doubts {
		if d.Since.After(now) { // the clock was wrong then, or is now
			d.Since = now
		}
		hosts.note(d)
		if !d.OfReal() && !d.Certain() {
			open = append(open, d)
		}
	}
	slices.SortStableFunc(open, func(x, y Doubt) int { return x.Since.Compare(y.Since) })
	s := Storm{Doubtful: len(open), Causes: causes(open, hosts), Targets: fleet.Homes}
	for i, last := range open {
		within := b.within(open[:i+1], last.Since)
		many := float64(len(within)) >= b.Share*float64(fleet.Homes)
		if many && (causes(within, hosts) >= b.Least || hosts.all(fleet.Reals, last.Since, b.Window)) {
			s = b.add(s, last.Since, now)
		}
	}
	return s
}

// Fleet is how many home servers and real servers there are.
type Fleet struct{ Homes, Reals int }

// silences are the hosts that are known to be silent themselves, and since when: by
// the last to say so.
type silences map[netip.Addr]time.Time

func (s silences) note(d Doubt) {
	if d.HostSilent && d.Host.IsValid() && d.Since.After(s[d.Host]) {
		s[d.Host] = d.Since
	}
}

// all reports whether every real server fell silent around a time.
func (s silences) all(reals int, at time.Time, window time.Duration) bool {
	n := 0
	for _, since := range s {
		if since.Sub(at).Abs() <= window {
			n++
		}
	}
	return reals > 1 && n >= reals
}

// within are those of doubts, in order, in the window that ends at end.
func (b Brake) within(doubts []Doubt, end time.Time) []Doubt {
	return doubts[slices.IndexFunc(doubts, func(d Doubt) bool { return end.Sub(d.Since) <= b.Window }):]
}

// add is s with a storm for Longest from end, where that is not over.
func (b Brake) add(s Storm, end, now time.Time) Storm {
	until := end.Add(b.Longest)
	if !now.Before(until) {
		return s
	}
	if !s.On {
		s.On, s.Since = true, end
	}
	s.Until = until
	return s
}

// causes counts distinct causes: a silent host, or the target alone.
func causes(doubts []Doubt, silent silences) int {
	hosts, n := map[netip.Addr]bool{}, 0
	for _, d := range doubts {
		if _, is := silent[d.Host]; is {
			hosts[d.Host] = true
		} else {
			n++
		}
	}
	return n + len(hosts)
}
