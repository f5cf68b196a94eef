// Package judge records what must never happen in a fleet (SPEC 10), and what harm
// is done to servers that would have answered their clients.
package judge

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/sim/spec"
	"pss-msbs/pkg/sim/world"
)

// The kinds of violations: what must never happen (SPEC 10).
const (
	TwoHolders        = "two-holders"        // two reachable guests hold one VIP
	AsleepOperation   = "asleep-operation"   // start, resume, restore or migration onto a suspended host
	SuspendedHolder   = "suspended-holder"   // a host was suspended with a guest that holds a VIP
	SuspendedRecovery = "suspended-recovery" // a host was suspended while a guest on it boots
	Twin              = "twin"               // one guest on two hosts
	PausedHolder      = "paused-holder"      // a guest was paused or saved with a VIP on it
	KeptVIP           = "kept-vip"           // a guest came back from pause or storage with a VIP on it
	StaleClock        = "stale-clock"        // a VIP was given to a guest whose clock was not set
)

// Violation is one thing that must never happen and did.
type Violation struct {
	At      time.Time  `json:"at"`
	Kind    string     `json:"kind"`
	What    string     `json:"what"`
	VIP     netip.Addr `json:"vip,omitzero"`
	Real    string     `json:"real,omitempty"`    // two-holders: the real server that was silent at the takeover, and not stripped in time
	Seconds float64    `json:"seconds,omitempty"` // how long, where it lasts; filled in at its end
}

// Exception is a VIP held twice because one holder's host was silent when it
// should have been fenced: allowed for at most the strip deadline after the
// host's first answer.
type Exception struct {
	At          time.Time  `json:"at"`
	VIP         netip.Addr `json:"vip"`
	What        string     `json:"what"`
	Seconds     float64    `json:"seconds"`      // both reachable
	AfterAnswer float64    `json:"after_answer"` // seconds of it after the host's first answer
}

// Judge records what must never happen, and the energy used.
type Judge struct {
	*world.World
	net        *world.Network
	harms      *Harms
	lates      *world.Lates
	Violations []*Violation
	exceptions []Exception
	serving    map[netip.Addr]string
	conflicts  map[string]*conflict
	power      []powerStep
}

// New has nothing to blame yet.
func New(w *world.World, n *world.Network, h *Harms, l *world.Lates) *Judge {
	return &Judge{World: w, net: n, harms: h, lates: l, serving: map[netip.Addr]string{}, conflicts: map[string]*conflict{}}
}

// Settle judges what a change has led to.
func (j *Judge) Settle() {
	for _, vip := range j.net.Held {
		j.settleServing(vip)
	}
	j.settleConflicts()
	j.settlePower()
}

func (j *Judge) violate(kind string, vip netip.Addr, format string, a ...any) *Violation {
	v := &Violation{At: j.Now, Kind: kind, VIP: vip, What: fmt.Sprintf(format, a...)}
	j.Violations = append(j.Violations, v)
	j.Note("violation", "", "", "%s: %s", kind, v.What)
	return v
}

// BlameSleeping is about what is to begin on a host that sleeps.
func (j *Judge) BlameSleeping(verb, name string, real netip.Addr) {
	j.Lock()
	defer j.Unlock()
	if h := j.Hosts[real]; h != nil && h.State == spec.Suspended {
		j.violate(AsleepOperation, netip.Addr{}, "%s of %s on %s, which is suspended", verb, name, h.Name)
	}
}

// BlameTwin records that i's guest lives on another host too.
func (j *Judge) BlameTwin(i *world.Instance) {
	for o := range j.Of(i.Host) {
		if o != i && o.Live() && o.At.State != spec.Off && o.At.State != spec.Booting {
			j.violate(Twin, netip.Addr{}, "%s on %s while it is %s on %s", i.Host, i.At.Name, o.State, o.At.Name)
		}
	}
}

// BlameBoots is about what boots when a suspend is asked for: what a guest does
// by itself while its host falls asleep, or just before, is nobody's fault.
func (j *Judge) BlameBoots(h *world.Host) {
	for _, i := range h.InOrder() {
		if i.State == cluster.GuestBooting && j.Now.Sub(i.Restarted) > time.Second {
			j.violate(SuspendedRecovery, netip.Addr{}, "%s suspended while %s boots", h.Name, i.Host)
		}
	}
}

// BlameSuspend is about those on a host that is suspended.
func (j *Judge) BlameSuspend(h *world.Host) {
	for _, i := range h.InOrder() {
		if i.State == cluster.GuestRunning && len(i.Holds) > 0 {
			j.harms.pauses(i)
			j.violate(SuspendedHolder, i.SortedVIPs()[0], "%s suspended with %s on %s", h.Name, vipText(i), i.Host)
		}
	}
}

// BlamePause is about a guest that is paused or saved.
func (j *Judge) BlamePause(i *world.Instance, verb string) {
	if i.State == cluster.GuestRunning && len(i.Holds) > 0 {
		j.harms.pauses(i)
		j.violate(PausedHolder, i.SortedVIPs()[0], "%s of %s, which holds %s", verb, i.Host, vipText(i))
	}
}

// BlameKeptVIPs is about a guest that comes back.
func (j *Judge) BlameKeptVIPs(i *world.Instance) {
	if len(i.Holds) > 0 {
		j.violate(KeptVIP, i.SortedVIPs()[0], "%s on %s came back with %s", i.Host, i.At.Name, vipText(i))
	}
}

// BlameClock is about a guest that gets a VIP.
func (j *Judge) BlameClock(i *world.Instance, vip netip.Addr) {
	if i.StaleClock {
		j.violate(StaleClock, vip, "%s given to %s, whose clock was not set", vip, i.Host)
	}
}

func vipText(i *world.Instance) string { return strings.Trim(fmt.Sprint(i.SortedVIPs()), "[]") }

// Since tells what was recorded from a time on, and what lasts so far.
func (j *Judge) Since(begin time.Time) (violations []Violation, exceptions []Exception) {
	violations, exceptions = []Violation{}, append([]Exception{}, j.exceptions...)
	for _, key := range slices.Sorted(maps.Keys(j.conflicts)) {
		exceptions = j.lasted(j.conflicts[key], exceptions)
	}
	for _, v := range j.Violations {
		if !v.At.Before(begin) {
			violations = append(violations, *v)
		}
	}
	return violations, slices.DeleteFunc(exceptions, func(e Exception) bool { return e.At.Before(begin) })
}

// conflict is two guests that hold one VIP at this moment.
type conflict struct {
	vip       netip.Addr
	names     string
	since     time.Time
	excused   *world.Host     // the host that was silent at the takeover
	left      *world.Instance // the holder on it
	violation *Violation      // nil while it is excused
	limited   bool            // the end of the excuse is on the agenda
	repeats   int             // how often a bad path has put it off
}

func (j *Judge) settleServing(vip netip.Addr) {
	var names []string
	for _, i := range j.net.Answering(vip, world.FromClients) {
		names = append(names, i.Host+"@"+i.At.Name)
	}
	slices.Sort(names)
	now := strings.Join(names, " ")
	if j.serving[vip] == now {
		return
	}
	j.serving[vip] = now
	if now == "" {
		now = "nobody"
	}
	j.Note("vip", "", "", "%s held by %s", vip, now)
}

// settleConflicts compares who holds a VIP twice with who did.
func (j *Judge) settleConflicts() {
	seen := map[string]bool{}
	for _, vip := range j.net.Held {
		for _, v := range []world.View{world.FromManagement, world.FromClients} {
			who := j.net.Answering(vip, v)
			for n, a := range who {
				for _, b := range who[n+1:] {
					key := j.clash(vip, a, b)
					seen[key] = true
				}
			}
		}
	}
	for _, key := range slices.Sorted(maps.Keys(j.conflicts)) {
		c := j.conflicts[key]
		if !seen[key] {
			j.exceptions = j.lasted(c, j.exceptions)
			delete(j.conflicts, key)
		} else if c.excused != nil && !c.limited && !c.excused.Answered.IsZero() {
			c.limited = true
			j.At(c.excused.Answered.Add(j.Spec.StripDeadline), func() { j.limit(key, c) })
		}
	}
}

// clash keeps the conflict between two holders.
func (j *Judge) clash(vip netip.Addr, a, b *world.Instance) string {
	names := []string{a.Host + "@" + a.At.Name, b.Host + "@" + b.At.Name}
	slices.Sort(names)
	c := &conflict{vip: vip, names: strings.Join(names, " and "), since: j.Now}
	key := vip.String() + " " + c.names
	if j.conflicts[key] != nil {
		return key
	}
	j.conflicts[key] = c
	if c.left = j.excuse(vip, a, b); c.left != nil {
		c.excused = c.left.At
	}
	if c.excused == nil {
		c.violation = j.violate(TwoHolders, vip, "%s held by %s", vip, c.names)
	} else {
		j.Note("exception", c.excused.Name, "", "%s held by %s: %s was silent at the takeover", vip, c.names, c.excused.Name)
	}
	return key
}

// excuse returns the older holder if its host was silent when the newer one got the VIP.
func (j *Judge) excuse(vip netip.Addr, a, b *world.Instance) *world.Instance {
	if b.Holds[vip].Since.Before(a.Holds[vip].Since) {
		a, b = b, a
	}
	h, taken := a.At, b.Holds[vip].Since
	switch {
	case h == b.At || h.Since.IsZero() || taken.Before(h.Since):
		return nil
	case h.Silent || h.Answered.IsZero() || !taken.After(h.Answered.Add(j.Spec.StripDeadline)):
		return a
	}
	return nil
}

const (
	patience    = 3 * time.Second // of the caller of a command that hangs, who may have begun it a moment before the end of that
	mostRepeats = 3               // strip_deadlines that a bad path is allowed besides
)

// limit ends the excuse of a conflict that lasts. Nobody strips a server for which
// commands hang, nor in time over a path on which all has to be repeated.
func (j *Judge) limit(key string, c *conflict) {
	until := j.lates.LastLate(c.left.Host, c.excused).Add(patience + world.Latest + j.Spec.StripDeadline)
	switch lasts := j.conflicts[key] == c; {
	case lasts && j.Now.Before(until):
		j.At(until, func() { j.limit(key, c) })
		return
	case lasts && c.repeats < mostRepeats && j.net.ToHost(c.excused) != j.Spec.Path:
		c.repeats++
		j.At(j.Now.Add(j.Spec.StripDeadline), func() { j.limit(key, c) })
		return
	}
	if j.conflicts[key] == c && !c.excused.Silent {
		c.violation = j.violate(TwoHolders, c.vip, "%s held by %s longer than %v after %s answered", c.vip, c.names, j.Spec.StripDeadline, c.excused.Name)
		c.violation.Real = c.excused.Name
		c.excused = nil
	}
	c.limited = false
}

// lasted notes how long c has lasted; where it is excused, among exceptions.
func (j *Judge) lasted(c *conflict, exceptions []Exception) []Exception {
	e := Exception{At: c.since, VIP: c.vip, What: c.names, Seconds: j.Now.Sub(c.since).Seconds()}
	if c.violation != nil {
		c.violation.Seconds = e.Seconds
	}
	if c.excused == nil {
		return exceptions
	}
	if a := c.excused.Answered; !a.IsZero() && a.Before(j.Now) {
		e.AfterAnswer = min(e.Seconds, j.Now.Sub(a).Seconds())
	}
	return append(exceptions, e)
}

type powerStep struct {
	at    time.Time
	watts float64
}

func (j *Judge) settlePower() {
	w := j.Watts()
	p := &j.power
	if n := len(*p); n > 0 && (*p)[n-1].watts == w {
		return
	}
	*p = append(*p, powerStep{at: j.Now, watts: w})
	j.Note("power", "", "", "%g W", w)
}

// Watts is the power of all real servers now.
func (j *Judge) Watts() float64 {
	var w float64
	for _, h := range j.Order {
		w += h.Watts()
	}
	return w
}

// EnergyWh is the energy used from since to now.
func (j *Judge) EnergyWh(since time.Time) float64 {
	var wh float64
	for n, s := range j.power {
		end := j.Now
		if n+1 < len(j.power) {
			end = j.power[n+1].at
		}
		begin := s.at
		if begin.Before(since) {
			begin = since
		}
		if end.After(begin) {
			wh += s.watts * end.Sub(begin).Hours()
		}
	}
	return wh
}
