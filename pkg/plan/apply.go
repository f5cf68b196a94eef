package plan

import (
	"net/netip"
	"slices"

	"pss-msbs/pkg/cluster"
)

// Apply says what the seven files look like once the steps are done.
func Apply(t cluster.Tables, known cluster.HomeNames, steps Steps) cluster.Tables {
	t = moved(t, t.Homes(known), steps.Of(MoveVIP))
	for _, s := range steps {
		switch s.Do {
		case WakeReal:
			t = WakeRows(t, s.Real)
		case SuspendReal:
			t = SuspendRows(t, s.Real)
		case SetState:
			t = StateRows(t, s.Group, s.Condition)
		case StopSpare:
			if !s.Keep {
				t = DropAccessStop(t, s.Spare)
			}
		}
	}
	return t
}

// Move is one VIP given to another server.
type Move struct {
	VIP netip.Addr
	To  cluster.Guest
	// Held are the VIPs for which the old holder stands in access-stop once it
	// holds none: of a home server its home VIP, of a spare each VIP it held, of
	// a backup none. A plan knows them; empty means as the files tell now.
	Held []netip.Addr
}

// Move is what a move-vip step changes.
func (s Step) Move() Move { return Move{VIP: s.VIP, To: s.To, Held: s.Held} }

// MoveRows gives a VIP to another server in the files, by the rules of SPEC 3:
// the receiver leaves access-stop; the old holder, once it holds no VIP any
// more, enters it; a VIP only held for another leaves no row behind, also in
// separation. A home server in separation stays there with at least the row of
// its home VIP: its owner still has to bring it back. homes are those of t.
func MoveRows(t cluster.Tables, homes cluster.Homes, m Move) cluster.Tables {
	return moveRows(t.Clone(), homes, m)
}

// moved is t after all moves, whatever their order.
func moved(t cluster.Tables, homes cluster.Homes, steps Steps) cluster.Tables {
	t = t.Clone()
	for _, s := range steps {
		t = moveRows(t, homes, s.Move())
	}
	return t
}

// moveRows changes t itself.
func moveRows(t cluster.Tables, homes cluster.Homes, m Move) cluster.Tables {
	row := cluster.ServerRow{Group: t.GroupOf(m.VIP), Real: m.To.Real, VIP: m.VIP, Host: m.To.Host, IP: m.To.IP}
	i := slices.IndexFunc(t.Operation, func(r cluster.ServerRow) bool { return r.VIP == m.VIP })
	var old cluster.ServerRow
	if i < 0 {
		t.Operation = append(t.Operation, row)
	} else {
		old, t.Operation[i] = t.Operation[i], row
	}
	t.AccessStop = t.AccessStop.Without(m.To.Host)
	t.Separation = leaveSeparation(t, homes, m.VIP)
	if old.Host != "" && !t.Operation.Has(old.Host) {
		held := m.Held
		if len(held) == 0 || len(held) > 1 && !t.IsSpare(old.Host) {
			held = heldBy(t, homes, old)
		}
		t.AccessStop = t.AccessStop.Without(old.Host)
		for _, v := range held {
			old.VIP = v
			t.AccessStop = append(t.AccessStop, old)
		}
	}
	return t
}

// heldBy is Move.Held of the server that holds, or held, row's VIP.
func heldBy(t cluster.Tables, homes cluster.Homes, row cluster.ServerRow) []netip.Addr {
	if t.IsSpare(row.Host) {
		return append(t.Operation.Of(row.Host), row).VIPs()
	}
	return homes.VIPsOf(row.Host)
}

// leaveSeparation drops the separation rows of a VIP that has got a new holder.
// A home server keeps the row of its home VIP, and where it has no other row
// left it gets that one instead.
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

// WakeRows moves the row of a real server from suspension-real to real-server.
func WakeRows(t cluster.Tables, real netip.Addr) cluster.Tables {
	t.Suspended, t.Real = moveReal(t.Suspended, t.Real, real)
	return t
}

// SuspendRows moves the row of a real server from real-server to suspension-real.
func SuspendRows(t cluster.Tables, real netip.Addr) cluster.Tables {
	t.Real, t.Suspended = moveReal(t.Real, t.Suspended, real)
	return t
}

func moveReal(from, to cluster.RealRows, real netip.Addr) (left, more cluster.RealRows) {
	more = slices.Clone(to)
	for _, r := range from {
		if r.IP == real {
			more = append(more, r)
		} else {
			left = append(left, r)
		}
	}
	return left, more
}

// StateRows records a group's condition.
func StateRows(t cluster.Tables, group string, c cluster.Condition) cluster.Tables {
	t.State = slices.Clone(t.State)
	for i := range t.State {
		if t.State[i].Group == group {
			t.State[i].Condition = c
		}
	}
	return t
}

// DropAccessStop takes a stopped spare out of access-stop.
func DropAccessStop(t cluster.Tables, spare string) cluster.Tables {
	t.AccessStop = t.AccessStop.Without(spare)
	return t
}
