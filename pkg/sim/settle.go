package sim

import (
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// settle finds the hosts that fall silent, and those that answer again.
func (r *reports) settle() {
	for _, h := range r.order {
		silent := !r.net.answersPing(h) || h.hypervisor != running
		if silent == h.silent {
			continue
		}
		brief := h.answered.IsZero() || r.now.Sub(h.answered) < r.spec.StripDeadline
		if silent && (h.since.IsZero() || !brief) { // who answered too briefly to be stripped was silent all along
			h.since = r.now
		}
		h.silent, h.answered = silent, time.Time{}
		if silent {
			r.disconnect(h)
		}
	}
}

// settle finds every guest that has a VIP configured; a VIP once seen stays listed.
func (n *network) settle() {
	for v := range n.holders {
		n.holders[v] = n.holders[v][:0]
	}
	for _, h := range n.order {
		for _, i := range h.inOrder() {
			for v := range i.vips {
				n.holders[v] = append(n.holders[v], i)
			}
		}
	}
	if len(n.held) < len(n.holders) {
		n.held = slices.SortedFunc(maps.Keys(n.holders), netip.Addr.Compare)
	}
}

func (j *judge) settleServing(vip netip.Addr) {
	var names []string
	for _, i := range j.net.answering(vip, fromClients) {
		names = append(names, i.Host+"@"+i.at.Name)
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
	j.note("vip", "", "", "%s held by %s", vip, now)
}

// settleConflicts compares who holds a VIP twice with who did.
func (j *judge) settleConflicts() {
	seen := map[string]bool{}
	for _, vip := range j.net.held {
		for _, v := range []view{fromManagement, fromClients} {
			who := j.net.answering(vip, v)
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
		} else if c.excused != nil && !c.limited && !c.excused.answered.IsZero() {
			c.limited = true
			j.at(c.excused.answered.Add(j.spec.StripDeadline), func() { j.limit(key, c) })
		}
	}
}

// clash keeps the conflict between two holders.
func (j *judge) clash(vip netip.Addr, a, b *instance) string {
	names := []string{a.Host + "@" + a.at.Name, b.Host + "@" + b.at.Name}
	slices.Sort(names)
	c := &conflict{vip: vip, names: strings.Join(names, " and "), since: j.now}
	key := vip.String() + " " + c.names
	if j.conflicts[key] != nil {
		return key
	}
	j.conflicts[key] = c
	if c.left = j.excuse(vip, a, b); c.left != nil {
		c.excused = c.left.at
	}
	if c.excused == nil {
		c.violation = j.violate(TwoHolders, vip, "%s held by %s", vip, c.names)
	} else {
		j.note("exception", c.excused.Name, "", "%s held by %s: %s was silent at the takeover", vip, c.names, c.excused.Name)
	}
	return key
}

// excuse returns the older holder if its host was silent when the newer one got the VIP.
func (j *judge) excuse(vip netip.Addr, a, b *instance) *instance {
	if b.vips[vip].since.Before(a.vips[vip].since) {
		a, b = b, a
	}
	h, taken := a.at, b.vips[vip].since
	switch {
	case h == b.at || h.since.IsZero() || taken.Before(h.since):
		return nil
	case h.silent || h.answered.IsZero() || !taken.After(h.answered.Add(j.spec.StripDeadline)):
		return a
	}
	return nil
}

// limit ends the excuse of a conflict that lasts. Nobody strips a server for which
// commands hang.
func (j *judge) limit(key string, c *conflict) {
	if until := j.lates.lateUntil(c.left.Host, c.excused); j.conflicts[key] == c && !until.IsZero() {
		j.at(until.Add(latest+j.spec.StripDeadline), func() { j.limit(key, c) })
		return
	}
	if j.conflicts[key] == c && !c.excused.silent {
		c.violation = j.violate(TwoHolders, c.vip, "%s held by %s longer than %v after %s answered", c.vip, c.names, j.spec.StripDeadline, c.excused.Name)
		c.violation.Real = c.excused.Name
		c.excused = nil
	}
	c.limited = false
}

func (j *judge) endConflict(c *conflict) {
	if c.violation != nil {
		c.violation.Seconds = j.now.Sub(c.since).Seconds()
	}
	if c.excused == nil {
		return
	}
	j.exceptions = append(j.exceptions, j.exception(c))
}

// exception is an excused conflict as it is now.
func (j *judge) exception(c *conflict) Exception {
	e := Exception{At: c.since, VIP: c.vip, What: c.names, Seconds: j.now.Sub(c.since).Seconds()}
	if a := c.excused.answered; !a.IsZero() && a.Before(j.now) {
		e.AfterAnswer = min(e.Seconds, j.now.Sub(a).Seconds())
	}
	return e
}

func (j *judge) settlePower() {
	w := j.watts()
	p := &j.power
	if n := len(*p); n > 0 && (*p)[n-1].watts == w {
		return
	}
	*p = append(*p, powerStep{at: j.now, watts: w})
	j.note("power", "", "", "%g W", w)
}

func (j *judge) watts() float64 {
	var w float64
	for _, h := range j.order {
		w += h.watts()
	}
	return w
}

// watts is a real server's power; the paper does not count the management server.
func (h *host) watts() float64 {
	switch h.state {
	case Off:
		return 0
	case Suspended:
		return h.SuspendedW
	}
	return h.ActiveW
}

// energyWh is the energy used from since to now.
func (j *judge) energyWh(since time.Time) float64 {
	var wh float64
	for n, s := range j.power {
		end := j.now
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
