package daemon

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// controlTimeout bounds what a peer of a control socket may take to ask.
const controlTimeout = 5 * time.Second

type controlRequest struct {
	Verb string `json:"verb"`
}

type controlReply struct {
	OK    bool   `json:"ok"`
	PID   int    `json:"pid"`
	Error string `json:"error,omitempty"`
}

// Control is the control socket of a running program.
type Control struct {
	l    net.Listener
	wg   sync.WaitGroup
	stop context.CancelFunc

	mu    sync.Mutex
	conns map[net.Conn]bool // who asks, and who has asked for the end: its connection stays open until then
}

// ServeControl opens the control socket of a program instance. The request
// {"verb":"stop"} calls stop; its connection stays open until Close, which
// tells the asker that the program has ended.
func (e Env) ServeControl(program, name string, stop context.CancelFunc) (*Control, error) {
	l, err := e.Listen(e.Dirs.ControlSocket(program, name))
	if err != nil {
		return nil, err
	}
	c := &Control{l: l, stop: stop, conns: map[net.Conn]bool{}}
	c.wg.Go(c.accept)
	return c, nil
}

// Close removes the socket and lets go of those who asked for the end; call it
// last.
func (c *Control) Close() error {
	err := c.l.Close()
	c.mu.Lock()
	for conn := range c.conns {
		conn.Close()
	}
	c.mu.Unlock()
	c.wg.Wait()
	return err
}

func (c *Control) accept() {
	for {
		conn, err := c.l.Accept()
		if err != nil {
			return
		}
		c.mu.Lock()
		c.conns[conn] = true
		c.mu.Unlock()
		c.wg.Go(func() { c.serve(conn) })
	}
}

// drop closes a connection that is of no more use.
func (c *Control) drop(conn net.Conn) {
	c.mu.Lock()
	delete(c.conns, conn)
	c.mu.Unlock()
	conn.Close()
}

// serve answers one request.
func (c *Control) serve(conn net.Conn) {
	_ = conn.SetDeadline(time.Now().Add(controlTimeout))
	line, err := bufio.NewReader(io.LimitReader(conn, 4096)).ReadBytes('\n')
	if err != nil {
		c.drop(conn)
		return
	}
	var req controlRequest
	reply := controlReply{OK: true, PID: os.Getpid()}
	if err := json.Unmarshal(line, &req); err != nil || req.Verb != "stop" {
		reply.OK, reply.Error = false, `want {"verb":"stop"}`
	}
	b, _ := json.Marshal(reply)
	_, _ = conn.Write(append(b, '\n'))
	if reply.OK {
		c.stop()
		return
	}
	c.drop(conn)
}

// Stop asks a running program to end and waits until it has.
func Stop(ctx context.Context, d Dirs, program, name string) error {
	who := instance(program, name)
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "unix", d.ControlSocket(program, name))
	if err != nil {
		return fmt.Errorf("cannot stop %s: it is not running", who)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	if _, err := conn.Write([]byte(`{"verb":"stop"}` + "\n")); err != nil {
		return fmt.Errorf("cannot stop %s: %v", who, err)
	}
	r := bufio.NewReader(io.LimitReader(conn, 4096))
	var reply controlReply
	line, err := r.ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &reply)
	}
	if err != nil {
		return fmt.Errorf("cannot stop %s: bad answer: %v", who, err)
	}
	if !reply.OK {
		return fmt.Errorf("cannot stop %s: %s", who, reply.Error)
	}
	_, _ = io.Copy(io.Discard, r) // until the program closes: it has ended
	if ctx.Err() != nil {
		return fmt.Errorf("cannot stop %s: pid %d has not ended: %w", who, reply.PID, ctx.Err())
	}
	return nil
}
