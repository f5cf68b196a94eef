package virt

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// openLimit is how long an attempt to connect may last before another one is
// made beside it.
const openLimit = 5 * time.Second

// What became of a call that has no result.
var (
	errLost    = errors.New("the connection was lost")
	errSlow    = errors.New("no result in time")
	errRefuse  = errors.New("no connection")
	errDropped = errors.New("the connection was given up")
	errClosed  = errors.New("the driver is closed")
)

// connector opens connections of type C. All of its functions may block for ever.
type connector[C any] struct {
	open  func() (C, error)
	watch func(c C, lost func()) (watcher, error) // has lost called when c is found to be gone
	close func(C)
	alive func(C) bool
}

// watcher hears over a connection.
type watcher interface {
	mute() // what is heard from now on is old news; does not block
	end()
}

// endpoint keeps one connection to one hypervisor for any number of callers.
type endpoint[C any] struct {
	conn  connector[C]
	mu    sync.Mutex
	live  *session[C]
	tries *opening
	ended bool
	calls sync.WaitGroup // calls and openings, left behind or not
}

// session is a connection with the calls that use it. It is closed when the
// last of them has returned.
type session[C any] struct {
	c       C
	watch   watcher
	refs    int           // calls under way, and one while it is the endpoint's live session
	lost    chan struct{} // closed when the connection is known to be gone
	dropped chan struct{} // closed when no further call uses it
	once    sync.Once
}

// opening is an attempt to connect.
type opening struct {
	since time.Time
	done  chan struct{}
	err   error
}

// do runs f with a connection and returns f's error; or errRefuse, errLost or,
// when ctx's deadline passes first, errSlow. In the latter cases f may still be
// running, as where ctx is cancelled: then the connection is not to blame.
func (e *endpoint[C]) do(ctx context.Context, f func(C) error) error {
	s, err := e.acquire(ctx)
	if err != nil {
		return err
	}
	done := make(chan error, 1)
	e.calls.Go(func() {
		err := f(s.c)
		if err != nil && !e.conn.alive(s.c) {
			err = errLost
		}
		e.release(s)
		done <- err
	})
	select {
	case err = <-done:
	case <-s.lost:
		err = errLost
	case <-ctx.Done():
		if err = ctx.Err(); errors.Is(err, context.DeadlineExceeded) {
			err = fmt.Errorf("%w: %w", errSlow, err)
		}
	}
	if errors.Is(err, errLost) || errors.Is(err, errSlow) {
		e.drop(s)
	}
	return err
}

// stay keeps a connection until it is lost or dropped or ctx ends, and returns
// why. limit bounds the time to get one.
func (e *endpoint[C]) stay(ctx context.Context, limit time.Duration) error {
	short, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	s, err := e.acquire(short)
	if err != nil {
		return err
	}
	// Closing may hang, when it is the last to use s.
	defer func() { e.calls.Go(func() { e.release(s) }) }()
	select {
	case <-s.lost:
		return errLost
	case <-s.dropped:
		return errDropped
	case <-ctx.Done():
		return ctx.Err()
	}
}

// acquire returns the live session, opening one if need be; the caller owns one reference.
func (e *endpoint[C]) acquire(ctx context.Context) (*session[C], error) {
	for {
		e.mu.Lock()
		if e.ended {
			e.mu.Unlock()
			return nil, fmt.Errorf("%w: %w", errRefuse, errClosed)
		}
		if s := e.live; s != nil {
			s.refs++
			e.mu.Unlock()
			return s, nil
		}
		o := e.attempt()
		e.mu.Unlock()
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: %w", errRefuse, ctx.Err())
		case <-o.done:
			if o.err != nil {
				return nil, fmt.Errorf("%w: %v", errRefuse, o.err)
			}
		}
	}
}

// attempt is the opening under way, or a new one; the caller holds mu.
func (e *endpoint[C]) attempt() *opening {
	if e.tries != nil && time.Since(e.tries.since) < openLimit {
		return e.tries
	}
	o := &opening{since: time.Now(), done: make(chan struct{})}
	e.tries = o
	e.calls.Go(func() {
		s, err := e.connect()
		e.opened(o, s, err)
	})
	return o
}

func (e *endpoint[C]) connect() (*session[C], error) {
	c, err := e.conn.open()
	if err != nil {
		return nil, err
	}
	s := &session[C]{c: c, refs: 1, lost: make(chan struct{}), dropped: make(chan struct{})}
	if s.watch, err = e.conn.watch(c, func() { e.gone(s) }); err != nil {
		e.conn.close(c)
		return nil, err
	}
	return s, nil
}

func (e *endpoint[C]) opened(o *opening, s *session[C], err error) {
	e.mu.Lock()
	o.err = err
	if e.tries == o {
		e.tries = nil
	}
	wanted := s != nil && e.live == nil && !e.ended
	if wanted {
		e.live = s
	}
	close(o.done)
	e.mu.Unlock()
	if s != nil && !wanted {
		e.shut(s)
	}
}

// drop makes sure that no further call uses s.
func (e *endpoint[C]) drop(s *session[C]) {
	e.mu.Lock()
	was := e.live == s
	if was {
		e.live = nil
		s.watch.mute()
		close(s.dropped)
	}
	e.mu.Unlock()
	if was {
		// Closing may hang as well, when it is the last to use s.
		e.calls.Go(func() { e.release(s) })
	}
}

// gone tells that the connection of s is lost: all its calls end now.
func (e *endpoint[C]) gone(s *session[C]) {
	s.once.Do(func() { close(s.lost) })
	e.drop(s)
}

func (e *endpoint[C]) release(s *session[C]) {
	e.mu.Lock()
	s.refs--
	last := s.refs == 0
	e.mu.Unlock()
	if last {
		e.shut(s)
	}
}

func (e *endpoint[C]) shut(s *session[C]) {
	s.watch.end()
	e.conn.close(s.c)
}

// end closes the connection, and waits a while for calls left behind.
func (e *endpoint[C]) end(wait time.Duration) {
	e.mu.Lock()
	e.ended = true
	s := e.live
	e.mu.Unlock()
	if s != nil {
		e.drop(s)
	}
	done := make(chan struct{})
	go func() { e.calls.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(wait):
	}
}
