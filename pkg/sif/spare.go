package sif

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"pss-msbs/pkg/clock"
	"pss-msbs/pkg/mgmtdata"
)

// Monitor is a running dbss.
type Monitor interface {
	Done() <-chan struct{} // closed when it has ended
	Err() error            // after Done; nil if it ended as it meant to
	// Stop ends it and waits until it has ended.
	Stop(ctx context.Context) error
}

const (
	// restartPause is how long a dbss that died stays down.
	restartPause = time.Second
	// restartDeadline bounds one attempt to start it again.
	restartDeadline = 30 * time.Second
)

// Spare runs the dbss of a spare for pss (Fig. 10(b)), or of a serving backup
// whose dbss lost its own launcher. The dbss outlives the sif, which another
// one then follows with Adopted set.
type Spare struct {
	// Start starts dbss and returns once it monitors.
	Start func(ctx context.Context, dat mgmtdata.Server) (Monitor, error)
	// Adopted is the dbss that runs already, or nil; Dat are its data.
	Adopted Monitor
	Dat     *mgmtdata.Server
	Clock   clock.Clock
	Log     zerolog.Logger

	once     sync.Once
	ending   sync.Once
	requests chan spareRequest
	finished chan struct{}
}

type spareRequest struct {
	ctx  context.Context
	dat  *mgmtdata.Server // nil: stop
	done chan error
}

func (s *Spare) init() {
	s.once.Do(func() {
		s.requests = make(chan spareRequest)
		s.finished = make(chan struct{})
	})
}

// start asks run for the dbss of dat.
func (s *Spare) start(ctx context.Context, dat mgmtdata.Server) error {
	return s.ask(spareRequest{ctx: ctx, dat: &dat, done: make(chan error, 1)})
}

// stop asks run to end the dbss.
func (s *Spare) stop(ctx context.Context) error {
	return s.ask(spareRequest{ctx: ctx, done: make(chan error, 1)})
}

func (s *Spare) ask(req spareRequest) error {
	s.init()
	select {
	case s.requests <- req:
	case <-s.finished:
		return errors.New("this sif is about to end")
	case <-req.ctx.Done():
		return fmt.Errorf("cannot reach the spare's dbss: %w", req.ctx.Err())
	}
	return <-req.done // run answers every request that it took, within its ctx
}

// finish ends run, and with it the sif.
func (s *Spare) finish() {
	s.init()
	s.ending.Do(func() { close(s.finished) })
}

// keeper is what run knows.
type keeper struct {
	*Spare
	mon   Monitor          // the dbss that runs
	dat   *mgmtdata.Server // its data
	again <-chan time.Time // set while a dbss that died is to be started again
}

// run keeps the dbss running until ctx ends (the dbss stays), finish is called,
// or the dbss ends as it meant to.
func (s *Spare) run(ctx context.Context) {
	s.init()
	k := &keeper{Spare: s, mon: s.Adopted, dat: s.Dat}
	for {
		var ended <-chan struct{}
		if k.mon != nil {
			ended = k.mon.Done()
		}
		select {
		case <-ctx.Done():
			return
		case <-s.finished:
			return
		case req := <-s.requests:
			req.done <- k.serve(req)
		case <-ended:
			if k.ended() {
				return
			}
		case <-k.again:
			k.restart(ctx)
		}
	}
}

// serve does one request.
func (k *keeper) serve(req spareRequest) error {
	if req.dat != nil && k.mon != nil && reflect.DeepEqual(k.dat, req.dat) {
		return nil // it runs already
	}
	if k.mon != nil {
		if err := k.mon.Stop(req.ctx); err != nil {
			return err
		}
	}
	k.mon, k.again, k.dat = nil, nil, req.dat
	if req.dat == nil {
		return nil
	}
	mon, err := k.Start(req.ctx, *req.dat)
	if err != nil {
		return err
	}
	k.mon = mon
	return nil
}

// ended looks at how the dbss ended; it reports whether
// this sif has nothing left to do.
func (k *keeper) ended() bool {
	err := k.mon.Err()
	k.mon = nil
	if err == nil {
		k.Log.Info().Msg("dbss ended, so does its sif")
		return true
	}
	if k.dat == nil {
		k.Log.Error().Err(err).Msg("dbss died, and its data are not known")
		return true
	}
	k.Log.Error().Err(err).Msg("dbss died, starting it again")
	k.again = k.Clock.After(restartPause)
	return false
}

// restart starts the dbss again, and plans the next attempt if that fails.
func (k *keeper) restart(ctx context.Context) {
	k.again = nil
	ctx, cancel := context.WithTimeout(ctx, restartDeadline)
	defer cancel()
	mon, err := k.Start(ctx, *k.dat)
	if err != nil {
		k.Log.Error().Err(err).Msg("dbss does not start, starting it again")
		k.again = k.Clock.After(restartPause)
		return
	}
	k.mon = mon
}
