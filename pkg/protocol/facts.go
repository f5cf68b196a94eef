// Package protocol is what the managers do to the seven files, as pure
// functions: each verb of SPEC 7 that edits them, and what A1 says of them.
// sif runs them within one transaction of conffile; the model check in
// pkg/model runs the same ones over every interleaving.
package protocol

import (
	"errors"
	"net/netip"
	"slices"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/ipc"
	"pss-msbs/pkg/mgmtdata"
)

// Facts are what an edit depends on beside the seven files.
type Facts struct {
	Server     func(host string) (mgmtdata.Server, bool) // the management data of a server, where they can be read
	Real       func(ip netip.Addr) (mgmtdata.Real, bool)
	Management netip.Addr                // stands as the real server of backups
	Failed     func(host string) bool    // whether A4-failed was reported for a server: its VIPs are pss's
	Moving     func(vip netip.Addr) bool // whether pss was moving a VIP; nil: none
}

// Apply makes the edit of req in t, or refuses. It is to run under the exclusive
// lock on the files as they are then.
func (f Facts) Apply(t *cluster.Tables, req ipc.Request) error {
	if err := f.areBackups(*t, req); err != nil {
		return err
	}
	switch req.Verb {
	case ipc.A3:
		if err := Separate(t, req.Host); err != nil {
			return err
		}
		f.claim(t, req.Host)
		return nil
	case ipc.A4:
		if f.IsFailed(*t, req.Host) {
			return Refuse(cluster.Separated, "A4-failed was reported: the VIPs of %s are pss's", req.Host)
		}
		return Substitute(t, req.Host, *req.Backup, req.Real)
	case ipc.A4Failed:
		return Abandon(t, req.Host, req.Backup)
	case ipc.A5:
		return f.settle(t, req)
	case ipc.B3:
		return DropReal(t, req.Real)
	case ipc.B4:
		return f.restore(t, req)
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

// claim takes back what the backup's own monitor has put into separation, and
// not yet left to pss: from here on the target's monitor owns these VIPs, and an
// A4-failed of the backup is refused for want of rows.
func (f Facts) claim(t *cluster.Tables, host string) {
	backup := f.backupOf(host)
	if backup == "" || f.IsFailed(*t, host) {
		return
	}
	vips := t.Separation.Of(host).VIPs()
	t.Separation = t.Separation.Where(func(r cluster.ServerRow) bool { return r.Host != backup || !slices.Contains(vips, r.VIP) })
}

// IsFailed tells whether what stands only in separation of host is pss's: an
// A4-failed was reported for it, or for its backup, whose monitor had taken the
// same VIPs to separation.
func (f Facts) IsFailed(t cluster.Tables, host string) bool {
	if f.Failed(host) {
		return true
	}
	return slices.ContainsFunc(t.Separation, func(r cluster.ServerRow) bool {
		_, served := t.Holder(r.VIP)
		return r.Host != host && !served && f.Failed(r.Host) && slices.Contains(t.Separation.Of(host).VIPs(), r.VIP)
	})
}

// areBackups refuses a request whose backup is a home server or a spare: the
// edits would take its rows for the target's.
func (f Facts) areBackups(t cluster.Tables, req ipc.Request) error {
	backups := []string{BackupOf(req)}
	for _, r := range req.Servers {
		backups = append(backups, NameOf(r.Backup))
	}
	for _, b := range backups {
		if b == "" {
			continue
		}
		if k := f.target(t, b).Kind; k == HomeKind || k == SpareKind {
			return Refuse("", "%s is no backup", b)
		}
	}
	return nil
}

// settle is A5.
func (f Facts) settle(t *cluster.Tables, req ipc.Request) error {
	switch req.Outcome {
	case ipc.Recovered:
		return GiveBack(t, f.target(*t, req.Host), BackupOf(req))
	case ipc.Moving, ipc.Moved:
	default:
		return Refuse("", "unknown outcome %q", req.Outcome)
	}
	if req.Backup == nil {
		return Refuse("", "the request lacks the backup")
	}
	to := t.RealStanding(req.Real)
	if req.Outcome == ipc.Moving && to != cluster.RealActive && req.Real != f.Management {
		return Refuse(to, "%s is no active real server", req.Real)
	}
	return Relocate(t, req.Host, *req.Backup, req.Real)
}

// restore is B4: all of it or nothing.
func (f Facts) restore(t *cluster.Tables, req ipc.Request) error {
	mac := req.MAC
	if mac == (cluster.MAC{}) {
		mac = f.macOf(req.Real)
	}
	if err := ReturnReal(t, cluster.RealRow{IP: req.Real, MAC: mac}); err != nil {
		return err
	}
	for _, r := range req.Servers {
		if err := GiveBack(t, f.target(*t, r.Target.Host), NameOf(r.Backup)); err != nil {
			return err
		}
	}
	return nil
}

// target looks up what host is: a spare by its row, else by its .dat.
func (f Facts) target(t cluster.Tables, host string) Target {
	who := Target{Host: host}
	if t.IsSpare(host) {
		who.Kind = SpareKind
		return who
	}
	switch d, known := f.Server(host); {
	case !known:
	case d.VIP.IsValid():
		who.Kind, who.Home = HomeKind, d.VIP
	default:
		who.Kind = BackupKind
	}
	return who
}

// macOf is line 3 of the .dat of a real server.
func (f Facts) macOf(real netip.Addr) cluster.MAC {
	d, _ := f.Real(real)
	return d.MAC
}

// BackupOf is the backup that a request names, "" for none.
func BackupOf(req ipc.Request) string { return NameOf(req.Backup) }

// NameOf is the name of a server that may be missing.
func NameOf(s *ipc.Server) string {
	if s == nil {
		return ""
	}
	return s.Host
}
