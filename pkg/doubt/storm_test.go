package doubt_test

import (
	"net/netip"
	"testing"
	"time"

	"pss-msbs/pkg/doubt"
)

var now = time.Date(2026, 11, 22, 14, 47, 49, 0, time.UTC)

// homes is the paper's system: where each server is.
var homes = map[string]int{"M1": 201, "W1": 201, "F1": 202, "M2": 202, "W2": 203, "F2": 203}

func host(n int) netip.Addr { return netip.AddrFrom4([4]byte{172, 21, 14, byte(n)}) }

// silent is that host has been silent for so long.
func silent(name string, ago time.Duration) doubt.Doubt {
	return doubt.Doubt{Target: name, Group: "any", Kind: doubt.Silent, Host: host(homes[name]), Since: now.Add(-ago)}
}

func behind(d doubt.Doubt) doubt.Doubt { d.HostSilent = true; return d }

func real(n int) doubt.Doubt {
	return doubt.Doubt{Target: "RS", Kind: doubt.Silent, Host: host(n), HostSilent: true, Since: now}
}

func of(kind doubt.Kind, d doubt.Doubt) doubt.Doubt { d.Kind = kind; return d }

func TestJudge(t *testing.T) {
	brake := doubt.Brake{Share: 0.5, Least: 3, Window: 10 * time.Second, Longest: time.Minute}
	s := time.Second
	for name, c := range map[string]struct {
		doubts   []doubt.Doubt
		doubtful int
		causes   int
		on       bool
	}{
		"a healthy fleet":      {nil, 0, 0, false},
		"one server":           {[]doubt.Doubt{silent("M1", 0)}, 1, 1, false},
		"two servers":          {[]doubt.Doubt{silent("M1", 0), silent("F1", 0)}, 2, 2, false},
		"half of the servers":  {[]doubt.Doubt{silent("M1", 0), silent("F1", s), silent("W2", 2*s)}, 3, 3, true},
		"one after the other":  {[]doubt.Doubt{silent("M1", 0), silent("F1", 11*s), silent("W2", 22*s)}, 3, 3, false},
		"three, one long ago":  {[]doubt.Doubt{silent("M1", 0), silent("F1", s), silent("W2", 30*s)}, 3, 3, false},
		"still, 59 s later":    {[]doubt.Doubt{silent("M1", 59*s), silent("F1", 60*s), silent("W2", 61*s)}, 3, 3, true},
		"no more, 60 s later":  {[]doubt.Doubt{silent("M1", 60*s), silent("F1", 60*s), silent("W2", 60*s)}, 3, 3, false},
		"a host dies":          {[]doubt.Doubt{behind(silent("M1", 0)), behind(silent("W1", 0))}, 2, 1, false},
		"two hosts die":        {[]doubt.Doubt{behind(silent("M1", 0)), behind(silent("W1", 0)), behind(silent("F1", 0)), behind(silent("M2", 0))}, 4, 2, false},
		"as one guest of each": {[]doubt.Doubt{behind(silent("M1", 0)), silent("W1", 0), silent("F1", 0), behind(silent("M2", 0))}, 4, 2, false},
		"as their dsrs say":    {[]doubt.Doubt{silent("M1", 0), silent("W1", 0), silent("F1", 0), silent("M2", 0), real(201), real(202)}, 4, 2, false},
		"a host and a server":  {[]doubt.Doubt{behind(silent("M1", 0)), silent("W1", 0), silent("F1", 0)}, 3, 2, false},
		"all hosts at once": {[]doubt.Doubt{behind(silent("M1", 0)), behind(silent("W1", 0)), behind(silent("F1", 0)), behind(silent("M2", 0)),
			behind(silent("W2", 0)), behind(silent("F2", 0))}, 6, 3, true},
		"what is certain":    {[]doubt.Doubt{of(doubt.Dead, silent("M1", 0)), silent("F1", 0), silent("W2", 0)}, 2, 2, false},
		"all greet slowly":   {[]doubt.Doubt{of(doubt.Overloaded, silent("M1", 0)), of(doubt.Overloaded, silent("F1", 0)), of(doubt.Overloaded, silent("W2", 0))}, 3, 3, true},
		"real servers alone": {[]doubt.Doubt{real(201), real(202), real(203)}, 0, 0, false},
		"the clock was set":  {[]doubt.Doubt{silent("M1", -time.Hour), silent("F1", 0), silent("W2", s)}, 3, 3, true},
	} {
		t.Run(name, func(t *testing.T) {
			got := brake.Judge(c.doubts, doubt.Fleet{Homes: len(homes), Reals: 3}, now)
			if got.On != c.on || got.Doubtful != c.doubtful || got.Causes != c.causes || got.Targets != len(homes) {
				t.Errorf("%+v, want on %t with %d doubtful, %d causes", got, c.on, c.doubtful, c.causes)
			}
			if got.On == got.Until.IsZero() || got.On && !got.Until.After(now) {
				t.Errorf("on %t until %v", got.On, got.Until)
			}
		})
	}
}

// Half of a fleet of twenty are ten, and three of twenty are no storm.
func TestJudgeLargeFleet(t *testing.T) {
	brake := doubt.Brake{Share: 0.5, Least: 3, Window: 10 * time.Second, Longest: time.Minute}
	var doubts []doubt.Doubt
	for i := range 10 {
		if brake.Judge(doubts, doubt.Fleet{Homes: 20, Reals: 10}, now).On {
			t.Errorf("%d of twenty are a storm", i)
		}
		doubts = append(doubts, doubt.Doubt{Target: "S", Group: "any", Kind: doubt.Mute, Host: host(i), Since: now})
	}
	if !brake.Judge(doubts, doubt.Fleet{Homes: 20, Reals: 10}, now).On {
		t.Error("ten of twenty are no storm")
	}
}

// Both hosts of a fleet of two silent at once are likely our fault; one that has been
// dead for long, and a second, are not.
func TestJudgeTwoHosts(t *testing.T) {
	brake := doubt.Brake{Share: 0.5, Least: 3, Window: 10 * time.Second, Longest: time.Minute}
	for name, c := range map[string]struct {
		first  time.Duration // how long ago the first host fell silent
		second doubt.Doubt
		on     bool
	}{
		"both at once":                  {time.Second, behind(silent("F1", 0)), true},
		"both, as one dsrs says":        {time.Second, real(202), true},
		"one after the other":           {11 * time.Second, behind(silent("F1", 0)), false},
		"a host, a server of the other": {time.Second, silent("F1", 0), false},
	} {
		t.Run(name, func(t *testing.T) {
			doubts := []doubt.Doubt{behind(silent("M1", c.first)), behind(silent("W1", c.first)), c.second}
			if s := brake.Judge(doubts, doubt.Fleet{Homes: 4, Reals: 2}, now); s.On != c.on {
				t.Errorf("%+v, want on %t", s, c.on)
			}
		})
	}
}
