package sif

import (
	"errors"
	"net/netip"
	"reflect"
	"slices"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/ipc"
	"pss-msbs/pkg/mgmtdata"
)

// change makes the edit of req in t, or refuses; it runs under the exclusive
// lock. held says that req came within a hold.
func (s *Server) change(t *cluster.Tables, req ipc.Request, held bool) (ipc.Reply, error) {
	before := t.Clone()
	if err := s.apply(t, req); err != nil {
		return ipc.Reply{}, err
	}
	if !held && req.Token != "" && !reflect.DeepEqual(before, t.Clone()) && !s.unchanged(before, req) {
		return ipc.Reply{}, refuse("", "the hold was lost and the rows changed since")
	}
	if err := s.mark(before, *t, req); err != nil {
		return ipc.Reply{}, err
	}
	return s.report(*t, req), nil
}

// apply is the edit alone.
func (s *Server) apply(t *cluster.Tables, req ipc.Request) error {
	if err := s.areBackups(*t, req); err != nil {
		return err
	}
	switch req.Verb {
	case ipc.A3:
		if err := separate(t, req.Host); err != nil {
			return err
		}
		s.claim(t, req.Host)
		return nil
	case ipc.A4:
		if s.failed(*t, req.Host) {
			return refuse(ipc.Separated, "A4-failed was reported: the VIPs of %s are pss's", req.Host)
		}
		return substitute(t, req.Host, *req.Backup, req.Real)
	case ipc.A4Failed:
		return abandon(t, req.Host, req.Backup)
	case ipc.A5:
		return s.settle(t, req)
	case ipc.B3:
		return dropReal(t, req.Real)
	case ipc.B4:
		return s.restore(t, req)
	}
	return errors.New("cannot do " + string(req.Verb))
}

// claim takes back what the backup's own monitor has put into separation, and
// not yet left to pss: from here on the target's monitor owns these VIPs, and an
// A4-failed of the backup is refused for want of rows.
func (s *Server) claim(t *cluster.Tables, host string) {
	backup := ""
	for _, d := range s.dats().Servers {
		if d.Host == host {
			backup = d.Backup
		}
	}
	if backup == "" || s.failed(*t, host) {
		return
	}
	vips := cluster.VIPsOf(cluster.RowsOf(t.Separation, host))
	t.Separation = without(t.Separation, func(r cluster.ServerRow) bool { return r.Host == backup && slices.Contains(vips, r.VIP) })
}

// areBackups refuses a request whose backup is a home server or a spare: the
// edits would take its rows for the target's.
func (s *Server) areBackups(t cluster.Tables, req ipc.Request) error {
	backups := []string{backupOf(req)}
	for _, r := range req.Servers {
		backups = append(backups, backupName(r.Backup))
	}
	for _, b := range backups {
		if b == "" {
			continue
		}
		if k := s.target(t, b).kind; k == homeKind || k == spareKind {
			return refuse("", "%s is no backup", b)
		}
	}
	return nil
}

// settle is A5.
func (s *Server) settle(t *cluster.Tables, req ipc.Request) error {
	switch req.Outcome {
	case ipc.Recovered:
		return giveBack(t, s.target(*t, req.Host), backupOf(req))
	case ipc.Moving, ipc.Moved:
	default:
		return refuse("", "unknown outcome %q", req.Outcome)
	}
	if req.Backup == nil {
		return refuse("", "the request lacks the backup")
	}
	to := realState(*t, req.Real)
	if req.Outcome == ipc.Moving && to != ipc.RealActive && req.Real != s.opt.Management {
		return refuse(to, "%s is no active real server", req.Real)
	}
	return relocate(t, req.Host, *req.Backup, req.Real)
}

// restore is B4: all of it or nothing.
func (s *Server) restore(t *cluster.Tables, req ipc.Request) error {
	mac := req.MAC
	if mac == (cluster.MAC{}) {
		mac = s.macOf(req.Real)
	}
	if err := returnReal(t, cluster.RealRow{IP: req.Real, MAC: mac}); err != nil {
		return err
	}
	for _, r := range req.Servers {
		if err := giveBack(t, s.target(*t, r.Target.Host), backupName(r.Backup)); err != nil {
			return err
		}
	}
	return nil
}

// mark keeps the set of servers whose VIPs are pss's in step with the rows. It
// runs before the commit: a crash between them leaves a set that the repeated
// verb mends.
func (s *Server) mark(before, after cluster.Tables, req ipc.Request) error {
	switch req.Verb {
	case ipc.A4Failed:
		return s.opt.Failed.Add(req.Host)
	case ipc.A3:
		if len(before.Operation) == len(after.Operation) {
			return nil // repeated: an A4-failed may have come between
		}
		return s.opt.Failed.Remove(req.Host)
	case ipc.A5:
		if req.Outcome == ipc.Recovered {
			return s.opt.Failed.Remove(req.Host)
		}
	case ipc.B4:
		for _, r := range req.Servers {
			if err := s.opt.Failed.Remove(r.Target.Host); err != nil {
				return err
			}
		}
	}
	return nil
}

// report is the reply of an edit, from the files as it left them.
func (s *Server) report(t cluster.Tables, req ipc.Request) ipc.Reply {
	if req.Verb == ipc.B3 || req.Verb == ipc.B4 {
		return ipc.Reply{State: realState(t, req.Real), Active: active(t), Placed: placed(t)}
	}
	return s.lookAt(t, req.Host)
}

// unchanged tells whether the rows are still as the hold of req's token showed them.
func (s *Server) unchanged(before cluster.Tables, req ipc.Request) bool {
	if req.Verb == ipc.A5 {
		return token(before, req.Host, backupOf(req)) == req.Token
	}
	for _, r := range req.Servers {
		if token(before, r.Target.Host, backupName(r.Backup)) == req.Token {
			return true
		}
	}
	return false
}

func backupName(b *ipc.Server) string {
	if b == nil {
		return ""
	}
	return b.Host
}

// target looks up what host is: a spare by its row, else by its .dat.
func (s *Server) target(t cluster.Tables, host string) target {
	who := target{host: host}
	if t.IsSpare(host) {
		who.kind = spareKind
		return who
	}
	for _, d := range s.dats().Servers {
		switch {
		case d.Host != host:
		case d.VIP.IsValid():
			who.kind, who.home = homeKind, d.VIP
		default:
			who.kind = backupKind
		}
	}
	return who
}

// macOf is line 3 of the .dat of a real server.
func (s *Server) macOf(real netip.Addr) cluster.MAC {
	for _, d := range s.dats().Reals {
		if d.IP == real {
			return d.MAC
		}
	}
	return cluster.MAC{}
}

// dats is the management data that can be read; a faulty .dat is left out.
func (s *Server) dats() mgmtdata.Dir {
	if s.opt.DatDir == "" {
		return mgmtdata.Dir{}
	}
	d, err := mgmtdata.ReadDir(s.opt.DatDir)
	if err != nil {
		s.opt.Log.Error().Err(err).Msg("some management data cannot be read")
	}
	return d
}
