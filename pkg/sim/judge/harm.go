package judge

import (
	"net/netip"
	"slices"
	"time"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/sim/spec"
	"pss-msbs/pkg/sim/world"
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
	from        *world.Instance
	life        int
	sound, seen bool // it would have answered; the management server could know
	reset       bool // and was reset since
}

// Harms judges what is done to servers.
type Harms struct {
	*world.World
	net    *world.Network
	pace   *world.Pace
	losses map[netip.Addr]loss
	Done   []Harm
	unseen []Harm // harm that the management server could not know to be any
}

// NewHarms has seen none.
func NewHarms(w *world.World, n *world.Network, p *world.Pace) *Harms {
	return &Harms{World: w, net: n, pace: p, losses: map[netip.Addr]loss{}}
}

// Settle notes since when every guest has answered.
func (hs *Harms) Settle() {
	at := hs.Now
	if at.Equal(hs.Begun) {
		at = time.Time{}
	}
	for i := range hs.Everywhere {
		i.Sound.Mark(hs.answers(i, world.FromClients), at)
		i.Known.Mark(hs.knowable(i), at)
	}
}

// CutsOff judges a link that goes down, or a plug that is pulled.
func (hs *Harms) CutsOff(i *world.Instance, kind string) {
	vip, lost := hs.loses(i)
	if !lost || i.Kind == spec.Backup {
		return
	}
	if sound, seen := hs.soundness(i); sound {
		hs.harm(kind, i, vip, seen)
	}
}

// Resets judges a reset: of who holds a VIP and answers, or was harmed already.
func (hs *Harms) Resets(i *world.Instance) {
	for vip, l := range hs.losses {
		if l.from == i && l.life == i.Life {
			l.reset = true
			hs.losses[vip] = l
		}
	}
	vip, lost := hs.loses(i)
	if sound, seen := hs.soundness(i); sound && (lost || i.Harmed == i.Life+1) {
		hs.harm(HarmReset, i, vip, seen)
	}
}

// pauses judges a pause, a save or a suspend with VIPs on.
func (hs *Harms) pauses(i *world.Instance) {
	vip, lost := hs.loses(i)
	if sound, seen := hs.soundness(i); lost && sound {
		hs.harm(HarmPause, i, vip, seen)
	}
}

// Leaves notes that vip is taken off i.
func (hs *Harms) Leaves(i *world.Instance, vip netip.Addr) {
	if _, has := i.Holds[vip]; !has || i.LinkDown || !hs.settled(i, vip) || hs.otherHolds(vip, i) {
		return
	}
	sound, seen := hs.soundness(i)
	hs.losses[vip] = loss{from: i, life: i.Life, sound: sound, seen: seen}
}

// Arrives judges that vip goes to i: from who was sound then and is still, or was
// reset, to its backup.
func (hs *Harms) Arrives(i *world.Instance, vip netip.Addr) {
	l, was := hs.losses[vip]
	delete(hs.losses, vip)
	if !was || i.Kind != spec.Backup || l.from.Kind == spec.Backup || l.from.Backup != "" && l.from.Backup != i.Host {
		return
	}
	still, _ := hs.soundness(l.from)
	if still = still && l.from.Life == l.life; l.sound && (still || l.reset) {
		hs.harm(HarmTakeover, l.from, vip, l.seen)
	}
}

// harm records one; unseen is what the management server could not know.
func (hs *Harms) harm(kind string, i *world.Instance, vip netip.Addr, seen bool) {
	i.Harmed = i.Life + 1
	h := Harm{At: hs.Now, Kind: kind, Guest: i.Host, VIP: vip, What: i.Host + " on " + i.At.Name + " would have answered its clients"}
	if vip.IsValid() {
		h.What += " at " + vip.String()
	}
	if !seen {
		hs.unseen = append(hs.unseen, h)
		hs.Note("unseen", i.At.Name, i.Host, "unseen harm %s: %s", kind, h.What)
		return
	}
	hs.Done = append(hs.Done, h)
	hs.Note("harm", i.At.Name, i.Host, "harm %s: %s", kind, h.What)
}

// Since tells of the harms done from begin on, and of those that the management
// server could not know to be any.
func (hs *Harms) Since(begin time.Time) (done, unseen []Harm) {
	at := func(h Harm) time.Time { return h.At }
	return world.Since(hs.Done, begin, at), world.Since(hs.unseen, begin, at)
}

func (hs *Harms) clientPatience() time.Duration {
	if hs.Spec.Patience > 0 {
		return hs.Spec.Patience
	}
	return spec.DefaultPatience
}

// answers reports whether i, were its link up, answers clients that know its
// address: at once, slowly, or as soon as it is no longer held.
func (hs *Harms) answers(i *world.Instance, v world.View) bool {
	if i.State != cluster.GuestRunning || i.Frozen || i.Cut || !i.At.Up() || !hs.net.Path(i.At, v) || !i.Serves() || !i.Stall.Brief(hs.clientPatience()) {
		return false
	}
	from, to := hs.pace.Slowness(i)
	return (from+to)/2 <= hs.clientPatience()
}

// knowable reports whether the management server could find out that i answers, and
// that it costs nobody more than it saves: not of a guest that is held on a host whose
// hypervisor says nothing, nor of one whose agent is dead while others wait for a VIP.
func (hs *Harms) knowable(i *world.Instance) bool {
	switch {
	case i.Stall != nil && i.At.Hypervisor != world.Running, i.AgentDead && hs.unserved():
		return false
	}
	return hs.answers(i, world.FromManagement) && hs.net.ToGuest(i).Loss() < hopeless
}

// unserved reports whether a VIP is held by nobody.
func (hs *Harms) unserved() bool {
	return slices.ContainsFunc(hs.net.Held, func(vip netip.Addr) bool { return len(hs.net.Answering(vip, world.FromClients)) == 0 })
}

// soundness of i now: whether it would have answered, and who could know.
func (hs *Harms) soundness(i *world.Instance) (sound, seen bool) {
	sound = hs.answers(i, world.FromClients) && i.Sound.Long(hs.Now, hs.clientPatience())
	return sound, sound && hs.knowable(i) && i.Known.Long(hs.Now, hs.clientPatience())
}

// settled reports whether vip is i's, not only passing.
func (hs *Harms) settled(i *world.Instance, vip netip.Addr) bool {
	since := i.Holds[vip].Since
	return since.Equal(hs.Begun) || hs.Now.Sub(since) >= undone
}

// loses returns a VIP that clients lose with i, if there is one: nobody else
// answers for it.
func (hs *Harms) loses(i *world.Instance) (vip netip.Addr, ok bool) {
	if i.LinkDown {
		return vip, false
	}
	for _, vip := range i.SortedVIPs() {
		if hs.settled(i, vip) && !hs.otherHolds(vip, i) {
			return vip, true
		}
	}
	return vip, false
}

func (hs *Harms) otherHolds(vip netip.Addr, i *world.Instance) bool {
	return slices.ContainsFunc(hs.net.Answering(vip, world.FromClients), func(o *world.Instance) bool { return o != i })
}
