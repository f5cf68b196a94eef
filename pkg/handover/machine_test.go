package handover

import (
	"fmt"
	"testing"
)

// world is who has which VIP, as a test of the machine sees it.
type world struct {
	state          State
	giver, taker   Set // who may answer for what
	rows, hold     bool
	unsure, closed bool // an act or a hold failed: what is undone need not be whole
}

// walk follows every way that a handover can go.
type walk struct {
	t     *testing.T
	shape Shape
	seen  map[world]bool
	ends  map[Stage]int
}

func (w *walk) from(at world, trace []string) {
	if w.t.Failed() || w.seen[at] {
		return
	}
	w.seen[at] = true
	w.judge(at, trace)
	if at.state.Stage.Over() {
		w.ends[at.state.Stage]++
		return
	}
	if len(trace) > 40 {
		w.t.Errorf("it does not end: %v", trace)
		return
	}
	for _, next := range w.next(at) {
		w.from(next, append(trace[:len(trace):len(trace)], fmt.Sprintf("%d%+v", at.state.Stage, next.state)))
	}
}

// next are all outcomes of a stage, and the loss of the hold before it.
func (w *walk) next(at world) (out []world) {
	if at.hold && !at.state.Lost && at.state.Stage != Look && at.state.Stage != Hold {
		lost := at
		lost.hold, lost.state = false, w.shape.Lose(at.state)
		out = append(out, lost)
	}
	vips := w.shape.VIPs(at.state)
	add := func(o Outcome, change func(*world)) {
		next := at
		change(&next)
		next.state = w.shape.After(at.state, o)
		out = append(out, next)
	}
	switch at.state.Stage {
	case Commit:
		add(Outcome{}, func(n *world) { n.rows = true })
		add(Outcome{Failed: One(0)}, func(*world) {})
		add(Outcome{Failed: One(0), Unknown: true}, func(n *world) { n.hold = false })
		add(Outcome{Failed: One(0), Unknown: true}, func(n *world) { n.hold, n.rows = false, true })
	case Look:
		add(Outcome{Done: at.rows}, func(*world) {})
		add(Outcome{}, func(*world) {}) // nobody answered
	case Hold:
		serves := w.shape.Returns
		if at.rows {
			serves = Set{}
		}
		add(Outcome{Done: at.rows, Serves: serves}, func(n *world) { n.hold = true })
		add(Outcome{Done: at.rows, Serves: serves.And(One(0))}, func(n *world) { n.hold, n.closed = true, true })
		add(Outcome{Failed: One(0)}, func(n *world) { n.closed = true })
	default:
		for failed := uint64(0); failed <= vips[0]; failed++ {
			if failed&^vips[0] != 0 {
				continue
			}
			for did := uint64(0); did <= failed; did++ { // what failed may have been done all the same
				if did&^failed == 0 {
					f, d := First(failed), First(did)
					add(Outcome{Failed: f}, func(n *world) { w.act(n, vips.Without(f).With(d), f) })
				}
			}
		}
	}
	return out
}

// act does a stage for a set of VIPs.
func (w *walk) act(n *world, did, failed Set) {
	switch n.state.Stage {
	case Off:
		n.giver = n.giver.Without(did)
	case On:
		n.taker = n.taker.With(did)
	case LetGo:
		n.taker = n.taker.Without(did)
		n.unsure = n.unsure || !failed.Empty()
	case Return:
		n.giver = n.giver.With(did)
		n.unsure = n.unsure || !failed.Empty()
	}
}

func (w *walk) judge(at world, trace []string) {
	given := w.shape.Returns
	switch {
	case !at.giver.And(at.taker).Empty():
		w.t.Errorf("two have a VIP: %+v\n%v", at, trace)
	case at.state.Stage == Done && (!at.rows || at.taker != w.all()):
		w.t.Errorf("done, and it is not: %+v\n%v", at, trace)
	case at.state.Stage == Undone && !at.rows && !at.unsure && !at.closed && !at.state.Again && at.giver != given:
		w.t.Errorf("undone, and a giver lacks a VIP: %+v\n%v", at, trace)
	case at.state.Stage == Return && !at.hold:
		w.t.Errorf("it goes back without a hold: %+v\n%v", at, trace)
	}
}

func (w *walk) all() Set { return w.shape.VIPs(State{}) }

// Whatever fails, at most one server has a VIP, and what is called done or undone is.
func TestEveryWay(t *testing.T) {
	for name, shape := range map[string]Shape{
		"one":             {Waves: []Set{First(1)}, Returns: First(1)},
		"two at once":     {Waves: []Set{First(3)}, Returns: First(3)},
		"one after one":   {Waves: []Set{First(1), First(2)}, Returns: First(3)},
		"without a giver": {Waves: []Set{First(1)}},
		"one without":     {Waves: []Set{First(3)}, Returns: First(1)},
		"rows only":       {},
	} {
		t.Run(name, func(t *testing.T) {
			w := &walk{t: t, shape: shape, seen: map[world]bool{}, ends: map[Stage]int{}}
			w.from(world{state: shape.Begin(), giver: shape.Returns, hold: true}, nil)
			// Or somebody was killed who had done it already, but for the rows.
			w.from(world{state: shape.Begin(), taker: shape.Returns, hold: true, unsure: true}, nil)
			if w.ends[Done] == 0 || w.ends[Undone] == 0 {
				t.Errorf("ends: %v of %d states", w.ends, len(w.seen))
			}
		})
	}
}

func TestSet(t *testing.T) {
	var s Set
	for _, i := range []int{0, 63, 64, Most - 1} {
		s = s.With(One(i))
	}
	var got []int
	for i := range s.Without(One(63)).All {
		got = append(got, i)
	}
	if fmt.Sprint(got) != fmt.Sprint([]int{0, 64, Most - 1}) || !s.Has(63) || s.Has(65) || !s.And(One(65)).Empty() {
		t.Errorf("%v", got)
	}
}
