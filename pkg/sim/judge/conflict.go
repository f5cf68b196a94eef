package judge

import (
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"pss-msbs/pkg/sim/world"
)

// conflict is two guests that hold one VIP at this moment.
type conflict struct {
	vip       netip.Addr
	names     string
	since     time.Time
	excused   *world.Host     // the host that was silent at the takeover
	left      *world.Instance // the holder on it
	violation *Violation      // nil while it is excused
	limited   bool            // the end of the excuse is on the agenda
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
			j.endConflict(c)
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

// limit ends the excuse of a conflict that lasts. Nobody strips a server for which
// commands hang.
func (j *Judge) limit(key string, c *conflict) {
	if until := j.lates.LateUntil(c.left.Host, c.excused); j.conflicts[key] == c && !until.IsZero() {
		j.At(until.Add(world.Latest+j.Spec.StripDeadline), func() { j.limit(key, c) })
		return
	}
	if j.conflicts[key] == c && !c.excused.Silent {
		c.violation = j.violate(TwoHolders, c.vip, "%s held by %s longer than %v after %s answered", c.vip, c.names, j.Spec.StripDeadline, c.excused.Name)
		c.violation.Real = c.excused.Name
		c.excused = nil
	}
	c.limited = false
}

func (j *Judge) endConflict(c *conflict) {
	if c.violation != nil {
		c.violation.Seconds = j.Now.Sub(c.since).Seconds()
	}
	if c.excused == nil {
		return
	}
	j.exceptions = append(j.exceptions, j.exception(c))
}

// exception is an excused conflict as it is now.
func (j *Judge) exception(c *conflict) Exception {
	e := Exception{At: c.since, VIP: c.vip, What: c.names, Seconds: j.Now.Sub(c.since).Seconds()}
	if a := c.excused.Answered; !a.IsZero() && a.Before(j.Now) {
		e.AfterAnswer = min(e.Seconds, j.Now.Sub(a).Seconds())
	}
	return e
}
