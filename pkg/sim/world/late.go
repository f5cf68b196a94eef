package world

import (
	"fmt"
	"math/rand/v2"
	"time"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/sim/packet"
)

// Latest is how late, at most, a command comes true whose caller has gone: in a
// guest the guest's own timeout ends it. What its hypervisor or its guest has not
// heard yet, or cannot do at the moment, is done as soon as it can: backAgain.
const (
	Latest        = time.Second
	soonest       = 20 * time.Millisecond
	backAgainFrom = 20 * time.Millisecond
	backAgainTo   = 80 * time.Millisecond
)

// Lates are the guests and real servers whose commands hang, and until when.
type Lates struct {
	*World
	until map[string]time.Time
}

// NewLates are none.
func NewLates(w *World) *Lates { return &Lates{World: w, until: map[string]time.Time{}} }

// ComesTrue has do done though nobody waits for it any more, by chance or
// certainly: in a moment, or once nothing keeps it waiting, unless it is void.
func (l *Lates) ComesTrue(luck *rand.Rand, certain bool, void, waits func() bool, do func()) {
	if !certain && luck.Float64() >= l.Spec.Late {
		return
	}
	var try func()
	try = func() {
		switch {
		case void():
		case waits():
			l.After(packet.Between(luck, backAgainFrom, backAgainTo), try)
		default:
			do()
			l.Dirty = true
		}
	}
	l.After(packet.Between(luck, soonest, Latest), try)
}

// IsLate reports whether commands for g hang on purpose.
func (l *Lates) IsLate(g cluster.Guest) bool {
	l.Lock()
	defer l.Unlock()
	return !l.LateUntil(g.Host, l.Hosts[g.Real]).IsZero()
}

// LateUntil is until when commands for a guest on h hang; zero: they do not.
// Held: the lock.
func (l *Lates) LateUntil(guest string, h *Host) (until time.Time) {
	if until = l.LastLate(guest, h); !l.Now.Before(until) {
		return time.Time{}
	}
	return until
}

// LastLate is until when commands for a guest on h hang, or hung at last.
func (l *Lates) LastLate(guest string, h *Host) (until time.Time) {
	until = l.until[guest]
	if h != nil && l.until[h.Name].After(until) {
		until = l.until[h.Name]
	}
	return until
}

// noEnd is how long a fault lasts that only Heal ends.
const noEnd = 1000 * time.Hour

// Delay has the commands for a guest, or for all guests on a real server, hang.
// Held: the lock.
func (l *Lates) Delay(target string, d time.Duration) error {
	if h := l.HostNamed(target); h != nil {
		target = h.Name
	} else if l.Servers[target] == nil {
		return fmt.Errorf("no such server")
	}
	if d <= 0 {
		d = noEnd
	}
	l.until[target] = l.Now.Add(d)
	return nil
}

// Heal lets the commands for a guest or a real server through. Held: the lock.
func (l *Lates) Heal(name string) { delete(l.until, name) }
