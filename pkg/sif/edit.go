package sif

import (
	"net/netip"
	"path/filepath"
	"reflect"
	"sync"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/edits"
	"pss-msbs/pkg/ipc"
	"pss-msbs/pkg/mgmtdata"
	"pss-msbs/pkg/sif/verbs"
)

// change makes the edit of req in t, or refuses; it runs under the exclusive
// lock. held says that req came within a hold.
func (s *Server) change(t *cluster.Tables, req ipc.Request, held bool) (ipc.Reply, error) {
	before := t.Clone()
	if err := s.facts().Apply(t, req); err != nil {
		return ipc.Reply{}, err
	}
	if !held && req.Token != "" && !reflect.DeepEqual(before, t.Clone()) && !s.unchanged(before, req) {
		return ipc.Reply{}, edits.Refuse("", "the hold was lost and the rows changed since")
	}
	if err := s.mark(before, *t, req); err != nil {
		return ipc.Reply{}, err
	}
	return s.facts().Report(*t, req), nil
}

// mark keeps the set of servers whose VIPs are pss's in step with the rows. It
// runs before the commit: a crash between them leaves a set that the repeated
// verb mends.
func (s *Server) mark(before, after cluster.Tables, req ipc.Request) error {
	add, remove := verbs.Marks(before, after, req)
	if add != "" {
		return s.opt.Failed.Add(add)
	}
	for _, host := range remove {
		if err := s.opt.Failed.Remove(host); err != nil {
			return err
		}
	}
	return nil
}

// unchanged reports whether the rows are still as the hold of req's token showed them.
func (s *Server) unchanged(before cluster.Tables, req ipc.Request) bool {
	f := s.facts()
	if req.Verb == ipc.A5 {
		return f.Token(before, req.Host, req.Backup.Name()) == req.Token
	}
	for _, r := range req.Servers {
		if f.Token(before, r.Target.Host, r.Backup.Name()) == req.Token {
			return true
		}
	}
	return false
}

// facts are what edits and looks depend on beside the files; management data
// are read when first asked for.
func (s *Server) facts() verbs.Facts {
	dats := sync.OnceValue(s.dats)
	return verbs.Facts{
		Management: s.opt.Management,
		Failed:     s.opt.Failed.Has,
		Moving:     s.opt.Moving.Get,
		Owned:      s.owned,
		Server: func(host string) (mgmtdata.Server, bool) {
			if s.opt.Dats == nil {
				if d, err := mgmtdata.ReadServer(filepath.Join(s.opt.DatDir, host+".dat")); err == nil && d.Host == host {
					return d, true // where it should be; an edit under the lock reads one file, not all
				}
			}
			return dats().Server(host)
		},
		Real: func(ip netip.Addr) (mgmtdata.Real, bool) { return dats().Real(ip) },
	}
}

// dats is the management data that can be read; a faulty .dat is left out.
func (s *Server) dats() mgmtdata.Dir {
	switch {
	case s.opt.Dats != nil:
		return *s.opt.Dats
	case s.opt.DatDir == "":
		return mgmtdata.Dir{}
	}
	d, err := mgmtdata.ReadDir(s.opt.DatDir)
	if err != nil {
		s.opt.Log.Error().Err(err).Msg("some management data cannot be read")
	}
	return d
}
