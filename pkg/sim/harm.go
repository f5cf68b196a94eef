package sim

import (
	"net/netip"
	"slices"
	"time"

	"pss-msbs/pkg/cluster"
)

// The kinds of harm: what was done to a server that would have answered a
// client within the client's patience.
const (
	HarmTakeover = "takeover"  // its VIP went to its backup
	HarmCutOff   = "cut-off"   // its link went down with a VIP on it
	HarmReset    = "reset"     // it was reset
	HarmDestroy  = "destroyed" // its plug was pulled
	HarmPause    = "paused"    // it was paused, saved or suspended with its host
)

// Harm is a VIP taken from, or a reset of, a server that would have answered.
// What is done by plan is none: a VIP that goes from one server to another which
// is no backup, back from a backup to its owner, or off one that holds it beside
// another; nor what is done within Patience after something else was wrong
// with the server, for the evidence was good. What is done to a backup is not
// counted but for a reset: giving back takes all of it.
type Harm struct {
	At    time.Time  `json:"at"`
	Kind  string     `json:"kind"`
	Guest string     `json:"guest"`
	VIP   netip.Addr `json:"vip,omitzero"`
	What  string     `json:"what"`
}

// hopeless is the loss of pings beyond which the management server cannot know
// whether a server answers its clients.
const hopeless = 0.9

// undone is how long a VIP must have been on a server for it to be the server's:
// who undoes a move takes it back at once.
const undone = 10 * time.Second

// loss is how a VIP left a server. It is nobody's harm until it is known where
// the VIP goes.
type loss struct {
	from        *instance
	life        int
	sound, seen bool // it would have answered; the management server could know
	reset       bool // and was reset since
}

func (m *Model) patience() time.Duration {
	if m.spec.Patience > 0 {
		return m.spec.Patience
	}
	return DefaultPatience
}

// answers reports whether i, were its link up, answers clients that know its
// address: at once, slowly, or as soon as it is no longer held.
func (m *Model) answers(i *instance, v view) bool {
	if i.state != cluster.GuestRunning || i.frozen || i.cut || !i.at.up() || !m.path(i.at, v) || !i.stall.brief(m.patience()) {
		return false
	}
	for _, d := range i.daemons {
		if d != running {
			return false
		}
	}
	from, to := m.slowness(i)
	return (from+to)/2 <= m.patience()
}

// knowable reports whether the management server could find out that i answers, and
// that it costs nobody more than it saves: not of a guest that is held on a host whose
// hypervisor says nothing, nor of one whose agent is dead while others wait for a VIP.
func (m *Model) knowable(i *instance) bool {
	switch {
	case i.stall != nil && i.at.hypervisor != running, i.agentDead && m.unserved():
		return false
	}
	return m.answers(i, fromManagement) && m.toGuest(i).Loss() < hopeless
}

// unserved reports whether a VIP is held by nobody.
func (m *Model) unserved() bool {
	return slices.ContainsFunc(m.held, func(vip netip.Addr) bool { return len(m.answering(vip, fromClients)) == 0 })
}

// settleSound notes since when every guest has answered.
func (m *Model) settleSound() {
	at := m.now
	if at.Equal(m.record.start) {
		at = time.Time{}
	}
	for _, h := range m.order {
		for _, i := range h.on {
			i.sound.mark(m.answers(i, fromClients), at)
			i.known.mark(m.knowable(i), at)
		}
	}
}

// state is something that is or is not, and since when.
type state struct {
	is    bool
	since time.Time // zero: always
}

func (s *state) mark(is bool, now time.Time) {
	if s.is != is {
		s.is, s.since = is, now
	}
}

// long reports whether it is, and was d ago.
func (s *state) long(now time.Time, d time.Duration) bool { return s.is && now.Sub(s.since) >= d }

// soundness of i now: whether it would have answered, and who could know.
func (m *Model) soundness(i *instance) (sound, seen bool) {
	sound = m.answers(i, fromClients) && i.sound.long(m.now, m.patience())
	return sound, sound && m.knowable(i) && i.known.long(m.now, m.patience())
}

// settled reports whether vip is i's, not only passing.
func (m *Model) settled(i *instance, vip netip.Addr) bool {
	since := i.vips[vip].since
	return since.Equal(m.record.start) || m.now.Sub(since) >= undone
}

// loses returns a VIP that clients lose with i, if there is one: nobody else
// answers for it.
func (m *Model) loses(i *instance) (vip netip.Addr, ok bool) {
	if i.linkDown {
		return vip, false
	}
	for _, vip := range i.sortedVIPs() {
		if m.settled(i, vip) && !m.otherHolds(vip, i) {
			return vip, true
		}
	}
	return vip, false
}

func (m *Model) otherHolds(vip netip.Addr, i *instance) bool {
	for _, o := range m.answering(vip, fromClients) {
		if o != i {
			return true
		}
	}
	return false
}

// leaves notes that vip is taken off i.
func (m *Model) leaves(i *instance, vip netip.Addr) {
	if _, has := i.vips[vip]; !has || i.linkDown || !m.settled(i, vip) || m.otherHolds(vip, i) {
		return
	}
	sound, seen := m.soundness(i)
	m.record.losses[vip] = loss{from: i, life: i.life, sound: sound, seen: seen}
}

// arrives judges that vip goes to i: from who was sound then and is still, or was
// reset, to its backup.
func (m *Model) arrives(i *instance, vip netip.Addr) {
	l, was := m.record.losses[vip]
	delete(m.record.losses, vip)
	if !was || i.Kind != Backup || l.from.Kind == Backup || l.from.Backup != "" && l.from.Backup != i.Host {
		return
	}
	still, _ := m.soundness(l.from)
	if still = still && l.from.life == l.life; l.sound && (still || l.reset) {
		m.harm(HarmTakeover, l.from, vip, l.seen)
	}
}

// cutsOff judges a link that goes down, or a plug that is pulled.
func (m *Model) cutsOff(i *instance, kind string) {
	vip, lost := m.loses(i)
	if !lost || i.Kind == Backup {
		return
	}
	if sound, seen := m.soundness(i); sound {
		m.harm(kind, i, vip, seen)
	}
}

// resets judges a reset: of who holds a VIP and answers, or was harmed already.
func (m *Model) resets(i *instance) {
	for vip, l := range m.record.losses {
		if l.from == i && l.life == i.life {
			l.reset = true
			m.record.losses[vip] = l
		}
	}
	vip, lost := m.loses(i)
	if sound, seen := m.soundness(i); sound && (lost || i.harmed == i.life+1) {
		m.harm(HarmReset, i, vip, seen)
	}
}

// pauses judges a pause, a save or a suspend with VIPs on.
func (m *Model) pauses(i *instance) {
	vip, lost := m.loses(i)
	if sound, seen := m.soundness(i); lost && sound {
		m.harm(HarmPause, i, vip, seen)
	}
}

// harm records one; unseen is what the management server could not know.
func (m *Model) harm(kind string, i *instance, vip netip.Addr, seen bool) {
	i.harmed = i.life + 1
	h := Harm{At: m.now, Kind: kind, Guest: i.Host, VIP: vip, What: i.Host + " on " + i.at.Name + " would have answered its clients"}
	if vip.IsValid() {
		h.What += " at " + vip.String()
	}
	if !seen {
		m.record.unseen = append(m.record.unseen, h)
		m.note("unseen", i.at, i.Host, "unseen harm %s: %s", kind, h.What)
		return
	}
	m.record.harms = append(m.record.harms, h)
	m.note("harm", i.at, i.Host, "harm %s: %s", kind, h.What)
}

// Harms are all that were done so far.
func (m *Model) Harms() []Harm {
	m.lock()
	defer m.unlock()
	return append([]Harm(nil), m.record.harms...)
}
