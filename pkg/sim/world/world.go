// Package world is what there is in an emulated fleet: the machines, the network
// between them, how busy they are and what they report. It is data and what
// follows from it; who changes it are the packages above.
package world

import (
	"fmt"
	"iter"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/sim/course"
	"pss-msbs/pkg/sim/packet"
	"pss-msbs/pkg/sim/spec"
)

// World is what everything in the fleet stands on: its time, its machines, its
// luck and the record of what happened.
type World struct {
	*course.Course
	Spec     spec.Spec
	Hosts    map[netip.Addr]*Host
	Order    []*Host // the management server first, then by address
	Servers  map[string]*Guest
	byIP     map[netip.Addr]*Guest
	Names    []string
	lots     packet.Lots
	Timeline []Entry
	Asked    asked
}

// New builds what s describes.
func New(s spec.Spec, c *course.Course) (*World, error) {
	w := &World{Course: c, Spec: s, Hosts: map[netip.Addr]*Host{}, Servers: map[string]*Guest{}, byIP: map[netip.Addr]*Guest{},
		lots: packet.NewLots(s.Seed, c.Begun), Asked: asked{}}
	return w, w.build()
}

func (w *World) build() error {
	w.addHost(spec.HostSpec{Name: "management", IP: w.Spec.Management, MAC: spec.GuestMAC(w.Spec.Management), MemoryKB: managementMemoryKB}, true)
	for _, h := range w.Spec.Hosts {
		if w.Hosts[h.IP] != nil {
			return fmt.Errorf("two real servers at %s", h.IP)
		}
		w.addHost(h, false)
	}
	for _, g := range w.Spec.Guests {
		if w.Servers[g.Host] != nil || w.byIP[g.IP] != nil {
			return fmt.Errorf("two servers named %s or at %s", g.Host, g.IP)
		}
		if err := w.addGuest(g); err != nil {
			return err
		}
	}
	w.Names = slices.Sorted(maps.Keys(w.Servers))
	return nil
}

func (w *World) addHost(s spec.HostSpec, management bool) {
	if s.State == "" {
		s.State = spec.Active
	}
	if s.Cores == 0 {
		s.Cores = hostCores
	}
	h := &Host{HostSpec: s, Management: management, State: s.State, Answered: w.Now, Hypervisor: Running, Warm: map[spec.Kind]bool{}, On: map[string]*Instance{}}
	w.Hosts[s.IP] = h
	w.Order = append(w.Order, h)
}

func (w *World) addGuest(s spec.GuestSpec) error {
	g := &Guest{GuestSpec: s, MAC: spec.GuestMAC(s.IP)}
	w.Servers[s.Host], w.byIP[s.IP] = g, g
	if s.Home.IsValid() {
		h := w.Hosts[s.Home]
		if h == nil {
			return fmt.Errorf("%s is on an unknown real server %s", s.Host, s.Home)
		}
		NewInstance(g, h)
	}
	if !s.On.IsValid() {
		if s.Ready {
			w.makeReady(g)
		}
		return nil
	}
	h := w.Hosts[s.On]
	if h == nil {
		return fmt.Errorf("%s runs on an unknown real server %s", s.Host, s.On)
	}
	i := h.On[s.Host]
	if i == nil {
		i = NewInstance(g, h)
	}
	i.State, h.Warm[s.Kind] = cluster.GuestRunning, true
	i.StartDaemons()
	for _, v := range s.VIPs {
		i.Holds[v] = VIPHold{Since: w.Now, Announced: w.Now}
	}
	return nil
}

// makeReady has a backup paused, a spare saved, as they are once they were created.
func (w *World) makeReady(g *Guest) {
	var i *Instance
	if g.Home.IsValid() {
		h := w.Hosts[g.Home]
		i, h.Warm[g.Kind] = h.On[g.Host], true
	} else {
		h := w.Hosts[w.Spec.Management]
		i = NewInstance(g, h)
		h.Drop(g.Host)
		g.Saved = i
	}
	i.State = cluster.GuestPaused
	i.StartDaemons()
}

// StateOn is what the hypervisor of h says of a guest.
func (w *World) StateOn(h *Host, name string) cluster.GuestState {
	i, k := h.On[name], w.Servers[name]
	switch {
	case i != nil && w.Now.Before(i.SeenUntil):
		return i.Seen
	case k.IsRestored(h, w.Now):
		return cluster.GuestPaused // as libvirt shows it
	case k != nil && k.Saved != nil && (i == nil || !i.Live()):
		return cluster.GuestSaved
	case i == nil:
		return cluster.GuestAbsent
	case i.Stall != nil && i.State == cluster.GuestRunning:
		return i.Stall.says
	}
	return i.State
}

// HostNamed is the real server of that name or address, or nil.
func (w *World) HostNamed(target string) *Host {
	ip, _ := netip.ParseAddr(target)
	for _, h := range w.Order {
		if !h.Management && (h.Name == target || h.IP == ip) {
			return h
		}
	}
	return nil
}

// Everywhere are all guests on all hosts.
func (w *World) Everywhere(yield func(*Instance) bool) {
	for _, h := range w.Order {
		for _, i := range h.InOrder() {
			if !yield(i) {
				return
			}
		}
	}
}

// Of are the instances of a guest.
func (w *World) Of(guest string) iter.Seq[*Instance] {
	return func(yield func(*Instance) bool) {
		for _, h := range w.Order {
			if i := h.On[guest]; i != nil && !yield(i) {
				return
			}
		}
	}
}

// Luck is where what happens to the next packet of a kind comes from. Held: the lock, also below.
func (w *World) Luck(words ...string) *rand.Rand { return w.lots.Draw(w.Now, words) }

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

// Note keeps that somebody asked.
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
