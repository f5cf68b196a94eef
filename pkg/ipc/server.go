package ipc

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
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
			wg.Go(func() { s.serveConn(ctx, newConn(raw)) })
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
		_ = c.send(Reply{Error: err.Error()})
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	h := s.Open()
	defer h.Close()
	lines := readLines(ctx, cancel, c)
	for in := range lines {
		if in.err != nil {
			_ = c.send(Reply{Error: in.err.Error()})
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
			line, err := c.lines.next()
			if err != nil && !errors.Is(err, errLineTooLong) {
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
		_ = c.send(Reply{Error: err.Error()})
		return
	}
	rctx, cancel := s.deadline(ctx, req)
	defer cancel()
	if rctx.Err() != nil {
		_ = c.send(Reply{Error: "the deadline of the request passed while it waited", Retry: true})
		return
	}
	h.Handle(rctx, req, func(r Reply) error { return c.send(r) })
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

// parseRequest reads one line: exactly one JSON object with a known verb and a
// name that can be one.
func parseRequest(line []byte) (Request, error) {
	var req Request
	dec := json.NewDecoder(bytes.NewReader(line))
	if err := dec.Decode(&req); err != nil {
		return Request{}, fmt.Errorf("cannot read the request: %v", err)
	}
	if dec.More() {
		return Request{}, errors.New("cannot read the request: more than one object in a line")
	}
	return req, req.Validate()
}

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
