package plan

import (
	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/edits"
)

// Apply says what the seven files look like once the steps are done.
func Apply(t cluster.Tables, known cluster.HomeNames, steps Steps) cluster.Tables {
	t = moved(t, t.Homes(known), steps)
	for _, s := range steps {
		switch s.Do {
		case WakeReal:
			_ = edits.Wake(&t, s.Real) // refused: it has no row, and gets none
		case SuspendReal:
			_ = edits.Sleep(&t, s.Real)
		case SetState:
			edits.SetCondition(&t, s.Group, s.Condition)
		case StopSpare:
			if !s.Keep {
				edits.StopSpare(&t, s.Spare)
			}
		}
	}
	return t
}

// Move is what a move-vip step changes.
func (s Step) Move() edits.Move { return edits.Move{VIP: s.VIP, From: s.From, To: s.To, Held: s.Held} }

// Change is one group's part of a plan that was made from t.
func (p Steps) Change(t cluster.Tables, group string) edits.Change {
	c := edits.Change{Group: group, From: t.Condition(group)}
	for _, s := range p {
		switch {
		case s.Group != group:
		case s.Do == MoveVIP:
			c.Moves = append(c.Moves, s.Move())
		case s.Do == SetState:
			c.To = s.Condition
		}
	}
	return c
}

// moved is t after all moves, whatever their order.
func moved(t cluster.Tables, homes cluster.Homes, steps Steps) cluster.Tables {
	for _, s := range steps.Of(MoveVIP) {
		s.Move().Make(&t, homes)
	}
	return t
}
