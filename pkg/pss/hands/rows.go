package hands

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/plan"
)

// Errors of the re-check under the lock.
var (
	// ErrStale says that the files no longer fit the plan.
	ErrStale = errors.New("the files have changed")
	// ErrRecovery says that a server of the group went to separation.
	ErrRecovery = errors.New("recovery under way")
)

// Change is one group's part of a shift: its VIP moves and its new condition,
// which become true together or not at all.
type Change struct {
	Group string
	Moves []plan.Step // move-vip steps
	// From and To are the conditions; To is empty where it stays.
	From, To cluster.Condition
}

// lighter tells whether the group goes to a lighter condition: then a row of it
// in separation ends the shift.
func (c Change) lighter() bool { return c.To != "" && c.To.Lighter(c.From) }

// check refuses a change that the files as they are now do not fit.
func (c Change) check(t cluster.Tables) error {
	if i := stateRow(t, c.Group); c.To != "" && (i < 0 || t.State[i].Condition != c.From) {
		return fmt.Errorf("%w: %s is not in %s", ErrStale, c.Group, c.From)
	}
	if c.lighter() && separated(t, c.Group) {
		return ErrRecovery
	}
	for _, m := range c.Moves {
		i := rowOf(t.Operation, m.VIP)
		if i < 0 || t.Operation[i].Guest() != m.From {
			return fmt.Errorf("%w: %v is not on %s at %v", ErrStale, m.VIP, m.From.Host, m.From.Real)
		}
		if err := receivable(t, m.To); err != nil {
			return err
		}
	}
	return nil
}

// apply makes the change in the files.
func (c Change) apply(t *cluster.Tables, homes plan.Known) {
	for _, m := range c.Moves {
		*t = homes.MoveRows(*t, m.Move())
	}
	if c.To != "" {
		*t = plan.StateRows(*t, c.Group, c.To)
	}
}

// receivable refuses a receiver that is in trouble, or whose real server is.
func receivable(t cluster.Tables, to cluster.Guest) error {
	if len(cluster.RowsOf(t.Separation, to.Host)) > 0 {
		return fmt.Errorf("%w: %s is in separation", ErrRecovery, to.Host)
	}
	if !slices.ContainsFunc(t.Real, func(r cluster.RealRow) bool { return r.IP == to.Real }) {
		return fmt.Errorf("%w: %v is no active real server", ErrStale, to.Real)
	}
	return nil
}

func rowOf(rows []cluster.ServerRow, vip netip.Addr) int {
	return slices.IndexFunc(rows, func(r cluster.ServerRow) bool { return r.VIP == vip })
}

func stateRow(t cluster.Tables, group string) int {
	return slices.IndexFunc(t.State, func(r cluster.StateRow) bool { return r.Group == group })
}

func separated(t cluster.Tables, group string) bool {
	return slices.ContainsFunc(t.Separation, func(r cluster.ServerRow) bool { return r.Group == group })
}
