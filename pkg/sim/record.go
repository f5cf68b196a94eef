package sim

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"pss-msbs/pkg/cluster"
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

// Entry is one line of the fleet's timeline.
type Entry struct {
	At    time.Time `json:"at"`
	Kind  string    `json:"kind"` // real, guest, vip, fault, heal, load, power, client, balancer, violation, ...
	Real  string    `json:"real,omitempty"`
	Guest string    `json:"guest,omitempty"`
	What  string    `json:"what"`
}

// judge records what must never happen, and the energy used.
type judge struct {
	*world
	net        *network
	harms      *harms
	lates      *lates
	violations []*Violation
	exceptions []Exception
	serving    map[netip.Addr]string
	conflicts  map[string]*conflict
	power      []powerStep
}

func newJudge(w *world, n *network, h *harms, l *lates) *judge {
	return &judge{world: w, net: n, harms: h, lates: l, serving: map[netip.Addr]string{}, conflicts: map[string]*conflict{}}
}

// settle judges what a change has led to.
func (j *judge) settle() {
	for _, vip := range j.net.held {
		j.settleServing(vip)
	}
	j.settleConflicts()
	j.settlePower()
}

type powerStep struct {
	at    time.Time
	watts float64
}

// conflict is two guests that hold one VIP at this moment.
type conflict struct {
	vip       netip.Addr
	names     string
	since     time.Time
	excused   *host      // the host that was silent at the takeover
	left      *instance  // the holder on it
	violation *Violation // nil while it is excused
	limited   bool       // the end of the excuse is on the agenda
}

// timelineMax bounds the memory of a fleet that runs for days.
const timelineMax = 50000

// note adds to the timeline. Held: m.mu, also below.
func (w *world) note(kind, real, guest, format string, a ...any) {
	e := Entry{At: w.now, Kind: kind, Real: real, Guest: guest, What: fmt.Sprintf(format, a...)}
	if len(w.timeline) >= timelineMax {
		w.timeline = slices.Clone(w.timeline[timelineMax/2:])
	}
	w.timeline = append(w.timeline, e)
}

// unnote takes the last entry back.
func (w *world) unnote() { w.timeline = w.timeline[:len(w.timeline)-1] }

func (j *judge) violate(kind string, vip netip.Addr, format string, a ...any) *Violation {
	v := &Violation{At: j.now, Kind: kind, VIP: vip, What: fmt.Sprintf(format, a...)}
	j.violations = append(j.violations, v)
	j.note("violation", "", "", "%s: %s", kind, v.What)
	return v
}

func (j *judge) blameSleeping(verb, name string, real netip.Addr) {
	j.lock()
	defer j.unlock()
	if h := j.hosts[real]; h != nil && h.state == Suspended {
		j.violate(AsleepOperation, netip.Addr{}, "%s of %s on %s, which is suspended", verb, name, h.Name)
	}
}

// blameTwin records that i's guest lives on another host too.
func (j *judge) blameTwin(i *instance) {
	for _, h := range j.order {
		if o := h.on[i.Host]; o != nil && o != i && o.live() && h.state != Off && h.state != Booting {
			j.violate(Twin, netip.Addr{}, "%s on %s while it is %s on %s", i.Host, i.at.Name, o.state, h.Name)
		}
	}
}

// blameBoots is about what boots when a suspend is asked for: what a guest does
// by itself while its host falls asleep, or just before, is nobody's fault.
func (j *judge) blameBoots(h *host) {
	for _, i := range h.inOrder() {
		if i.state == cluster.GuestBooting && j.now.Sub(i.restarted) > time.Second {
			j.violate(SuspendedRecovery, netip.Addr{}, "%s suspended while %s boots", h.Name, i.Host)
		}
	}
}

func (j *judge) blameSuspend(h *host) {
	for _, i := range h.inOrder() {
		if i.state == cluster.GuestRunning && len(i.vips) > 0 {
			j.harms.pauses(i)
			j.violate(SuspendedHolder, i.sortedVIPs()[0], "%s suspended with %s on %s", h.Name, vipText(i), i.Host)
		}
	}
}

func (j *judge) blamePause(i *instance, verb string) {
	if i.state == cluster.GuestRunning && len(i.vips) > 0 {
		j.harms.pauses(i)
		j.violate(PausedHolder, i.sortedVIPs()[0], "%s of %s, which holds %s", verb, i.Host, vipText(i))
	}
}

func (j *judge) blameKeptVIPs(i *instance) {
	if len(i.vips) > 0 {
		j.violate(KeptVIP, i.sortedVIPs()[0], "%s on %s came back with %s", i.Host, i.at.Name, vipText(i))
	}
}

func (j *judge) blameClock(i *instance, vip netip.Addr) {
	if i.staleClock {
		j.violate(StaleClock, vip, "%s given to %s, whose clock was not set", vip, i.Host)
	}
}

func vipText(i *instance) string {
	var s []string
	for _, v := range i.sortedVIPs() {
		s = append(s, v.String())
	}
	return strings.Join(s, " ")
}
