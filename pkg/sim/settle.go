package sim

import (
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// settle draws the conclusions from a change: silence, who holds what, power.
// Held: m.mu, also below.
func (m *Model) settle() {
	for m.dirty {
		m.dirty = false
		for _, h := range m.order {
			m.settleSilence(h)
		}
		m.index()
		m.settleSound()
		for _, vip := range m.held {
			m.settleServing(vip)
		}
		m.settleConflicts()
		m.settlePower()
		m.settleJams()
		m.settleWork()
	}
}

func (m *Model) settleSilence(h *host) {
	silent := !m.answersPing(h) || h.hypervisor != running
	if silent == h.silent {
		return
	}
	brief := h.answered.IsZero() || m.now.Sub(h.answered) < m.spec.StripDeadline
	if silent && (h.since.IsZero() || !brief) { // who answered too briefly to be stripped was silent all along
		h.since = m.now
	}
	h.silent, h.answered = silent, time.Time{}
	if silent {
		m.disconnect(h)
	}
}

// index finds every guest that has a VIP configured; a VIP once seen stays listed.
func (m *Model) index() {
	for v := range m.holders {
		m.holders[v] = m.holders[v][:0]
	}
	for _, h := range m.order {
		for _, i := range h.inOrder() {
			for v := range i.vips {
				m.holders[v] = append(m.holders[v], i)
			}
		}
	}
	if len(m.held) < len(m.holders) {
		m.held = slices.SortedFunc(maps.Keys(m.holders), netip.Addr.Compare)
	}
}

func (m *Model) settleServing(vip netip.Addr) {
	var names []string
	for _, i := range m.answering(vip, fromClients) {
		names = append(names, i.Host+"@"+i.at.Name)
	}
	slices.Sort(names)
	now := strings.Join(names, " ")
	if m.record.serving[vip] == now {
		return
	}
	m.record.serving[vip] = now
	if now == "" {
		now = "nobody"
	}
	m.note("vip", nil, "", "%s held by %s", vip, now)
}

// settleConflicts compares who holds a VIP twice with who did.
func (m *Model) settleConflicts() {
	seen := map[string]bool{}
	for _, vip := range m.held {
		for _, v := range []view{fromManagement, fromClients} {
			who := m.answering(vip, v)
			for n, a := range who {
				for _, b := range who[n+1:] {
					key := m.clash(vip, a, b)
					seen[key] = true
				}
			}
		}
	}
	for _, key := range slices.Sorted(maps.Keys(m.record.conflicts)) {
		c := m.record.conflicts[key]
		if !seen[key] {
			m.endConflict(c)
			delete(m.record.conflicts, key)
		} else if c.excused != nil && !c.limited && !c.excused.answered.IsZero() {
			c.limited = true
			m.at(c.excused.answered.Add(m.spec.StripDeadline), func() { m.limit(key, c) })
		}
	}
}

// clash keeps the conflict between two holders.
func (m *Model) clash(vip netip.Addr, a, b *instance) string {
	names := []string{a.Host + "@" + a.at.Name, b.Host + "@" + b.at.Name}
	slices.Sort(names)
	c := &conflict{vip: vip, names: strings.Join(names, " and "), since: m.now}
	key := vip.String() + " " + c.names
	if m.record.conflicts[key] != nil {
		return key
	}
	m.record.conflicts[key] = c
	if c.left = m.excuse(vip, a, b); c.left != nil {
		c.excused = c.left.at
	}
	if c.excused == nil {
		c.violation = m.violate(TwoHolders, vip, "%s held by %s", vip, c.names)
	} else {
		m.note("exception", c.excused, "", "%s held by %s: %s was silent at the takeover", vip, c.names, c.excused.Name)
	}
	return key
}

// excuse returns the older holder if its host was silent when the newer one got the VIP.
func (m *Model) excuse(vip netip.Addr, a, b *instance) *instance {
	if b.vips[vip].since.Before(a.vips[vip].since) {
		a, b = b, a
	}
	h, taken := a.at, b.vips[vip].since
	switch {
	case h == b.at || h.since.IsZero() || taken.Before(h.since):
		return nil
	case h.silent || h.answered.IsZero() || !taken.After(h.answered.Add(m.spec.StripDeadline)):
		return a
	}
	return nil
}

// limit ends the excuse of a conflict that lasts. Nobody strips a server for which
// commands hang, nor in time over a path on which all has to be repeated.
func (m *Model) limit(key string, c *conflict) {
	until := m.lastLate(c.left.Host, c.excused).Add(patience + latest + m.spec.StripDeadline)
	switch lasts := m.record.conflicts[key] == c; {
	case lasts && m.now.Before(until):
		m.at(until, func() { m.limit(key, c) })
		return
	case lasts && c.repeats < mostRepeats && m.through(partManagement, c.excused.Name) != m.spec.Path:
		c.repeats++
		m.at(m.now.Add(m.spec.StripDeadline), func() { m.limit(key, c) })
		return
	}
	if m.record.conflicts[key] == c && !c.excused.silent {
		c.violation = m.violate(TwoHolders, c.vip, "%s held by %s longer than %v after %s answered", c.vip, c.names, m.spec.StripDeadline, c.excused.Name)
		c.violation.Real = c.excused.Name
		c.excused = nil
	}
	c.limited = false
}

const (
	patience    = 3 * time.Second // of the caller of a command that hangs, who may have begun it a moment before the end of that
	mostRepeats = 3               // strip_deadlines that a bad path is allowed besides
)

func (m *Model) endConflict(c *conflict) {
	if c.violation != nil {
		c.violation.Seconds = m.now.Sub(c.since).Seconds()
	}
	if c.excused == nil {
		return
	}
	m.record.exceptions = append(m.record.exceptions, m.exception(c))
}

// exception is an excused conflict as it is now.
func (m *Model) exception(c *conflict) Exception {
	e := Exception{At: c.since, VIP: c.vip, What: c.names, Seconds: m.now.Sub(c.since).Seconds()}
	if a := c.excused.answered; !a.IsZero() && a.Before(m.now) {
		e.AfterAnswer = min(e.Seconds, m.now.Sub(a).Seconds())
	}
	return e
}

func (m *Model) settlePower() {
	w := m.watts()
	p := &m.record.power
	if n := len(*p); n > 0 && (*p)[n-1].watts == w {
		return
	}
	*p = append(*p, powerStep{at: m.now, watts: w})
	m.note("power", nil, "", "%g W", w)
}

func (m *Model) watts() float64 {
	var w float64
	for _, h := range m.order {
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
func (m *Model) energyWh(since time.Time) float64 {
	var wh float64
	for n, s := range m.record.power {
		end := m.now
		if n+1 < len(m.record.power) {
			end = m.record.power[n+1].at
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
