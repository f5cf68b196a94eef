package sim

import (
	"net/netip"
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

// harms judges what is done to servers.
type harms struct {
	*world
	net    *network
	pace   *pace
	losses map[netip.Addr]loss
	done   []Harm
	unseen []Harm // harm that the management server could not know to be any
}

func newHarms(w *world, n *network, p *pace) *harms {
	return &harms{world: w, net: n, pace: p, losses: map[netip.Addr]loss{}}
}

func (hs *harms) clientPatience() time.Duration {
	if hs.spec.Patience > 0 {
		return hs.spec.Patience
	}
	return DefaultPatience
}

// answers reports whether i, were its link up, answers clients that know its
// address: at once, slowly, or as soon as it is no longer held.
func (hs *harms) answers(i *instance, v view) bool {
	if i.state != cluster.GuestRunning || i.frozen || i.cut || !i.at.up() || !hs.net.path(i.at, v) || !i.stall.brief(hs.clientPatience()) {
		return false
	}
	for _, d := range i.daemons {
		if d != running {
			return false
		}
	}
	from, to := hs.pace.slowness(i)
	return (from+to)/2 <= hs.clientPatience()
}

// knowable reports whether the management server could find out that i answers.
func (hs *harms) knowable(i *instance) bool {
	return hs.answers(i, fromManagement) && hs.net.toGuest(i).Loss() < hopeless
}

// settle notes since when every guest has answered.
func (hs *harms) settle() {
	at := hs.now
	if at.Equal(hs.start) {
		at = time.Time{}
	}
	for _, h := range hs.order {
		for _, i := range h.on {
			i.sound.mark(hs.answers(i, fromClients), at)
			i.known.mark(hs.knowable(i), at)
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
func (hs *harms) soundness(i *instance) (sound, seen bool) {
	sound = hs.answers(i, fromClients) && i.sound.long(hs.now, hs.clientPatience())
	return sound, sound && hs.knowable(i) && i.known.long(hs.now, hs.clientPatience())
}

// settled reports whether vip is i's, not only passing.
func (hs *harms) settled(i *instance, vip netip.Addr) bool {
	since := i.vips[vip].since
	return since.Equal(hs.start) || hs.now.Sub(since) >= undone
}

// loses returns a VIP that clients lose with i, if there is one: nobody else
// answers for it.
func (hs *harms) loses(i *instance) (vip netip.Addr, ok bool) {
	if i.linkDown {
		return vip, false
	}
	for _, vip := range i.sortedVIPs() {
		if hs.settled(i, vip) && !hs.otherHolds(vip, i) {
			return vip, true
		}
	}
	return vip, false
}

func (hs *harms) otherHolds(vip netip.Addr, i *instance) bool {
	for _, o := range hs.net.answering(vip, fromClients) {
		if o != i {
			return true
		}
	}
	return false
}

// leaves notes that vip is taken off i.
func (hs *harms) leaves(i *instance, vip netip.Addr) {
	if _, has := i.vips[vip]; !has || i.linkDown || !hs.settled(i, vip) || hs.otherHolds(vip, i) {
		return
	}
	sound, seen := hs.soundness(i)
	hs.losses[vip] = loss{from: i, life: i.life, sound: sound, seen: seen}
}

// arrives judges that vip goes to i: from who was sound then and is still, or was
// reset, to its backup.
func (hs *harms) arrives(i *instance, vip netip.Addr) {
	l, was := hs.losses[vip]
	delete(hs.losses, vip)
	if !was || i.Kind != Backup || l.from.Kind == Backup || l.from.Backup != "" && l.from.Backup != i.Host {
		return
	}
	still, _ := hs.soundness(l.from)
	if still = still && l.from.life == l.life; l.sound && (still || l.reset) {
		hs.harm(HarmTakeover, l.from, vip, l.seen)
	}
}

// cutsOff judges a link that goes down, or a plug that is pulled.
func (hs *harms) cutsOff(i *instance, kind string) {
	vip, lost := hs.loses(i)
	if !lost || i.Kind == Backup {
		return
	}
	if sound, seen := hs.soundness(i); sound {
		hs.harm(kind, i, vip, seen)
	}
}

// resets judges a reset: of who holds a VIP and answers, or was harmed already.
func (hs *harms) resets(i *instance) {
	for vip, l := range hs.losses {
		if l.from == i && l.life == i.life {
			l.reset = true
			hs.losses[vip] = l
		}
	}
	vip, lost := hs.loses(i)
	if sound, seen := hs.soundness(i); sound && (lost || i.harmed == i.life+1) {
		hs.harm(HarmReset, i, vip, seen)
	}
}

// pauses judges a pause, a save or a suspend with VIPs on.
func (hs *harms) pauses(i *instance) {
	vip, lost := hs.loses(i)
	if sound, seen := hs.soundness(i); lost && sound {
		hs.harm(HarmPause, i, vip, seen)
	}
}

// harm records one; unseen is what the management server could not know.
func (hs *harms) harm(kind string, i *instance, vip netip.Addr, seen bool) {
	i.harmed = i.life + 1
	h := Harm{At: hs.now, Kind: kind, Guest: i.Host, VIP: vip, What: i.Host + " on " + i.at.Name + " would have answered its clients"}
	if vip.IsValid() {
		h.What += " at " + vip.String()
	}
	if !seen {
		hs.unseen = append(hs.unseen, h)
		hs.note("unseen", i.at.Name, i.Host, "unseen harm %s: %s", kind, h.What)
		return
	}
	hs.done = append(hs.done, h)
	hs.note("harm", i.at.Name, i.Host, "harm %s: %s", kind, h.What)
}
