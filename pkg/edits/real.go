package edits

import (
	"fmt"
	"net/netip"

	"pss-msbs/pkg/cluster"
)

// DropReal is B3: the real server's row leaves the real-server file.
func DropReal(t *cluster.Tables, real netip.Addr) error {
	if standing := t.RealStanding(real); standing == cluster.RealAsleep {
		return Refuse(standing, "%s is suspended", real)
	}
	t.Real = t.Real.Without(real)
	return nil
}

// ReturnReal is the first part of B4: the real server's row comes back.
func ReturnReal(t *cluster.Tables, row cluster.RealRow) error {
	switch standing := t.RealStanding(row.IP); {
	case standing == cluster.RealAsleep:
		return Refuse(standing, "%s is suspended", row.IP)
	case standing == cluster.RealActive:
		return nil
	case row.MAC == cluster.MAC{}:
		return Refuse(standing, "the MAC address of %s is not known", row.IP)
	}
	t.Real = t.Real.With(row)
	return nil
}

// Sleep moves the row of real to suspension-real; already there is no error.
func Sleep(t *cluster.Tables, real netip.Addr) error { return pass(&t.Real, &t.Suspended, real) }

// Wake moves the row of real to real-server; already there is no error.
func Wake(t *cluster.Tables, real netip.Addr) error { return pass(&t.Suspended, &t.Real, real) }

func pass(from, to *cluster.RealRows, real netip.Addr) error {
	if to.Has(real) {
		return nil
	}
	row, ok := from.Of(real)
	if !ok {
		return fmt.Errorf("%w: %v is in neither real file", ErrNeeded, real)
	}
	*from, *to = from.Without(real), to.With(row)
	return nil
}
