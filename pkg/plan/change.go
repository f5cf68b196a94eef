package plan

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"pss-msbs/pkg/cluster"
)

// Errors of the re-check under the lock.
var (
	// ErrStale says that the files no longer fit the plan.
	ErrStale = errors.New("the files have changed")
	// ErrRecovery says that a server of the group went to separation.
	ErrRecovery = errors.New("recovery under way")
	// ErrNeeded says that the files do not let a real server sleep.
	ErrNeeded = errors.New("the files need it awake")
)

// Change is one group's part of a shift: its VIP moves and its new condition,
// which become true together or not at all.
type Change struct {
	Group string
	Moves []Step // move-vip steps
	// From and To are the conditions; To is empty where it stays.
	From, To cluster.Condition
}

// lighter tells whether the group goes to a lighter condition: then a row of it
// in separation ends the shift.
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
		*t = MoveRows(*t, t.Homes(known), m.Move())
	}
	if c.To != "" {
		*t = StateRows(*t, c.Group, c.To)
	}
}

// Waves are the moves that may run together. A VIP on its way is held by nobody
// for a moment: where every VIP of the group moves, one goes first, so that the
// load balancer finds a server at every instant.
func (c Change) Waves(t cluster.Tables) [][]Step {
	stays := slices.ContainsFunc(t.Operation, func(r cluster.ServerRow) bool {
		return r.Group == c.Group && !slices.ContainsFunc(c.Moves, func(m Step) bool { return m.VIP == r.VIP })
	})
	if stays || len(c.Moves) < 2 {
		return [][]Step{c.Moves}
	}
	return [][]Step{c.Moves[:1], c.Moves[1:]}
}

// Receivable refuses a receiver that is in trouble, or whose real server is.
func Receivable(t cluster.Tables, to cluster.Guest) error {
	if t.Separation.Has(to.Host) {
		return fmt.Errorf("%w: %s is in separation", ErrRecovery, to.Host)
	}
	if !t.IsActive(to.Real) {
		return fmt.Errorf("%w: %v is no active real server", ErrStale, to.Real)
	}
	return nil
}

// ToSleep moves the row of real to suspension-real; already there is no error.
func ToSleep(t *cluster.Tables, real netip.Addr) error { return passReal(&t.Real, &t.Suspended, real) }

// ToActive moves the row of real to real-server; already there is no error.
func ToActive(t *cluster.Tables, real netip.Addr) error { return passReal(&t.Suspended, &t.Real, real) }

func passReal(from, to *cluster.RealRows, real netip.Addr) error {
	if to.Has(real) {
		return nil
	}
	if !from.Has(real) {
		return fmt.Errorf("%w: %v is in neither real file", ErrNeeded, real)
	}
	*from, *to = moveReal(*from, *to, real)
	return nil
}
