// Package verbs is what each verb of SPEC 7 does to the seven files and says of
// them, as pure functions: which edit of package edits a request of a manager is,
// by what else sif knows, and what a look answers. The model check in pkg/model
// sends its requests through the same ones.
package verbs

import (
	"errors"
	"net/netip"
	"slices"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/edits"
	"pss-msbs/pkg/ipc"
	"pss-msbs/pkg/mgmtdata"
)

// Facts are what a verb depends on besides the seven files.
type Facts struct {
	Server     func(host string) (mgmtdata.Server, bool) // the management data of a server, where they can be read
	Real       func(ip netip.Addr) (mgmtdata.Real, bool)
	Management netip.Addr                            // stands as the real server of backups
	Failed     func(host string) bool                // whether A4-failed was reported for a server: its VIPs are pss's
	Moving     func(vip netip.Addr) (ipc.Move, bool) // the mark of a VIP that pss was moving; nil: none
	Owned      func(host string) bool                // whether somebody monitors a server; nil where nobody looks at real servers
}

// Apply makes the edit of req in t, or refuses. It is to run under the exclusive
// lock on the files as they are then.
func (f Facts) Apply(t *cluster.Tables, req ipc.Request) error {
	if err := f.areBackups(*t, req); err != nil {
		return err
	}
	switch req.Verb {
	case ipc.A3:
		return f.a3(t, req.Host)
	case ipc.A4:
		if f.IsFailed(*t, req.Host) {
			return edits.Refuse(cluster.Separated, "A4-failed was reported: the VIPs of %s are pss's", req.Host)
		}
		return edits.Substitute(t, req.Host, backupAt(req))
	case ipc.A4Failed:
		return edits.Abandon(t, req.Host, req.Backup.Name())
	case ipc.A5:
		return f.a5(t, req)
	case ipc.B3:
		return edits.DropReal(t, req.Real)
	case ipc.B4:
		return f.b4(t, req)
	}
	return errors.New("cannot do " + string(req.Verb))
}

// Marks says how the set of servers whose VIPs are pss's follows an edit that
// changed before into after: who joins it ("" for nobody), and who leaves it.
func Marks(before, after cluster.Tables, req ipc.Request) (add string, remove []string) {
	switch req.Verb {
	case ipc.A4Failed:
		return req.Host, nil
	case ipc.A3:
		if len(before.Operation) == len(after.Operation) {
			return "", nil // repeated: an A4-failed may have come between
		}
		return "", []string{req.Host}
	case ipc.A5:
		if req.Outcome == ipc.Recovered {
			return "", []string{req.Host}
		}
	case ipc.B4:
		for _, r := range req.Servers {
			remove = append(remove, r.Target.Host)
		}
	}
	return "", remove
}

// a3 separates the target. What its backup's own monitor has put into separation,
// and has not left to pss, is from here on the target's monitor's.
func (f Facts) a3(t *cluster.Tables, host string) error {
	if err := edits.Separate(t, host); err != nil {
		return err
	}
	if backup := f.backupOf(host); backup != "" && !f.IsFailed(*t, host) {
		edits.Claim(t, host, backup)
	}
	return nil
}

// IsFailed reports whether what stands only in separation of host is pss's: an
// A4-failed was reported for it, or for its backup, whose monitor had taken the
// same VIPs to separation.
func (f Facts) IsFailed(t cluster.Tables, host string) bool {
	if f.Failed(host) {
		return true
	}
	own := t.Separation.Of(host)
	return slices.ContainsFunc(t.Separation.Without(host), func(r cluster.ServerRow) bool {
		return own.HasVIP(r.VIP) && !t.Operation.HasVIP(r.VIP) && f.Failed(r.Host)
	})
}

// areBackups refuses a request whose backup is a home server or a spare: the
// edits would take its rows for the target's.
func (f Facts) areBackups(t cluster.Tables, req ipc.Request) error {
	backups := []string{req.Backup.Name()}
	for _, r := range req.Servers {
		backups = append(backups, r.Backup.Name())
	}
	for _, b := range backups {
		if b == "" {
			continue
		}
		if k := f.target(t, b).Kind; k == edits.HomeKind || k == edits.SpareKind {
			return edits.Refuse("", "%s is no backup", b)
		}
	}
	return nil
}

func (f Facts) a5(t *cluster.Tables, req ipc.Request) error {
	switch req.Outcome {
	case ipc.Recovered:
		return edits.GiveBack(t, f.target(*t, req.Host), req.Backup.Name())
	case ipc.Moving, ipc.Moved:
	default:
		return edits.Refuse("", "unknown outcome %q", req.Outcome)
	}
	if req.Backup == nil {
		return edits.Refuse("", "the request lacks the backup")
	}
	to := t.RealStanding(req.Real)
	if req.Outcome == ipc.Moving && to != cluster.RealActive && req.Real != f.Management {
		return edits.Refuse(to, "%s is no active real server", req.Real)
	}
	return edits.Relocate(t, req.Host, backupAt(req))
}

// b4 is all of it or nothing.
func (f Facts) b4(t *cluster.Tables, req ipc.Request) error {
	row := cluster.RealRow{IP: req.Real, MAC: req.MAC}
	if row.MAC == (cluster.MAC{}) {
		d, _ := f.Real(req.Real)
		row.MAC = d.MAC
	}
	if err := edits.ReturnReal(t, row); err != nil {
		return err
	}
	for _, r := range req.Servers {
		if err := edits.GiveBack(t, f.target(*t, r.Target.Host), r.Backup.Name()); err != nil {
			return err
		}
	}
	return nil
}

// target looks up what host is: a spare by its row, else by its .dat.
func (f Facts) target(t cluster.Tables, host string) edits.Target {
	if t.IsSpare(host) {
		return edits.Target{Host: host, Kind: edits.SpareKind}
	}
	switch d, known := f.Server(host); {
	case !known:
		return edits.Target{Host: host}
	case d.VIP.IsValid():
		return edits.Target{Host: host, Kind: edits.HomeKind, Home: d.VIP}
	}
	return edits.Target{Host: host, Kind: edits.BackupKind}
}

// backupOf is the backup that the management data of host name, "" for none.
func (f Facts) backupOf(host string) string {
	d, _ := f.Server(host)
	return d.Backup
}

// backupAt is the backup of a request, on the real server that it names.
func backupAt(req ipc.Request) cluster.Guest {
	return cluster.Guest{Host: req.Backup.Host, IP: req.Backup.IP, Real: req.Real}
}
