package ipc

import (
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// memConn is one end of a connection within one process. As in a socket, what
// was written waits for its reader, up to a bound.
type memConn struct {
	in, out *stream
}

// memPipe returns the two ends of a connection.
func memPipe() (here, there net.Conn) {
	a, b := newStream(), newStream()
	return memConn{in: a, out: b}, memConn{in: b, out: a}
}

// stream is one direction.
type stream struct {
	mu      sync.Mutex
	news    sync.Cond // of any change below
	data    []byte    // written and not read yet
	ended   bool      // nothing more is written
	left    bool      // nobody reads any more
	readBy  time.Time // the deadline of who reads; zero: none
	writeBy time.Time // and of who writes
}

// mostUnread is how many bytes may wait in one direction.
const mostUnread = 64 << 10

func newStream() *stream {
	s := &stream{}
	s.news.L = &s.mu
	return s
}

// Read implements net.Conn.
func (c memConn) Read(b []byte) (int, error) {
	s := c.in
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.data) == 0 && !s.left {
		if s.ended {
			return 0, io.EOF
		}
		if err := s.wait(s.readBy); err != nil {
			return 0, err
		}
	}
	if s.left {
		return 0, net.ErrClosed
	}
	n := copy(b, s.data)
	s.data = append(s.data[:0], s.data[n:]...)
	s.news.Broadcast()
	return n, nil
}

// Write implements net.Conn.
func (c memConn) Write(b []byte) (n int, err error) {
	s := c.out
	s.mu.Lock()
	defer s.mu.Unlock()
	for n < len(b) {
		room := mostUnread - len(s.data)
		switch {
		case s.left || s.ended:
			return n, io.ErrClosedPipe
		case room == 0:
			if err := s.wait(s.writeBy); err != nil {
				return n, err
			}
		default:
			part := b[n:min(len(b), n+room)]
			s.data, n = append(s.data, part...), n+len(part)
			s.news.Broadcast()
		}
	}
	return n, nil
}

// wait waits for news, or until a deadline. Held: s.mu.
func (s *stream) wait(until time.Time) error {
	if !until.IsZero() {
		left := time.Until(until)
		if left <= 0 {
			return os.ErrDeadlineExceeded
		}
		defer time.AfterFunc(left, func() { s.set(func() {}) }).Stop()
	}
	s.news.Wait()
	return nil
}

func (s *stream) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
	s.news.Broadcast()
}

// Close implements net.Conn.
func (c memConn) Close() error {
	c.in.set(func() { c.in.left = true })
	c.out.set(func() { c.out.ended = true })
	return nil
}

// SetReadDeadline implements net.Conn.
func (c memConn) SetReadDeadline(t time.Time) error {
	c.in.set(func() { c.in.readBy = t })
	return nil
}

// SetWriteDeadline implements net.Conn.
func (c memConn) SetWriteDeadline(t time.Time) error {
	c.out.set(func() { c.out.writeBy = t })
	return nil
}

// SetDeadline implements net.Conn.
func (c memConn) SetDeadline(t time.Time) error {
	_ = c.SetReadDeadline(t)
	return c.SetWriteDeadline(t)
}

// LocalAddr implements net.Conn.
func (c memConn) LocalAddr() net.Addr { return memAddr{} }

// RemoteAddr implements net.Conn.
func (c memConn) RemoteAddr() net.Addr { return memAddr{} }
