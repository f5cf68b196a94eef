// Package window counts client accesses over the last y seconds (paper, section
// 2.6, Fig. 6(c)) from counters that only grow.
package window

import (
	"net/netip"
	"time"

	"pss-msbs/pkg/load"
	"pss-msbs/pkg/settings"
)

// Counter remembers the access counts of the last window.
type Counter struct {
	past  []count
	lost  bool      // something may not have been counted since the last count
	since time.Time // everything was counted from then on
}

type count struct {
	at time.Time
	of map[netip.Addr]uint64
}

// Lost notes that accesses may have gone uncounted: what is known of them still
// counts, but is no whole window any more.
func (c *Counter) Lost() { c.lost = true }

// Take counts once and forgets what no window needs any more. A count that went
// back is a counter that began anew.
func (c *Counter) Take(now time.Time, of map[netip.Addr]uint64, longest time.Duration) {
	if c.lost {
		c.lost, c.since = false, now
	}
	if n := len(c.past); n > 0 {
		for vip, was := range c.past[n-1].of {
			if of[vip] < was {
				c.past = nil
				break
			}
		}
	}
	c.past = append(c.past, count{now, of})
	for len(c.past) > 1 && !c.past[1].at.After(now.Add(-longest)) {
		c.past = c.past[1:]
	}
}

// Clients are the client accesses of the last y seconds, z - k*y, and whether a
// whole window has been counted. Where nothing was counted lately it is just
// more than PS2 allows: nobody may be turned to a lone server unseen.
func (c *Counter) Clients(now time.Time, vips []netip.Addr, class settings.Class) (float64, bool) {
	window := class.PS2Window.D()
	n := len(c.past)
	if n == 0 || now.Sub(c.past[n-1].at) > window {
		return class.PS2Accesses + 1, false
	}
	first, last := 0, c.past[n-1]
	for first+1 < n && !c.past[first+1].at.After(last.at.Add(-window)) {
		first++
	}
	from := c.past[first]
	var z int64
	for _, vip := range vips {
		z += int64(last.of[vip] - from.of[vip])
	}
	seconds := last.at.Sub(from.at)
	return load.ClientAccesses(z, class.MonitorAccessesPerSecond, seconds.Seconds(), len(vips)), seconds >= window && !from.at.Before(c.since)
}
