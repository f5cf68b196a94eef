package load

import (
	"fmt"
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
	entered time.Time     // when it came inside
}

// look is want with a look at the load as it would be.
func (d *Decider) look(g Group, m *memory, out *Decision, passed time.Duration) {
	m.settle(g, d.at)
	ps1, ps2 := m.gates[cluster.PS1], m.gates[cluster.PS2]
	out.Fragile = d.fragile(g)
	look, r := g.Rules.Look, g.Rules
	over := excess(out.Loads.Ls, r.Moderate)
	switch {
	case g.Condition == cluster.Moderate:
		d.open(g, m, out, ps1, cluster.PS1, passed)
	case m.moderate >= r.ModerateStreak && out.Loads.Ls > look.Urgent, ps1.hurt(over, passed) >= look.Heavier:
		out.Want, out.Why = cluster.Moderate, "moderate load"
	case g.Condition == cluster.PS1:
		d.open(g, m, out, ps2, cluster.PS2, passed)
	case g.Accesses > 2*r.Accesses, ps2.hurt(excess(g.Accesses, r.Accesses), passed) >= look.Heavier:
		out.Want, out.Why, out.IfRefused = cluster.PS1, "accesses again", cluster.Moderate
	}
}

// open wants the lighter condition c once the load as it would be there has
// fitted for long enough.
func (d *Decider) open(g Group, m *memory, out *Decision, at *gate, c cluster.Condition, passed time.Duration) {
	l, possible := g.Ahead[c]
	if !possible {
		return // the plan says why
	}
	r := g.Rules
	ls := d.ahead(g, l.Places).Ls
	over := excess(ls, r.Moderate)
	wants, why := m.light >= r.LightStreak, "light load"
	if c == cluster.PS2 {
		wants, why = m.quiet > 0 && m.quiet >= r.AccessStreak, "hardly any access"
		over = max(over, excess(g.Accesses, r.Accesses))
		if !g.FullTime {
			over = max(over, 0)
		}
	}
	switch calm := at.rest(over, passed); {
	case over > 0 || c == cluster.PS2 && !g.FullTime:
		if wants && ls > r.Moderate {
			out.Refused = fmt.Sprintf("would be moderate: %.0f %%", ls)
		}
	case calm >= at.need && (c == cluster.PS1 || float64(calm) >= PS2*float64(at.need)), wants && at.need <= r.Look.Lighter && Short > 0 && (c==cluster.PS1 || Short>1):
		out.Want, out.Why = c, why
	}
}

// settle notices a change of condition: a lighter one that did not last long, by
// the time that it took to enter it, takes twice as long the next time.
func (m *memory) settle(g Group, now time.Time) {
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
		switch stay := now.Sub(at.entered); {
		case is:
			at.entered = now
		case stay < time.Duration(Worth*float64(at.need)):
			at.need = min(2*at.need, look.Longest)
		default:
			at.need = max(at.need/2, look.Lighter)
		}
		at.inside, at.calm, at.strain = is, 0, 0
	}
}

var Worth, Short, PS2 = 4.0, 1.0, 1.0

// rest counts calm; hurt counts strain.
func (at *gate) rest(over float64, passed time.Duration) time.Duration {
	at.calm = max(0, at.calm-weighed(over, passed))
	return at.calm
}

func (at *gate) hurt(over float64, passed time.Duration) time.Duration {
	at.strain = max(0, at.strain+weighed(over, passed))
	return at.strain
}

func weighed(over float64, passed time.Duration) time.Duration {
	return time.Duration(max(-1, min(over, 1)) * float64(passed))
}

// excess is how far v is above its limit, as a part of the limit.
func excess(v, limit float64) float64 {
	if limit <= 0 {
		return max(-1, min(v, 1))
	}
	return (v - limit) / limit
}
