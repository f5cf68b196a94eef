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

type record struct {
	start      time.Time
	timeline   []Entry
	violations []*Violation
	exceptions []Exception
	power      []powerStep
	serving    map[netip.Addr]string
	conflicts  map[string]*conflict
	asked      asked
	losses     map[netip.Addr]loss
	harms      []Harm
	unseen     []Harm
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
	repeats   int        // how often a bad path has put it off
}

func (r *record) begin(now time.Time) {
	r.start, r.serving, r.conflicts, r.asked = now, map[netip.Addr]string{}, map[string]*conflict{}, asked{}
	r.losses = map[netip.Addr]loss{}
}

// timelineMax bounds the memory of a fleet that runs for days.
const timelineMax = 50000

// note adds to the timeline. Held: m.mu, also below.
func (m *Model) note(kind string, h *host, guest, format string, a ...any) {
	e := Entry{At: m.now, Kind: kind, Guest: guest, What: fmt.Sprintf(format, a...)}
	if h != nil {
		e.Real = h.Name
	}
	if len(m.record.timeline) >= timelineMax {
		m.record.timeline = slices.Clone(m.record.timeline[timelineMax/2:])
	}
	m.record.timeline = append(m.record.timeline, e)
}

func (m *Model) violate(kind string, vip netip.Addr, format string, a ...any) *Violation {
	v := &Violation{At: m.now, Kind: kind, VIP: vip, What: fmt.Sprintf(format, a...)}
	m.record.violations = append(m.record.violations, v)
	m.note("violation", nil, "", "%s: %s", kind, v.What)
	return v
}

func (m *Model) blameSleeping(verb, name string, real netip.Addr) {
	m.lock()
	defer m.unlock()
	if h := m.hosts[real]; h != nil && h.state == Suspended {
		m.violate(AsleepOperation, netip.Addr{}, "%s of %s on %s, which is suspended", verb, name, h.Name)
	}
}

// blameTwin records that i's guest lives on another host too.
func (m *Model) blameTwin(i *instance) {
	for _, h := range m.order {
		if o := h.on[i.Host]; o != nil && o != i && o.live() && h.state != Off && h.state != Booting {
			m.violate(Twin, netip.Addr{}, "%s on %s while it is %s on %s", i.Host, i.at.Name, o.state, h.Name)
		}
	}
}

// blameBoots is about what boots when a suspend is asked for: what a guest does
// by itself while its host falls asleep, or just before, is nobody's fault.
func (m *Model) blameBoots(h *host) {
	for _, i := range h.inOrder() {
		if i.state == cluster.GuestBooting && m.now.Sub(i.restarted) > time.Second {
			m.violate(SuspendedRecovery, netip.Addr{}, "%s suspended while %s boots", h.Name, i.Host)
		}
	}
}

func (m *Model) blameSuspend(h *host) {
	for _, i := range h.inOrder() {
		if i.state == cluster.GuestRunning && len(i.vips) > 0 {
			m.pauses(i)
			m.violate(SuspendedHolder, i.sortedVIPs()[0], "%s suspended with %s on %s", h.Name, vipText(i), i.Host)
		}
	}
}

func (m *Model) blamePause(i *instance, verb string) {
	if i.state == cluster.GuestRunning && len(i.vips) > 0 {
		m.pauses(i)
		m.violate(PausedHolder, i.sortedVIPs()[0], "%s of %s, which holds %s", verb, i.Host, vipText(i))
	}
}

func (m *Model) blameKeptVIPs(i *instance) {
	if len(i.vips) > 0 {
		m.violate(KeptVIP, i.sortedVIPs()[0], "%s on %s came back with %s", i.Host, i.at.Name, vipText(i))
	}
}

func (m *Model) blameClock(i *instance, vip netip.Addr) {
	if i.staleClock {
		m.violate(StaleClock, vip, "%s given to %s, whose clock was not set", vip, i.Host)
	}
}

func vipText(i *instance) string {
	var s []string
	for _, v := range i.sortedVIPs() {
		s = append(s, v.String())
	}
	return strings.Join(s, " ")
}
