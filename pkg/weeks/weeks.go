// Package weeks generates traces of a week's demand for a replay: day and night,
// weekdays and weekend, bursts, noise, groups with rhythms of their own. The same
// seed gives the same week.
package weeks

import (
	"math"
	"math/rand/v2"
	"strconv"
	"time"

	"pss-msbs/pkg/load"
	"pss-msbs/pkg/replay"
)

// Plan is what a week is drawn for.
type Plan struct {
	Groups   []Group
	Interval time.Duration // between cycles
	Days     int
	Size     load.Capacity // of each server
}

// Group is a service group and its home servers, which share its demand.
type Group struct {
	Name  string
	Hosts []string
}

// Week draws the week of a seed; its first day is a Monday.
func Week(p Plan, seed uint64) []replay.Cycle {
	var rhythms []*rhythm
	for i := range p.Groups {
		rhythms = append(rhythms, draw(rand.New(rand.NewPCG(seed, uint64(i)))))
	}
	var out []replay.Cycle
	start := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	for at := start; at.Before(start.AddDate(0, 0, p.Days)); at = at.Add(p.Interval) {
		c := replay.Cycle{At: time.Unix(at.Unix()-start.Unix(), 0).UTC(), Time: []byte(strconv.FormatInt(at.Unix()-start.Unix(), 10)), Rows: map[string]replay.Row{}}
		for i, g := range p.Groups {
			rhythms[i].cycle(at, p, g.Hosts, c.Rows)
		}
		out = append(out, c)
	}
	return out
}

// rhythm is one group's demand, as a part of what its home servers can carry.
type rhythm struct {
	rnd *rand.Rand

	night, peak float64 // demand at the quietest and at the busiest hour of a weekday
	hour, width float64 // when that is, and how many hours the day's hump spreads
	lunch       float64 // depth of a second, narrower dip or hump at midday
	weekend     float64 // of a weekday's demand
	noise       float64 // relative, of one cycle
	drift       float64 // relative, of a slow wander
	bursts      float64 // a day
	memory      float64 // part of memory that is used without clients
	rate        float64 // accesses a second at full demand

	wander float64
	burst  float64
	until  time.Time
}

// draw draws a rhythm of office, evening or all-day kind.
func draw(rnd *rand.Rand) *rhythm {
	in := func(low, high float64) float64 { return low + (high-low)*rnd.Float64() }
	r := &rhythm{rnd: rnd, night: in(0.01, 0.25), peak: in(0.5, 0.95), width: in(3, 6), lunch: in(-0.2, 0.1), noise: in(0.05, 0.2),
		drift: in(0.03, 0.15), bursts: in(0.5, 6), memory: in(0.2, 0.45), rate: in(2, 10)}
	switch rnd.IntN(3) {
	case 0: // office
		r.hour, r.weekend = in(11, 15), in(0.1, 0.5)
	case 1: // evening
		r.hour, r.weekend, r.lunch = in(18, 21), in(0.9, 1.3), 0
	default: // all day
		r.hour, r.weekend, r.width = in(13, 17), in(0.7, 1), in(5, 8)
	}
	return r
}

// demand is the group's demand at a time, 0 to 1.
func (r *rhythm) demand(at time.Time, interval time.Duration) float64 {
	hour := float64(at.Hour()) + float64(at.Minute())/60
	hump := func(centre, width float64) float64 {
		d := math.Abs(hour - centre)
		d = math.Min(d, 24-d)
		return math.Exp(-d * d / (2 * width * width))
	}
	v := r.night + (r.peak-r.night)*math.Max(0, hump(r.hour, r.width)+r.lunch*hump(12.5, 1))
	if day := at.Weekday(); day == time.Saturday || day == time.Sunday {
		v *= r.weekend
	}
	step := interval.Hours() // the wander forgets within two hours
	r.wander += -r.wander*step/2 + r.drift*math.Sqrt(step)*r.rnd.NormFloat64()
	if at.After(r.until) {
		r.burst = 0
		if r.rnd.Float64() < r.bursts*step/24 {
			r.burst = 0.1 + 0.3*r.rnd.ExpFloat64()
			r.until = at.Add(time.Duration((2 + 20*r.rnd.ExpFloat64()) * float64(time.Minute)))
		}
	}
	return math.Max(0, math.Min(1, v*(1+r.wander)+r.burst))
}

// cycle adds the rows of the group's servers.
func (r *rhythm) cycle(at time.Time, p Plan, hosts []string, rows map[string]replay.Row) {
	demand := r.demand(at, p.Interval)
	for _, host := range hosts {
		v := math.Max(0, math.Min(1, demand*(1+r.noise*r.rnd.NormFloat64())))
		rows[host] = replay.Row{Reading: load.Reading{
			MemKB:      math.Round(p.Size.MemKB * math.Min(1, r.memory+0.3*v)),
			CPUPercent: math.Round(1000*v) / 10,
			NetKBs:     math.Round(p.Size.NetKBs * v),
		}, Accesses: r.poisson(v * r.rate * p.Interval.Seconds() / float64(len(hosts)))}
	}
}

// poisson draws a count of the given mean.
func (r *rhythm) poisson(mean float64) float64 {
	if mean > 50 {
		return math.Max(0, math.Round(mean+math.Sqrt(mean)*r.rnd.NormFloat64()))
	}
	n, p := 0.0, r.rnd.Float64()
	for limit := math.Exp(-mean); p > limit; p *= r.rnd.Float64() {
		n++
	}
	return n
}
