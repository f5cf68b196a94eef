package remote

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"net"
	"sync"
	"time"

	"pss-msbs/pkg/sim"
)

// Server serves a Model to other processes: JSON lines over a stream socket,
// one request at a time on a connection, many connections. A connection that
// closes cancels its request.
type Server struct {
	model *sim.Model
}

// NewServer serves m.
func NewServer(m *sim.Model) *Server { return &Server{model: m} }

// Serve answers on l until ctx ends, then closes l and waits for its connections.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	for {
		c, err := l.Accept()
		switch {
		case err == nil:
			wg.Go(func() { s.converse(ctx, c) })
		case ctx.Err() != nil || errors.Is(err, net.ErrClosed):
			return nil
		default:
			return err
		}
	}
}

// converse answers the requests of one connection in turn.
func (s *Server) converse(ctx context.Context, c net.Conn) {
	ctx, cancel := context.WithCancel(ctx)
	lines := make(chan []byte)
	var wg sync.WaitGroup
	wg.Go(func() {
		defer cancel()
		readLines(ctx, c, lines)
	})
	defer wg.Wait()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	defer c.Close()
	defer cancel()
	for {
		select {
		case <-ctx.Done():
			return
		case line := <-lines:
			if s.answer(ctx, c, line) != nil {
				return
			}
		}
	}
}

// maxLine bounds a line of a connection.
const maxLine = 16 << 20

func readLines(ctx context.Context, c net.Conn, out chan<- []byte) {
	sc := bufio.NewScanner(c)
	sc.Buffer(nil, maxLine)
	for sc.Scan() {
		select {
		case out <- append([]byte(nil), sc.Bytes()...):
		case <-ctx.Done():
			return
		}
	}
}

func (s *Server) answer(ctx context.Context, c net.Conn, line []byte) error {
	var q request
	if err := json.Unmarshal(line, &q); err != nil {
		return errors.Join(err, send(c, reply{Error: "cannot read the request: " + err.Error()}))
	}
	if q.LeaveUS > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(q.LeaveUS)*time.Microsecond)
		defer cancel()
	}
	if q.Method == "Events" {
		return s.stream(ctx, c, q)
	}
	r, err := do(ctx, s.model, q)
	r.fail(err)
	return send(c, r)
}

// stream sends events until the connection ends; its first line says that it began.
func (s *Server) stream(ctx context.Context, c net.Conn, q request) error {
	events, err := s.model.Events(ctx, q.Real)
	var r reply
	r.fail(err)
	if err := send(c, r); err != nil || r.Error != "" {
		return err
	}
	for e := range events {
		if err := send(c, reply{Event: &e}); err != nil {
			return err
		}
	}
	return ctx.Err()
}

func send(c net.Conn, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = c.Write(append(b, '\n'))
	return err
}
