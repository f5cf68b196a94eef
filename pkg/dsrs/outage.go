package dsrs

import (
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/task"
)

// outage is one trouble of the real server, from its detection to B4.
type outage struct {
	detected time.Time    // or when the recovery was resumed
	answered time.Time    // the first answer on return
	silent   bool         // the network was silent: not only the virtualization software
	active   []netip.Addr // the real servers that B3 named active
	owners   map[string]Owner

	packets  int           // magic packets sent
	restarts int           // of the virtualization software
	pause    time.Duration // between two tries, once given up
	moves    *task.Task    // backups moving away

	mu     sync.Mutex
	fenced map[string]cluster.Guest // cut off until their VIPs are off
	cut    map[string]cluster.Guest // cut off while the host is stripped
}

// beginOutage opens the record of a trouble.
func (s *strip) beginOutage(silent bool) {
	s.endTending()
	s.outage = &outage{detected: s.Clock.Now(), silent: silent,
		owners: map[string]Owner{}, fenced: map[string]cluster.Guest{}, cut: map[string]cluster.Guest{}}
}

// endOutage closes it and gives up the servers that we still own.
func (s *strip) endOutage() {
	if s.outage == nil {
		return
	}
	s.outage.moves.Stop()
	for host := range s.outage.owners {
		s.outage.take(host).Release()
	}
	s.outage = nil
}

// take hands the ownership of host on; nil where we do not have it.
func (o *outage) take(host string) Owner {
	owner := o.owners[host]
	delete(o.owners, host)
	return owner
}

// fence remembers that g was cut off.
func (o *outage) fence(g cluster.Guest) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.fenced[g.Host] = g
}

func (o *outage) setCut(g cluster.Guest, cut bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if delete(o.cut, g.Host); cut {
		o.cut[g.Host] = g
	}
}

func (o *outage) isCut(host string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	_, ok := o.cut[host]
	return ok
}

// cutOff are the guests that are cut off while the host is stripped.
func (o *outage) cutOff() []cluster.Guest {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Collect(maps.Values(o.cut))
}

// isFenced reports whether host was cut off.
func (o *outage) isFenced(host string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	_, ok := o.fenced[host]
	return ok
}

// restoreEnds is when restore_deadline passes.
func (s *strip) restoreEnds() time.Time {
	return s.outage.detected.Add(s.Settings.DSRS.RestoreDeadline.D())
}
