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

// Move is one VIP move as planned.
type Move struct {
	Group   string
	VIP     netip.Addr
	From    cluster.Guest
	To      cluster.Guest
	Lighter bool         // ends where the group has a row in separation
	Held    []netip.Addr // VIPs From held when the shift began: a spare gets them all back
}

// check refuses a move that the files as they are now, or a move of the same
// VIP before it, do not fit.
func (m Move) check(t cluster.Tables, before []*moving) error {
	if slices.ContainsFunc(before, func(j *moving) bool { return j.VIP == m.VIP }) {
		return fmt.Errorf("%w: %v moves already", ErrStale, m.VIP)
	}
	i := rowOf(t.Operation, m.VIP)
	if i < 0 || t.Operation[i].Host != m.From.Host {
		return fmt.Errorf("%w: %v is not on %s", ErrStale, m.VIP, m.From.Host)
	}
	if m.Lighter && Separated(t, m.Group) {
		return ErrRecovery
	}
	return receivable(t, m.To)
}

// receivable refuses a receiver that is in trouble, elsewhere or asleep.
func receivable(t cluster.Tables, to cluster.Guest) error {
	if len(cluster.RowsOf(t.Separation, to.Host)) > 0 {
		return fmt.Errorf("%w: %s is in separation", ErrRecovery, to.Host)
	}
	if !slices.ContainsFunc(t.Real, func(r cluster.RealRow) bool { return r.IP == to.Real }) {
		return fmt.Errorf("%w: %v is no active real server", ErrStale, to.Real)
	}
	return nil
}

// apply gives the VIP to the receiver in the files.
func (m Move) apply(t *cluster.Tables) error {
	if i := rowOf(t.Operation, m.VIP); i < 0 || t.Operation[i].Host != m.From.Host {
		return fmt.Errorf("%w: %v is not on %s", ErrStale, m.VIP, m.From.Host)
	}
	*t = plan.MoveRows(*t, plan.Move{VIP: m.VIP, To: m.To, Held: m.Held})
	return nil
}

func rowOf(rows []cluster.ServerRow, vip netip.Addr) int {
	return slices.IndexFunc(rows, func(r cluster.ServerRow) bool { return r.VIP == vip })
}

func without(rows []cluster.ServerRow, host string) []cluster.ServerRow {
	return slices.DeleteFunc(slices.Clone(rows), func(r cluster.ServerRow) bool { return r.Host == host })
}

// Separated tells whether a server of group is in separation.
func Separated(t cluster.Tables, group string) bool {
	return slices.ContainsFunc(t.Separation, func(r cluster.ServerRow) bool { return r.Group == group })
}

// names tells whether a row of operation or separation is on real.
func names(t cluster.Tables, real netip.Addr) bool {
	on := func(r cluster.ServerRow) bool { return r.Real == real }
	return slices.ContainsFunc(t.Operation, on) || slices.ContainsFunc(t.Separation, on)
}
