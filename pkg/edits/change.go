package edits

import (
	"fmt"
	"slices"

	"pss-msbs/pkg/cluster"
)

// Change is one group's part of a shift: its VIP moves and its new condition,
// which become true together or not at all.
type Change struct {
	Group string
	Moves []Move
	// From and To are the conditions; To is empty where it stays.
	From, To cluster.Condition
}

// lighter reports whether the group goes to a lighter condition: then a row of
// it in separation ends the shift.
func (c Change) lighter() bool { return c.To != "" && c.To.Lighter(c.From) }

// Check refuses a change that the files as they are now, under the lock, do not fit.
func (c Change) Check(t cluster.Tables) error {
	if row, ok := t.StateOf(c.Group); c.To != "" && (!ok || row.Condition != c.From) {
		return fmt.Errorf("%w: %s is not in %s", ErrStale, c.Group, c.From)
	}
	if c.lighter() && len(t.Separation.InGroup(c.Group)) > 0 {
		return ErrRecovery
	}
	for _, m := range c.Moves {
		if row, ok := t.Holder(m.VIP); !ok || row.Guest() != m.From {
			return fmt.Errorf("%w: %v is not on %s at %v", ErrStale, m.VIP, m.From.Host, m.From.Real)
		}
		if err := Receivable(t, m.To); err != nil {
			return err
		}
	}
	return nil
}

// Make makes the change in the files.
func (c Change) Make(t *cluster.Tables, known cluster.HomeNames) {
	for _, m := range c.Moves {
		m.Make(t, t.Homes(known))
	}
	if c.To != "" {
		SetCondition(t, c.Group, c.To)
	}
}

// SetCondition records a group's condition.
func SetCondition(t *cluster.Tables, group string, c cluster.Condition) {
	t.State = slices.Clone(t.State)
	for i := range t.State {
		if t.State[i].Group == group {
			t.State[i].Condition = c
		}
	}
}

// Waves are the moves that may run together. A VIP on its way is held by nobody
// for a moment: where every VIP of the group moves, one goes first, so that the
// load balancer finds a server at every instant.
func (c Change) Waves(t cluster.Tables) [][]Move {
	stays := slices.ContainsFunc(t.Operation.InGroup(c.Group), func(r cluster.ServerRow) bool {
		return !slices.ContainsFunc(c.Moves, func(m Move) bool { return m.VIP == r.VIP })
	})
	if stays || len(c.Moves) < 2 {
		return [][]Move{c.Moves}
	}
	return [][]Move{c.Moves[:1], c.Moves[1:]}
}
