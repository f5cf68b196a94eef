// Package sif is the system interface (paper, section 3.3): the one companion
// through which a dbss or a dsrs reads and edits the seven files, so that
// those stay simple (Fig. 10(a)), and which runs the dbss of a spare for pss
// (Fig. 10(b)).
//
// Every verb of SPEC 7 is a pure edit of, or look at, cluster.Tables (package
// verbs) done within one transaction of conffile; an edit re-checks the files
// under the lock and answers ok where it was done before.
package sif

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"pss-msbs/pkg/clock"
	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/conffile"
	"pss-msbs/pkg/ipc"
	"pss-msbs/pkg/logonce"
	"pss-msbs/pkg/mgmtdata"
)

// DefaultHold is the longest time a hold keeps the lock (settings: lock.hold).
const DefaultHold = 3 * time.Second

// Options say what a sif works on.
type Options struct {
	Files      *conffile.Dir
	DatDir     string        // where the .dat files lie; empty: unknown
	Dats       *mgmtdata.Dir // what they say, where nobody changes them; nil: they are read for each request
	Management netip.Addr    // stands as the real server of backups
	Failed     ipc.Failed    // the servers whose VIPs are pss's
	Moving     ipc.Moves     // the VIPs that pss is moving
	Clock      clock.Clock
	Hold       time.Duration // 0: DefaultHold
	Log        zerolog.Logger

	// Monitored reports whether somebody holds the monitor lock of a server;
	// nil: nobody does.
	Monitored func(host string) (bool, error)
	// Spare runs the dbss of a spare; nil for any other sif.
	Spare *Spare
	// Allow overrides who may ask on a Unix socket (ipc.Endpoint).
	Allow func(ipc.Peer) bool
}

// Server is one sif.
type Server struct {
	opt Options

	mu    sync.Mutex
	noted bool // the files cannot be used, and the log says so

	failed logonce.Book // by what was asked: why it could not be done
}

// New returns a sif; Serve runs it.
func New(opt Options) *Server {
	if opt.Hold == 0 {
		opt.Hold = DefaultHold
	}
	return &Server{opt: opt}
}

// Serve answers on l until ctx ends or, for a spare's sif, its work is done:
// spare-stop, or the clean end of the dbss. It closes l.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	defer wg.Wait()
	if s.opt.Spare != nil {
		wg.Go(func() {
			defer cancel()
			s.opt.Spare.run(ctx)
		})
	}
	wg.Go(func() { s.renew(ctx) })
	e := ipc.Endpoint{
		Open:  func() ipc.Handler { return &session{s: s, mu: make(turn, 1)} },
		Clock: s.opt.Clock,
		Allow: s.opt.Allow,
	}
	err := e.Serve(ctx, l)
	cancel()
	return err
}

// view is what the files say. Files that cannot be used are seen as their last
// good copies: what dbss and dsrs watch over goes on. The alarm is pss's, which
// stops its shifts; a dozen sifs only note it.
func (s *Server) view(ctx context.Context) (cluster.Tables, error) {
	t, rejected, err := s.opt.Files.ViewRescue(ctx)
	if err != nil {
		return cluster.Tables{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	bad := len(rejected) > 0
	switch {
	case bad && !s.noted:
		for _, r := range rejected {
			s.opt.Log.Warn().Str("file", r.File).Strs("faults", faultLines(r.Faults)).
				Msg("a file cannot be used, answering from its last good copy")
		}
	case !bad && s.noted:
		s.opt.Log.Info().Msg("the files can be used again")
	}
	s.noted = bad
	return t, nil
}

// alarm says which files a rescue replaced by their last good copies.
func (s *Server) alarm(rejected []conffile.Rejected) {
	for _, r := range rejected {
		if r.Kept == "" {
			continue // nothing was written
		}
		s.opt.Log.Error().Str("file", r.File).Str("kept", r.Kept).Strs("faults", faultLines(r.Faults)).
			Msg("alarm: a file could not be used, its last good copy was written in its place")
	}
}

func faultLines(faults conffile.Faults) []string {
	lines := make([]string, len(faults))
	for i, f := range faults {
		lines[i] = f.String()
	}
	return lines
}

// renew brings the last good copies up to date with hand edits; programs' own
// transactions do that themselves.
func (s *Server) renew(ctx context.Context) {
	changes := s.opt.Files.Watch(ctx)
	for ok := true; ok; _, ok = <-changes {
		if !s.opt.Files.Copied() { // it spares it the lock at every change
			_ = s.opt.Files.Renew(ctx) // files that cannot be used stay out of the copies; the next look alarms
		}
	}
}

// owned reports whether somebody monitors host. Where that cannot be found out
// the server counts as owned and is left alone.
func (s *Server) owned(host string) bool {
	if s.opt.Monitored == nil {
		return false
	}
	held, err := s.opt.Monitored(host)
	if err != nil {
		s.opt.Log.Error().Err(err).Str("host", host).Msg("cannot look for a monitor")
		return true
	}
	return held
}
