package load

import (
	"fmt"
	"math"
	"time"

	"pss-msbs/pkg/cluster"
)

// Look are the rules of looking before a shift ([class] in settings.toml).
type Look struct {
	On      bool
	Failure float64       // percent: greatest Ls that a PS1 group may have once a real server has failed
	Urgent  float64       // percent: Ls above goes back to Moderate at once
	Lighter time.Duration // how long a load must fit before a lighter condition: see gate
	Heavier time.Duration // how long a load must not fit before a heavier one
	Longest time.Duration // what Lighter grows to while lighter conditions do not last
}

// The back-off of lighter conditions: one lasted if the group stayed for four
// times what it took to enter it, and for half an hour at least; a group
// that left none for six hours enters the next one by the paper's streaks.
const (
	worth = 4
	brief = 30 * time.Minute
	fresh = 6 * time.Hour
)

// gate remembers how well a group has fitted a lighter condition. Both counters
// are Page's test (1954) of a change in the mean: time, weighed by how far the
// value is from its limit, up on one side of the limit and down on the other.
// So a fluctuating load neither opens nor shuts a gate, a small excess takes long
// and a great one is acted on soon.
type gate struct {
	calm    time.Duration // evidence that the group fits, while it is outside
	strain  time.Duration // evidence that it does not, while it is inside
	need    time.Duration // calm that opens the gate
	inside  bool          // the group is in the condition or in a lighter one
	ours    bool          // while inside: its load or accesses were the reason to leave
	entered time.Time     // when it came inside
	left    time.Time     // when it went outside for that, zero where it never did
}

// look is want with a look at the load as it would be.
func (d *Decider) look(g Group, m *memory, out *Decision, passed time.Duration) {
	r := g.Rules
	m.pass(g, d.at)
	out.Fragile = d.fragile(g)
	ps1, ps2 := m.gates[cluster.PS1], m.gates[cluster.PS2]
	switch {
	case g.Condition == cluster.Moderate:
		d.open(g, m, out, cluster.PS1, passed)
	case m.moderate >= r.ModerateStreak && out.Loads.Ls > max(r.Look.Urgent, r.Moderate), ps1.hurt(excess(out.Loads.Ls, r.Moderate), passed) >= r.Look.Heavier:
		out.Want, out.Why = cluster.Moderate, "moderate load"
		ps1.ours, ps2.ours = true, true
	case g.Condition == cluster.PS1:
		d.open(g, m, out, cluster.PS2, passed)
	case g.Accesses > 2*r.Accesses, ps2.hurt(excess(g.Accesses, r.Accesses), passed) >= r.Look.Heavier:
		out.Want, out.Why, out.IfRefused = cluster.PS1, "accesses again", cluster.Moderate
		ps2.ours = true
	}
}

// open wants the lighter condition c once the load as it would be there has
// fitted for long enough, or, where nothing speaks against it, as soon as the
// paper's streaks say so.
func (d *Decider) open(g Group, m *memory, out *Decision, c cluster.Condition, passed time.Duration) {
	layout, possible := g.Ahead[c]
	at, r := m.gates[c], g.Rules
	ls := d.ahead(g, layout.Places).Ls
	over, light, why := excess(ls, r.Moderate), m.light >= r.LightStreak, "light load"
	if c == cluster.PS2 {
		over = max(over, excess(g.Accesses, r.Accesses))
		light, why = m.quiet > 0 && m.quiet >= r.AccessStreak, "hardly any access"
	}
	calm := at.rest(over, passed)
	switch {
	case !possible && light: // the plan says why not
		out.Want, out.Why = c, why
	case !possible:
	case ls > r.Moderate && light:
		out.Refused = fmt.Sprintf("would be moderate: %.0f %%", ls)
	case over > 0 || c == cluster.PS2 && !g.FullTime:
	case calm >= at.need, light && at.fresh(d.at, r.Look):
		out.Want, out.Why = c, why
	}
}

// pass notices a change of condition: a lighter one that did not last takes twice
// as long the next time, one that did half as long. One that ended for another
// reason, as the failure of a server, says nothing.
func (m *memory) pass(g Group, now time.Time) {
	look := g.Rules.Look
	for _, c := range []cluster.Condition{cluster.PS1, cluster.PS2} {
		at, is := m.gates[c], !c.Lighter(g.Condition)
		if at == nil {
			at = &gate{need: look.Lighter, inside: is, entered: now}
			m.gates[c] = at
		}
		if is == at.inside {
			continue
		}
		switch {
		case is:
			at.entered = now
		case at.ours:
			at.leave(now, look)
		}
		at.inside, at.ours, at.calm, at.strain = is, false, 0, 0
	}
}

// leave sets what the next entry takes.
func (at *gate) leave(now time.Time, look Look) {
	at.left = now
	if now.Sub(at.entered) < max(brief, worth*at.need) {
		at.need = min(2*at.need, max(look.Lighter, look.Longest))
	} else {
		at.need = max(at.need/2, look.Lighter)
	}
}

// fresh reports whether nothing is known against an entry.
func (at *gate) fresh(now time.Time, look Look) bool {
	return at.need <= look.Lighter && (at.left.IsZero() || now.Sub(at.left) >= fresh)
}

// rest counts calm.
func (at *gate) rest(over float64, passed time.Duration) time.Duration {
	at.calm = max(0, at.calm-weighed(over, passed))
	return at.calm
}

// hurt counts strain.
func (at *gate) hurt(over float64, passed time.Duration) time.Duration {
	at.strain = max(0, at.strain+weighed(over, passed))
	return at.strain
}

func weighed(over float64, passed time.Duration) time.Duration {
	return time.Duration(math.Round(over * float64(passed)))
}

// excess is how far v is above its limit, as a part of the limit, -1 to 1; of no
// limit that can be divided, all the way.
func excess(v, limit float64) float64 {
	switch {
	case limit > 0:
		return max(-1, min((v-limit)/limit, 1))
	case v > limit:
		return 1
	}
	return -1
}
