package virt

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// openLimit is how long an attempt to connect may last before another one is
// made beside it.
const openLimit = 5 * time.Second

// What became of a call that has no result.
var (
	errLost   = errors.New("the connection was lost")
	errSlow   = errors.New("no result in time")
	errRefuse = errors.New("no connection")
	errClosed = errors.New("the driver is closed")
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

// maxIdle is how many connections that nobody uses are kept.
const maxIdle = 4

// endpoint keeps connections to one hypervisor for any number of callers. A
// connection is used by one at a time: libvirt before 10.4 crashes when one
// call is woken up while another thread waits on the same connection, which
// concurrent calls do, and keepalive during a call (CVE-2024-4418).
type endpoint[C any] struct {
	conn  connector[C]
	mu    sync.Mutex
	idle  []*session[C]
	busy  map[*session[C]]bool
	tries *opening
	ended bool
	calls sync.WaitGroup // calls and openings, left behind or not
}

// session is a connection, used by one caller or idle.
type session[C any] struct {
	c     C
	watch watcher
	bad   bool          // to be closed when its caller is done with it; guarded by the endpoint's mu
	lost  chan struct{} // closed when the connection is known to be gone
	once  sync.Once
}

// opening is an attempt to connect.
type opening struct {
	since time.Time
	done  chan struct{}
	err   error
}

// begin makes a call unless its caller has gone: who gave it up reckons with
// what was begun, and with nothing that is begun later.
func begin(ctx context.Context, call func() error) error {
	if err := over(ctx); err != nil {
		return err
	}
	return call()
}

// over is why nobody waits any more, or nil. It looks at the clock, too: the timer
// of a program that was stopped is late.
func over(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if end, ok := ctx.Deadline(); ok && !time.Now().Before(end) {
		return context.DeadlineExceeded
	}
	return nil
}

// do runs f with a connection and returns f's error; errRefuse where f was not
// begun; errLost or, when ctx's deadline passes first, errSlow. In the latter
// cases f may still be running, as where ctx is cancelled: then the connection is
// not to blame. Each call of f goes through begin.
func (e *endpoint[C]) do(ctx context.Context, f func(C) error) error {
	s, err := e.acquire(ctx)
	if err != nil {
		return err
	}
	if err := over(ctx); err != nil { // while the connection was opened
		e.calls.Go(func() { e.release(s) }) // closing may hang
		return fmt.Errorf("%w: %w", errRefuse, err)
	}
	done := make(chan error, 1)
	e.calls.Go(func() {
		err := f(s.c)
		if err != nil && !e.conn.alive(s.c) {
			err = errLost
			e.spoil(s)
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
			e.spoil(s)
		}
	}
	if errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("%w: %w", errSlow, err)
	}
	return err
}

// stay keeps a connection until it is lost or ctx ends, and returns why. limit
// bounds the time to get one.
func (e *endpoint[C]) stay(ctx context.Context, limit time.Duration) error {
	short, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	s, err := e.acquire(short)
	if err != nil {
		return err
	}
	select {
	case <-s.lost:
		err = errLost
	case <-ctx.Done():
		err = ctx.Err()
	}
	e.spoil(s)
	e.calls.Go(func() { e.release(s) }) // closing may hang
	return err
}

// acquire returns a session for the caller alone, opening one if need be.
func (e *endpoint[C]) acquire(ctx context.Context) (*session[C], error) {
	for {
		e.mu.Lock()
		if e.ended {
			e.mu.Unlock()
			return nil, fmt.Errorf("%w: %w", errRefuse, errClosed)
		}
		if n := len(e.idle); n > 0 {
			s := e.idle[n-1]
			e.idle = e.idle[:n-1]
			e.busy[s] = true
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
	if e.busy == nil {
		e.busy = map[*session[C]]bool{}
	}
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
	s := &session[C]{c: c, lost: make(chan struct{})}
	w, err := e.conn.watch(c, func() { e.gone(s) })
	if err != nil {
		e.conn.close(c)
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	s.watch = w
	return s, nil
}

func (e *endpoint[C]) opened(o *opening, s *session[C], err error) {
	e.mu.Lock()
	o.err = err
	wanted := s != nil && !e.ended && !s.bad && len(e.idle) < maxIdle
	if e.tries == o {
		e.tries = nil
	}
	if wanted {
		e.idle = append(e.idle, s)
	}
	close(o.done)
	e.mu.Unlock()
	if s != nil && !wanted {
		e.shut(s)
	}
}

// spoil makes sure that nobody uses s after its caller.
func (e *endpoint[C]) spoil(s *session[C]) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.markBad(s)
}

// markBad is spoil for a caller that holds mu.
func (e *endpoint[C]) markBad(s *session[C]) {
	if !s.bad && s.watch != nil { // else it is lost while it is being opened
		s.watch.mute()
	}
	s.bad = true
}

// gone tells that the connection of s is lost: a call on it ends now.
func (e *endpoint[C]) gone(s *session[C]) {
	s.once.Do(func() { close(s.lost) })
	e.mu.Lock()
	defer e.mu.Unlock()
	e.markBad(s)
	e.dropIdle(func(i *session[C]) bool { return i == s })
}

// dropIdle closes the idle sessions that which picks; the caller holds mu.
func (e *endpoint[C]) dropIdle(which func(*session[C]) bool) {
	e.idle = slices.DeleteFunc(e.idle, func(s *session[C]) bool {
		if !which(s) {
			return false
		}
		e.markBad(s)
		e.calls.Go(func() { e.shut(s) }) // closing may hang
		return true
	})
}

// loseAll ends all calls: the other side was found to be gone.
func (e *endpoint[C]) loseAll() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for s := range e.busy {
		s.once.Do(func() { close(s.lost) })
		e.markBad(s)
	}
	e.dropIdle(func(*session[C]) bool { return true })
}

// release is for a caller that is done with s.
func (e *endpoint[C]) release(s *session[C]) {
	e.mu.Lock()
	delete(e.busy, s)
	keep := !s.bad && !e.ended && len(e.idle) < maxIdle
	if keep {
		e.idle = append(e.idle, s)
	}
	e.mu.Unlock()
	if !keep {
		e.shut(s)
	}
}

func (e *endpoint[C]) shut(s *session[C]) {
	s.watch.end()
	e.conn.close(s.c)
}

// end closes all connections, and waits a while for calls left behind.
func (e *endpoint[C]) end(wait time.Duration) {
	e.mu.Lock()
	e.ended = true
	e.dropIdle(func(*session[C]) bool { return true })
	e.mu.Unlock()
	done := make(chan struct{})
	go func() { e.calls.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(wait):
	}
}
