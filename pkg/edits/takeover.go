package edits

import (
	"slices"

	"pss-msbs/pkg/cluster"
)

// Separate is A3: the target's operation rows move to separation.
func Separate(t *cluster.Tables, host string) error {
	rows := t.Operation.Of(host)
	if len(rows) == 0 {
		if standing, _ := t.Standing(host); standing != cluster.Separated {
			return Refuse(standing, "%s has no operation row", host)
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

// Claim takes back from separation what the monitor of the target's backup has
// put there: from here on the target's monitor owns these VIPs, and an A4-failed
// of the backup is refused for want of rows.
func Claim(t *cluster.Tables, host, backup string) {
	own := t.Separation.Of(host)
	t.Separation = t.Separation.Where(func(r cluster.ServerRow) bool { return r.Host != backup || !own.HasVIP(r.VIP) })
}

// Substitute is A4: the backup gets an operation row, where it runs, for each
// VIP of the target that nobody serves.
func Substitute(t *cluster.Tables, host string, backup cluster.Guest) error {
	rows := t.Separation.Of(host)
	if len(rows) == 0 {
		standing, _ := t.Standing(host)
		return Refuse(standing, "%s has no separation row", host)
	}
	held := 0
	for _, r := range rows {
		h, ok := t.Holder(r.VIP)
		if !ok {
			h = cluster.ServerRow{Group: r.Group, Real: backup.Real, VIP: r.VIP, Host: backup.Host, IP: backup.IP}
			t.Operation = t.Operation.With(h)
		}
		if h.Host == backup.Host {
			held++
		}
	}
	if held == 0 {
		return Refuse(cluster.Separated, "others serve every VIP of %s", host)
	}
	serves := t.Operation.Of(backup.Host)
	t.Separation = t.Separation.Where(func(r cluster.ServerRow) bool { return r.Host != backup.Host || !serves.HasVIP(r.VIP) })
	return nil
}

// Abandon is A4-failed: the backup, "" for none, serves no longer, so that its
// VIPs stand in the target's separation rows only.
func Abandon(t *cluster.Tables, host, backup string) error {
	rows := t.Separation.Of(host)
	if len(rows) == 0 {
		standing, _ := t.Standing(host)
		return Refuse(standing, "%s has no separation row", host)
	}
	for _, r := range t.Operation.Of(backup) {
		r.Real, r.Host, r.IP = rows[0].Real, host, rows[0].IP
		t.Separation = t.Separation.With(r)
	}
	t.Operation = t.Operation.Without(backup)
	return nil
}

// Relocate is A5 moving and moved: the backup's rows name the real server that
// it migrates to, or is on.
func Relocate(t *cluster.Tables, host string, backup cluster.Guest) error {
	if !t.Separation.Has(host) {
		standing, _ := t.Standing(host)
		return Refuse(standing, "%s has no separation row left", host)
	}
	if !t.Operation.Has(backup.Host) {
		return Refuse(cluster.Separated, "%s has no operation row", backup.Host)
	}
	rows := slices.Clone(t.Operation)
	for i, r := range rows {
		if r.Host == backup.Host {
			rows[i].Real = backup.Real
		}
	}
	t.Operation = rows
	return nil
}
