package edits

import (
	"net/netip"
	"slices"

	"pss-msbs/pkg/cluster"
)

// Kind is what a virtual server is to the system.
type Kind int

// The kinds of virtual servers.
const (
	UnknownKind Kind = iota // no .dat tells
	HomeKind                // line 1 of its .dat is its home VIP
	BackupKind              // lines 1 and 8 blank
	SpareKind               // a row in spare-server
)

// Target is the server of an A5 or B4 with what its management data say.
type Target struct {
	Host string
	Kind Kind
	Home netip.Addr // the home VIP of a HomeKind
}

// Taken is the row of the server, other than who and its backup, that vip
// belongs to by now: the one that serves it, or, of who's home VIP, the one that
// pss gave it to when who failed, and that has failed since. Such a server's own
// monitor brings the VIP back; two at it would make two holders.
func (who Target) Taken(t cluster.Tables, backup string, vip netip.Addr) (cluster.ServerRow, bool) {
	if h, ok := t.Holder(vip); ok || who.Kind != HomeKind || vip != who.Home {
		return h, ok
	}
	i := slices.IndexFunc(t.Separation, func(r cluster.ServerRow) bool {
		return r.VIP == vip && r.Host != who.Host && r.Host != backup
	})
	if i < 0 {
		return cluster.ServerRow{}, false
	}
	return t.Separation[i], true
}

// GiveBack is A5 recovered, and B4 for each server (SPEC 5): each separation
// row of the target whose VIP its backup or nobody holds becomes an operation
// row again; one whose VIP another holds takes the target to access-stop,
// where only the VIPs that it gets back leave a row; the backup's rows go.
//
// What has been done already is no error: the target then operates or stands
// in access-stop.
func GiveBack(t *cluster.Tables, who Target, backup string) error {
	rows := t.Separation.Of(who.Host)
	if len(rows) == 0 {
		standing, _ := t.Standing(who.Host)
		if standing == cluster.NotInFiles || t.Operation.Has(backup) {
			return Refuse(standing, "%s has no separation row left", who.Host)
		}
		return nil
	}
	inherited := t.Operation.Of(backup)
	t.Operation = t.Operation.Without(backup)
	for _, r := range t.Separation.Of(backup) {
		if _, held := t.Holder(r.VIP); !held {
			inherited = append(inherited, r)
		}
	}
	// A VIP of the backup without a row of the target is the target's all the
	// same: a backup holds nothing else.
	for _, r := range inherited {
		r.Real, r.Host, r.IP = rows[0].Real, rows[0].Host, rows[0].IP
		rows = rows.With(r)
	}
	t.Separation = t.Separation.Without(who.Host).Without(backup)
	var lost cluster.Rows // VIPs that another holds, or brings back
	for _, r := range rows {
		if _, taken := who.Taken(*t, backup, r.VIP); taken {
			lost = append(lost, r)
			continue
		}
		t.Operation = t.Operation.With(r)
	}
	t.AccessStop = t.AccessStop.Without(who.Host)
	if !t.Operation.Has(who.Host) {
		for _, r := range who.keeps(*t, lost) {
			t.AccessStop = t.AccessStop.With(r)
		}
	}
	return nil
}

// keeps are the access-stop rows of a target that lost every VIP.
func (who Target) keeps(t cluster.Tables, lost cluster.Rows) cluster.Rows {
	switch who.Kind {
	case BackupKind:
		return nil // it stood in for another server, which has its rows
	case SpareKind:
		return lost
	case HomeKind:
		row := lost[0]
		row.VIP = who.Home
		return cluster.Rows{row}
	}
	return guessHome(t, lost)
}

// guessHome keeps, where no .dat names the home VIP, the rows whose VIP is not
// known to be at home elsewhere: an access-stop row names the home of its VIP.
func guessHome(t cluster.Tables, lost cluster.Rows) cluster.Rows {
	kept := lost.Where(func(r cluster.ServerRow) bool {
		return !slices.ContainsFunc(t.AccessStop.ForVIP(r.VIP), func(a cluster.ServerRow) bool {
			return a.Host != r.Host && !t.IsSpare(a.Host)
		})
	})
	if len(kept) == 0 {
		return lost
	}
	return kept
}
