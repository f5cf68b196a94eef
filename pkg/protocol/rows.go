package protocol

import (
	"fmt"
	"net/netip"
	"slices"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/ipc"
)

// Refusal is why the files do not fit a request.
type Refusal struct {
	State cluster.Standing
	Why   string
}

func (r *Refusal) Error() string { return r.Why }

// Refuse makes a Refusal.
func Refuse(state cluster.Standing, format string, args ...any) error {
	return &Refusal{State: state, Why: fmt.Sprintf(format, args...)}
}

// Separate is A3: the target's operation rows move to separation.
func Separate(t *cluster.Tables, host string) error {
	rows := t.Operation.Of(host)
	if len(rows) == 0 {
		if state, _ := t.Standing(host); state != cluster.Separated {
			return Refuse(state, "%s has no operation row", host)
		}
		return nil
	}
	t.Operation = t.Operation.Without(host)
	for _, r := range rows {
		t.Separation = t.Separation.With(r)
	}
	t.AccessStop = t.AccessStop.Without(host)
	return nil
}

// Substitute is A4: the backup gets an operation row, on the management server
// mgmt, for each VIP of the target that nobody serves.
func Substitute(t *cluster.Tables, host string, backup ipc.Server, mgmt netip.Addr) error {
	rows := t.Separation.Of(host)
	if len(rows) == 0 {
		state, _ := t.Standing(host)
		return Refuse(state, "%s has no separation row", host)
	}
	held := 0
	for _, r := range rows {
		h, ok := t.Holder(r.VIP)
		if !ok {
			h = cluster.ServerRow{Group: r.Group, Real: mgmt, VIP: r.VIP, Host: backup.Host, IP: backup.IP}
			t.Operation = append(t.Operation, h)
		}
		if h.Host == backup.Host {
			held++
		}
	}
	if held == 0 {
		return Refuse(cluster.Separated, "others serve every VIP of %s", host)
	}
	t.Separation = t.Separation.Where(func(r cluster.ServerRow) bool {
		h, ok := t.Holder(r.VIP)
		return r.Host != backup.Host || !ok || h.Host != backup.Host
	})
	return nil
}

// Abandon is A4-failed: the backup, if there is one, serves no longer, so that
// its VIPs stand in the target's separation rows only.
func Abandon(t *cluster.Tables, host string, backup *ipc.Server) error {
	rows := t.Separation.Of(host)
	if len(rows) == 0 {
		state, _ := t.Standing(host)
		return Refuse(state, "%s has no separation row", host)
	}
	if backup == nil {
		return nil
	}
	for _, r := range t.Operation.Of(backup.Host) {
		r.Real, r.Host, r.IP = rows[0].Real, host, rows[0].IP
		t.Separation = t.Separation.With(r)
	}
	t.Operation = t.Operation.Without(backup.Host)
	return nil
}

// Relocate is A5 moving and moved: the backup's rows name the real server that
// it migrates to, or is on.
func Relocate(t *cluster.Tables, host string, backup ipc.Server, to netip.Addr) error {
	if !t.Separation.Has(host) {
		state, _ := t.Standing(host)
		return Refuse(state, "%s has no separation row left", host)
	}
	if !t.Operation.Has(backup.Host) {
		return Refuse(cluster.Separated, "%s has no operation row", backup.Host)
	}
	t.Operation = slices.Clone(t.Operation)
	for i, r := range t.Operation {
		if r.Host == backup.Host {
			t.Operation[i].Real = to
		}
	}
	return nil
}

// DropReal is B3: the real server's row leaves the real-server file.
func DropReal(t *cluster.Tables, real netip.Addr) error {
	if state := t.RealStanding(real); state == cluster.RealAsleep {
		return Refuse(state, "%s is suspended", real)
	}
	t.Real = t.Real.Without(real)
	return nil
}

// ReturnReal is the first part of B4: the real server's row comes back.
func ReturnReal(t *cluster.Tables, row cluster.RealRow) error {
	switch state := t.RealStanding(row.IP); {
	case state == cluster.RealAsleep:
		return Refuse(state, "%s is suspended", row.IP)
	case state == cluster.RealActive:
		return nil
	case row.MAC == cluster.MAC{}:
		return Refuse(state, "the MAC address of %s is not known", row.IP)
	}
	t.Real = append(slices.Clone(t.Real), row)
	return nil
}
