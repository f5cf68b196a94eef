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
// two causes, no storm, and nobody waits for a takeover. All three hosts silent
// at once are three causes and brake. A server that only greets slowly counts:
// a starved monitor sees all of them like that. What is certain does not.
func (b Brake) Judge(doubts []Doubt, targets int, now time.Time) Storm {
	silent := map[netip.Addr]bool{}
	var open []Doubt
	for _, d := range doubts {
		if d.HostSilent && d.Host.IsValid() {
			silent[d.Host] = true
		}
		if d.OfReal() || d.Certain() {
			continue
		}
		if d.Since.After(now) { // the clock was wrong then, or is now
			d.Since = now
		}
		open = append(open, d)
	}
	slices.SortStableFunc(open, func(x, y Doubt) int { return x.Since.Compare(y.Since) })
	s := Storm{Doubtful: len(open), Causes: causes(open, silent), Targets: targets}
	for i, last := range open {
		s = b.add(s, open[:i+1], last.Since, silent, now)
	}
	return s
}

// add looks at the window that ends with the newest of doubts, at end.
func (b Brake) add(s Storm, doubts []Doubt, end time.Time, silent map[netip.Addr]bool, now time.Time) Storm {
	first := slices.IndexFunc(doubts, func(d Doubt) bool { return end.Sub(d.Since) <= b.Window })
	within := doubts[first:]
	enough := float64(len(within)) >= b.Share*float64(s.Targets) && causes(within, silent) >= b.Least
	until := end.Add(b.Longest)
	if !enough || !now.Before(until) {
		return s
	}
	if !s.On {
		s.On, s.Since = true, end
	}
	s.Until = until
	return s
}

// causes counts distinct causes: a silent host, or the target alone.
func causes(doubts []Doubt, silent map[netip.Addr]bool) int {
	hosts, n := map[netip.Addr]bool{}, 0
	for _, d := range doubts {
		if d.Host.IsValid() && silent[d.Host] {
			hosts[d.Host] = true
		} else {
			n++
		}
	}
	return n + len(hosts)
}
