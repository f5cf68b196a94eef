package edits

import (
	"fmt"
	"net/netip"
	"slices"

	"pss-msbs/pkg/cluster"
)

// Move is one VIP given to another server.
type Move struct {
	VIP  netip.Addr
	From cluster.Guest // who holds it; zero: nobody, it stands in separation
	To   cluster.Guest
	// Held are the VIPs for which the old holder stands in access-stop once it
	// holds none. A plan knows them; empty means as the files tell now.
	Held []netip.Addr
}

// Make gives the VIP to its receiver in the files, by the rules of SPEC 3: the
// receiver leaves access-stop; the old holder, once it holds no VIP any more,
// enters it; a VIP only held for another leaves no row behind, also in
// separation. homes are those of t.
func (m Move) Make(t *cluster.Tables, homes cluster.Homes) {
	row := cluster.ServerRow{Group: t.GroupOf(m.VIP), Real: m.To.Real, VIP: m.VIP, Host: m.To.Host, IP: m.To.IP}
	old, served := t.Holder(m.VIP)
	if served {
		t.Operation = slices.Clone(t.Operation)
		t.Operation[slices.Index(t.Operation, old)] = row
	} else {
		t.Operation = t.Operation.With(row)
	}
	t.AccessStop = t.AccessStop.Without(m.To.Host)
	t.Separation = leaveSeparation(*t, homes, m.VIP)
	if !served || t.Operation.Has(old.Host) {
		return
	}
	held := m.Held
	if len(held) == 0 || len(held) > 1 && !t.IsSpare(old.Host) {
		held = t.GetsBack(homes, old)
	}
	t.AccessStop = t.AccessStop.Without(old.Host)
	for _, v := range held {
		old.VIP = v
		t.AccessStop = t.AccessStop.With(old)
	}
}

// leaveSeparation drops the separation rows of a VIP that has got a new holder.
// A home server keeps the row of its home VIP, and where it has no other row left
// it gets that one instead: its owner still has to bring it back.
func leaveSeparation(t cluster.Tables, homes cluster.Homes, vip netip.Addr) cluster.Rows {
	var out cluster.Rows
	for _, r := range t.Separation {
		home := homes.VIPsOf(r.Host)
		switch {
		case r.VIP != vip || slices.Contains(home, vip):
			out = append(out, r)
		case len(home) > 0 && len(t.Separation.Of(r.Host)) == 1:
			r.VIP = home[0]
			out = append(out, r)
		}
	}
	return out
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

// StopSpare takes a stopped spare out of access-stop.
func StopSpare(t *cluster.Tables, spare string) { t.AccessStop = t.AccessStop.Without(spare) }
