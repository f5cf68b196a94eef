package ipc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"pss-msbs/pkg/clock"
)

// Handler answers the requests of one connection, one after the other.
type Handler interface {
	// Handle answers req by calling reply once (Watch: any number of times).
	// ctx ends at the request's deadline or when the connection closes.
	Handle(ctx context.Context, req Request, reply func(Reply) error)
	// Close is called once, after the last Handle of the connection.
	Close()
}

// Endpoint accepts connections and frames their lines.
type Endpoint struct {
	// Open returns the handler of a new connection.
	Open func() Handler
	// Clock measures the deadline of a request that brings none.
	Clock clock.Clock
	// Allow says whether a peer on a Unix socket may ask; nil: only the uid
	// of this process, and root.
	Allow func(Peer) bool
}

// Serve serves l until ctx ends or l is closed, then closes l and every
// connection and waits for their handlers.
func (s *Endpoint) Serve(ctx context.Context, l net.Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	defer context.AfterFunc(ctx, func() { l.Close() })()
	for {
		raw, err := l.Accept()
		switch {
		case err == nil:
			wg.Go(func() { s.serveConn(ctx, newConn(raw, MaxRequest)) })
		case ctx.Err() != nil || errors.Is(err, net.ErrClosed):
			return nil
		case s.Clock.Sleep(ctx, retryPause) != nil: // e.g. out of descriptors: accept again soon
			return nil
		}
	}
}

// serveConn answers one connection until it closes or says something that
// cannot be followed any further.
func (s *Endpoint) serveConn(ctx context.Context, c *conn) {
	defer c.Close()
	if err := s.admit(c.Conn); err != nil {
		_ = c.answer(Reply{Error: err.Error()})
		return
	}
	defer context.AfterFunc(ctx, func() { c.Close() })()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	h := s.Open()
	defer h.Close()
	lines := readLines(ctx, cancel, c)
	for in := range lines {
		if in.err != nil {
			_ = c.answer(Reply{Error: in.err.Error()})
			return
		}
		s.answer(ctx, c, h, in.line)
	}
}

type lineOrError struct {
	line []byte
	err  error
}

// readLines reads ahead of the handler, so that the end of the connection
// ends, through cancel, also a request that waits for the lock. The channel
// is closed when nothing more comes.
func readLines(ctx context.Context, cancel context.CancelFunc, c *conn) <-chan lineOrError {
	out := make(chan lineOrError)
	go func() {
		defer close(out)
		for {
			line, err := c.request()
			if err != nil && !errors.Is(err, errLineTooLong) && !errors.Is(err, errHalfLine) {
				cancel()
				return
			}
			select {
			case out <- lineOrError{line, err}:
			case <-ctx.Done():
				return
			}
			if err != nil {
				return
			}
		}
	}()
	return out
}

// answer lets h answer one line. A line that is no request, and a request
// whose deadline passed while it waited, are answered here.
func (s *Endpoint) answer(ctx context.Context, c *conn, h Handler, line []byte) {
	req, err := parseRequest(line)
	if err != nil {
		_ = c.answer(Reply{Error: err.Error()})
		return
	}
	rctx, cancel := s.deadline(ctx, req)
	defer cancel()
	if rctx.Err() != nil {
		_ = c.answer(Reply{Error: "the deadline of the request passed while it waited", Retry: true})
		return
	}
	h.Handle(rctx, req, c.answer)
}

func (s *Endpoint) deadline(ctx context.Context, req Request) (context.Context, context.CancelFunc) {
	switch {
	case req.Verb == Watch:
		return context.WithCancel(ctx)
	case req.DeadlineMS != 0:
		return context.WithDeadline(ctx, time.UnixMilli(req.DeadlineMS))
	}
	return s.Clock.Timeout(ctx, DefaultTimeout)
}

// errHalfLine is a request that began and does not end.
var errHalfLine = fmt.Errorf("cannot read the request: it is not whole after %v", DefaultTimeout)

// request reads the next line. It may be long in coming, but once it has begun
// it must be whole within DefaultTimeout of the wall clock: the peer is a
// process of this machine.
func (c *conn) request() ([]byte, error) {
	whole, err := c.lines.begun()
	if err != nil {
		return nil, err
	}
	if whole {
		return c.lines.next()
	}
	if err := c.SetReadDeadline(time.Now().Add(DefaultTimeout)); err != nil {
		return nil, err
	}
	line, err := c.lines.next()
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil, errHalfLine
	}
	return line, errors.Join(err, c.SetReadDeadline(time.Time{}))
}

// answer sends a reply. A peer that does not read it within DefaultTimeout is
// dropped.
func (c *conn) answer(r Reply) error {
	err := c.SetWriteDeadline(time.Now().Add(DefaultTimeout))
	if err == nil {
		err = c.send(r)
	}
	if err = errors.Join(err, c.SetWriteDeadline(time.Time{})); err != nil {
		c.Close()
	}
	return err
}

// parseRequest reads one line: exactly one JSON object with a known verb and a
// name that can be one. Its error does not repeat a long line.
func parseRequest(line []byte) (Request, error) {
	var req Request
	err := json.Unmarshal(line, &req)
	var bad *json.SyntaxError
	switch {
	case errors.As(err, &bad) && json.Valid(line[:max(0, bad.Offset-1)]):
		err = errors.New("cannot read the request: more than one object in a line")
	case err != nil:
		err = fmt.Errorf("cannot read the request: %v", err)
	default:
		err = req.Validate()
	}
	if err != nil && len(err.Error()) > maxError {
		err = errors.New(strings.ToValidUTF8(err.Error()[:maxError-3], "") + "...")
	}
	return req, err
}

// maxError bounds what is said of a bad request, in bytes.
const maxError = 300

// admit refuses a peer on a Unix socket that is neither this user nor root.
func (s *Endpoint) admit(c net.Conn) error {
	u, ok := c.(*net.UnixConn)
	if !ok {
		return nil
	}
	peer, err := peerOf(u)
	if err != nil {
		return err
	}
	allow := s.Allow
	if allow == nil {
		allow = func(p Peer) bool { return p.UID == os.Getuid() || p.UID == 0 }
	}
	if !allow(peer) {
		return fmt.Errorf("uid %d may not ask this sif", peer.UID)
	}
	return nil
}
