package ipc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"pss-msbs/pkg/clock"
	"pss-msbs/pkg/cluster"
)

// DefaultTimeout is how long a call without a deadline of its own waits: the
// longest wait for the lock (10 s) and the longest time somebody keeps it (5 s).
const DefaultTimeout = 15 * time.Second

// retryPause lies between two attempts while a sif is being restarted.
const retryPause = 50 * time.Millisecond

// ErrSessionLost says that a hold ended with its connection: the files are
// unchanged, and the caller undoes its address changes.
var ErrSessionLost = errors.New("the hold was lost with its connection")

// RefusedError is a request that a sif understood and did not do.
type RefusedError struct {
	Verb  Verb
	State cluster.Standing // where it explains the refusal
	Why   string
}

// Error implements error.
func (e *RefusedError) Error() string {
	if e.State == "" {
		return fmt.Sprintf("%s refused: %s", e.Verb, e.Why)
	}
	return fmt.Sprintf("%s refused: %s (%s)", e.Verb, e.Why, e.State)
}

// NotDoneError is a request that a sif could not do for want of the lock or the
// disk. Nothing has changed.
type NotDoneError struct {
	Verb Verb
	Why  string
}

// Error implements error.
func (e *NotDoneError) Error() string { return fmt.Sprintf("sif could not do %s: %s", e.Verb, e.Why) }

// Unchanged reports whether a sif has said that a request changed nothing. Any
// other error may be that of a reply that was lost.
func Unchanged(err error) bool {
	var refused *RefusedError
	var notDone *NotDoneError
	return errors.As(err, &refused) || errors.As(err, &notDone)
}

// DialFunc opens a connection to one sif.
type DialFunc func(ctx context.Context) (net.Conn, error)

// DialUnix dials the sif that listens at the socket path.
func DialUnix(path string) DialFunc {
	return func(ctx context.Context) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", path)
	}
}

// Client calls one sif. Every call has a connection of its own, so a sif that
// was restarted at the same socket is found again by the next attempt. It is
// safe for concurrent use.
type Client struct {
	dial    DialFunc
	program string
	clk     clock.Clock
}

// NewClient returns a client of the sif behind dial; program names the caller
// in its requests.
func NewClient(dial DialFunc, program string, clk clock.Clock) *Client {
	return &Client{dial: dial, program: program, clk: clk}
}

// Call sends req and returns the reply. A refusal is a *RefusedError, with the
// reply beside it; what sif could not do for want of the lock or the disk is
// a *NotDoneError. A request lost with its connection is sent again until the
// deadline of ctx (DefaultTimeout of emulated time where it has none): every
// verb may be repeated.
func (c *Client) Call(ctx context.Context, req Request) (Reply, error) {
	ctx, cancel := c.withDeadline(ctx)
	defer cancel()
	var reply Reply
	conn, err := c.persist(ctx, req.Verb, func(conn *conn) (err error) {
		reply, err = conn.roundTrip(ctx, c.stamp(ctx, req))
		return err
	})
	if err != nil {
		return Reply{}, err
	}
	conn.Close()
	return reply, refusal(req.Verb, reply)
}

// Hold takes the exclusive lock for the target of req (verb Hold) and returns
// a session with the rows of target and backup as they are now. The sif ends
// it after 3 s.
func (c *Client) Hold(ctx context.Context, req Request) (*Session, error) {
	dctx, cancel := c.withDeadline(ctx)
	defer cancel()
	req.Verb = Hold
	var reply Reply
	conn, err := c.persist(dctx, Hold, func(conn *conn) (err error) {
		reply, err = conn.roundTrip(dctx, c.stamp(dctx, req))
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := refusal(Hold, reply); err != nil {
		conn.Close()
		return nil, err
	}
	ends := time.UnixMilli(reply.UntilMS)
	if reply.UntilMS == 0 {
		ends = time.Now().Add(c.clk.Wall(holdTime))
	}
	return &Session{Reply: reply, client: c, conn: conn, ends: ends}, nil
}

// Watch returns a channel that gets a value now and after every change of the
// files, and is closed when ctx ends. It survives a restart of the sif.
// Changes that nobody has read yet are one.
func (c *Client) Watch(ctx context.Context) <-chan struct{} {
	out := make(chan struct{}, 1)
	go func() {
		defer close(out)
		for ctx.Err() == nil {
			c.watchOnce(ctx, out)
			_ = c.clk.Sleep(ctx, 10*retryPause)
		}
	}()
	return out
}

// watchOnce follows one connection to its end.
func (c *Client) watchOnce(ctx context.Context, out chan<- struct{}) {
	conn, err := c.open(ctx)
	if err != nil {
		return
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	if conn.send(Request{Verb: Watch, Program: c.program, PID: os.Getpid()}) != nil {
		return
	}
	for {
		reply, err := conn.receive()
		if err != nil || !reply.OK {
			return
		}
		select {
		case out <- struct{}{}:
		default:
		}
	}
}

// persist opens a connection and does once on it, again and again until once
// succeeds or ctx ends; it returns the open connection.
func (c *Client) persist(ctx context.Context, verb Verb, once func(*conn) error) (*conn, error) {
	for {
		conn, err := c.open(ctx)
		if err == nil {
			if err = once(conn); err == nil {
				return conn, nil
			}
			conn.Close()
		}
		if errors.Is(err, errBadReply) || c.clk.Sleep(ctx, retryPause) != nil {
			return nil, fmt.Errorf("cannot ask sif for %s: %w", verb, err)
		}
	}
}

func (c *Client) open(ctx context.Context) (*conn, error) {
	raw, err := c.dial(ctx)
	if err != nil {
		return nil, err
	}
	return newConn(raw, MaxLine), nil
}

func (c *Client) withDeadline(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return context.WithCancel(ctx)
	}
	return c.clk.Timeout(ctx, DefaultTimeout)
}

// stamp says in req who asks and until when the answer is of use.
func (c *Client) stamp(ctx context.Context, req Request) Request {
	req.Program, req.PID = c.program, os.Getpid()
	if at, ok := ctx.Deadline(); ok {
		req.DeadlineMS = at.UnixMilli()
	}
	return req
}

// Session is a hold: the exclusive lock over the seven files, kept by the sif
// for the life of one connection.
type Session struct {
	Reply Reply // of the hold: Rows, State, VIPs, AllVIPs, Real

	client *Client
	conn   *conn
	ends   time.Time // wall clock: the sif releases it unchanged
}

// holdTime is how long a hold lasts whose reply does not say it.
const holdTime = 3 * time.Second

// Call sends A5 or B4 (which end the hold), or any other verb, within the
// hold. If the connection breaks, A5 and B4 are sent again on a new one with
// the token of the hold: the sif then does them only if the rows are still as
// the hold found them, or answers ok if they were done already. After an error
// that is no refusal it is open whether they were done: look again (A1).
func (s *Session) Call(ctx context.Context, req Request) (Reply, error) {
	ctx, cancel := s.client.withDeadline(ctx)
	defer cancel()
	req.Token = s.Reply.Token
	reply, err := s.conn.roundTrip(ctx, s.client.stamp(ctx, req))
	switch {
	case err == nil:
		return reply, refusal(req.Verb, reply)
	case ctx.Err() != nil:
		return Reply{}, fmt.Errorf("cannot ask sif for %s: %w", req.Verb, ctx.Err())
	case req.Verb == A5 || req.Verb == B4:
		s.conn.Close()
		return s.client.Call(ctx, req)
	}
	return Reply{}, fmt.Errorf("cannot ask sif for %s: %w", req.Verb, ErrSessionLost)
}

// Within is ctx that ends safely before the hold does, however late the reply
// was read: a call that comes true after the hold has expired would change
// addresses under somebody else's lock.
func (s *Session) Within(ctx context.Context, hold time.Duration) (context.Context, context.CancelFunc) {
	return context.WithDeadline(ctx, s.ends.Add(-s.client.clk.Wall(hold/10)))
}

// Whole is ctx that ends with the hold: for what must still be undone under it.
func (s *Session) Whole(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithDeadline(ctx, s.ends)
}

// Over reports whether the hold has expired.
func (s *Session) Over() bool { return !time.Now().Before(s.ends) }

// Release ends the hold with the files unchanged and waits until the sif says so.
func (s *Session) Release(ctx context.Context) error {
	defer s.Close()
	_, err := s.Call(ctx, Request{Verb: Release})
	return err
}

// Close ends the session; a hold that still stands is released unchanged.
func (s *Session) Close() error { return s.conn.Close() }

// refusal is the error that a reply means, if any.
func refusal(verb Verb, reply Reply) error {
	switch {
	case reply.OK:
		return nil
	case reply.Retry:
		return &NotDoneError{Verb: verb, Why: reply.Error}
	}
	return &RefusedError{Verb: verb, State: reply.State, Why: reply.Error}
}

var errBadReply = errors.New("the reply is no JSON object")

// conn is one connection, lines in and out.
type conn struct {
	net.Conn
	lines *lineReader
}

// newConn takes lines of at most max bytes from raw.
func newConn(raw net.Conn, max int) *conn { return &conn{Conn: raw, lines: newLineReader(raw, max)} }

func (c *conn) roundTrip(ctx context.Context, req Request) (Reply, error) {
	defer context.AfterFunc(ctx, func() { c.Close() })()
	err := c.send(req)
	if err != nil {
		return Reply{}, errors.Join(err, ctx.Err())
	}
	reply, err := c.receive()
	if err != nil && ctx.Err() != nil {
		return Reply{}, ctx.Err()
	}
	return reply, err
}

func (c *conn) send(v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = c.Write(append(b, '\n'))
	return err
}

func (c *conn) receive() (Reply, error) {
	line, err := c.lines.next()
	if err != nil {
		return Reply{}, err
	}
	var reply Reply
	if err := json.Unmarshal(line, &reply); err != nil {
		return Reply{}, fmt.Errorf("%w: %v", errBadReply, err)
	}
	return reply, nil
}
