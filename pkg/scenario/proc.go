package scenario

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"pss-msbs/pkg/clock"
	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/daemon"
	"pss-msbs/pkg/ipc"
	"pss-msbs/pkg/lockedfile"
)

var errKilled = errors.New("killed")

// Point is an instant of a program: before or after it asks or changes
// something outside itself.
type Point struct {
	Op    string // a verb with its outcome ("A5 recovered"), a method of the fleet ("AddVIP"), or a step of a file transaction
	Host  string // whom it is about, where there is one
	After bool
}

// Proc is one running program. It is a process without a kernel: once killed,
// nothing that its goroutines still do has an effect outside.
type Proc struct {
	Program, Name string // as "dbss", "M1"; pss has no name

	w      *World
	who    string // as "dbss M1", "pss"
	pid    int
	ctx    context.Context
	cancel context.CancelFunc
	ready  chan struct{} // closed when it says that it is ready
	ended  chan struct{} // closed when it has ended
	began  sync.Once
	over   sync.Once
	err    error // of its end, valid once ended is closed
	halt   *clock.Halt

	dead atomic.Bool // by kill -9

	mu    sync.Mutex
	wires map[*wire]struct{}
}

// spawn starts a program, which has the monitor lock that it is given.
func (w *World) spawn(c daemon.Command) *Proc {
	p := &Proc{Program: c.Program, Name: c.Name, w: w, who: strings.TrimSpace(c.Program + " " + c.Name), ready: make(chan struct{}), ended: make(chan struct{}), wires: map[*wire]struct{}{}, halt: &clock.Halt{}}
	p.ctx, p.cancel = context.WithCancel(w.ctx)
	w.mu.Lock()
	w.pids++
	p.pid = w.pids
	w.procs = append(w.procs, p)
	if l, ok := c.Lock.(lock); ok {
		w.locks[l.name] = append(w.locks[l.name], p)
	}
	w.mu.Unlock()
	w.bodies.Go(func() { p.end(p.main(c.Args)) })
	return p
}

// clock is p's, which stops with it.
func (p *Proc) clock() clock.Clock { return clock.Clock{Halt: p.halt} }

// runs waits until p runs, and reports whether it still does.
func (p *Proc) runs() bool {
	p.halt.Pass()
	return !p.isDead()
}

// startTime is how long it takes to load a program and to read its files.
const startTime = 30 * time.Millisecond

// end is what the kernel does when a process ends: locks are free, connections
// and sockets closed.
func (p *Proc) end(err error) {
	p.over.Do(func() {
		p.err = err
		p.w.forget(p)
		p.mu.Lock()
		wires := p.wires
		p.wires = nil
		p.mu.Unlock()
		p.cancel()
		p.halt.End()
		for c := range wires {
			c.Conn.Close()
		}
		close(p.ended)
	})
}

// Kill is kill -9.
func (p *Proc) Kill() {
	p.die()
	p.end(errKilled)
}

// die has p do nothing any more.
func (p *Proc) die() {
	p.dead.Store(true)
	p.halt.End()
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	now := time.Now()
	back := now
	if p.w.down.After(now) {
		back = p.w.down
	}
	p.w.kills = append(p.w.kills, kill{p.Program + "-" + p.Name, now, back})
}

func (p *Proc) isDead() bool { return p.dead.Load() }

// Done implements daemon.Child.
func (p *Proc) Done() <-chan struct{} { return p.ended }

// Err implements daemon.Child.
func (p *Proc) Err() error { return p.err }

// Stop is SIGTERM and then SIGKILL; it implements daemon.Child.
func (p *Proc) Stop(ctx context.Context) error {
	p.cancel()
	grace, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	select {
	case <-p.ended:
	case <-grace.Done():
		p.Kill()
	}
	return nil
}

// await waits until child is ready; one that will not be in time is killed,
// unless it was by who waits itself dying.
func (p *Proc) await(ctx context.Context, child *Proc) error {
	select {
	case <-child.ready:
		return nil
	case <-child.ended:
		if child.err != nil {
			return child.err
		}
		return errors.New("it ended before it was ready")
	case <-ctx.Done():
		if !p.isDead() {
			child.Kill()
		}
		return ctx.Err()
	}
}

// sleep waits for d and a little that depends on what alone, so that hardly
// anything happens at the very same instant and a run is like another.
func (p *Proc) sleep(ctx context.Context, d time.Duration, what string) {
	if ctx.Err() == nil {
		_ = p.clock().Sleep(ctx, d+jitter(p.Program, p.Name, what))
	}
}

// pause is the moment before a call of p, too short to be broken off.
func (p *Proc) pause(ctx context.Context, op, host string) {
	if ctx.Err() == nil {
		time.Sleep(jitter(p.Program, p.Name, op, host))
		p.halt.Pass()
	}
}

// jitter is less than a millisecond, and depends on words alone (by FNV-1a).
func jitter(words ...string) time.Duration {
	h := uint32(2166136261)
	for _, w := range words {
		for i := range len(w) {
			h = (h ^ uint32(w[i])) * 16777619
		}
	}
	return time.Duration(h%997) * time.Microsecond
}

// at tells whoever plays with this world where p is, which may kill it there.
func (p *Proc) at(op, host string, after bool) error {
	if f := p.w.OnPoint; f != nil && p.runs() {
		f(p, Point{op, host, after})
	}
	if !p.runs() {
		return errKilled
	}
	return nil
}

// step is p's hook into file transactions.
func (p *Proc) step(s lockedfile.Step) error {
	takes, err := p.w.Trouble.disk(s)
	if takes > 0 {
		p.sleep(p.ctx, takes, "disk")
	}
	return errors.Join(p.at(s.String(), "", false), err)
}

// do is a call of p to the fleet.
func do[T any](ctx context.Context, p *Proc, op, host string, call func() (T, error)) (T, error) {
	var none T
	p.pause(ctx, op, host)
	if err := p.at(op, host, false); err != nil {
		return none, err
	}
	v, err := call()
	if err := p.at(op, host, true); err != nil {
		return none, err
	}
	if lost := p.received(ctx, silence(op)); lost != nil {
		return none, lost
	}
	return v, err
}

// silence is what a caller thinks who gets no reply in time.
func silence(op string) error {
	switch op {
	case "Ping", "Greet", "WhoHas":
		return cluster.ErrNoAnswer
	}
	return cluster.Unknown(cluster.ErrHostSilent)
}

// wire is p's end of a connection to a sif.
type wire struct {
	net.Conn
	p      *Proc
	sif    *Proc
	closed chan struct{}
	once   sync.Once

	mu   sync.Mutex
	open *asked // not answered yet
}

func (c *wire) Write(b []byte) (int, error) {
	var req asked
	if json.Unmarshal(b, &req) == nil && req.Verb != ipc.Watch {
		c.p.pause(c.p.ctx, req.op(), req.Host)
		if err := c.p.at(req.op(), req.Host, false); err != nil {
			return 0, err
		}
		c.mu.Lock()
		c.open = &req
		c.mu.Unlock()
	}
	if !c.p.runs() {
		return 0, errKilled
	}
	return c.Conn.Write(b)
}

func (c *wire) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.p.halt.Pass()
	if c.sif.isDead() { // what it still writes has no effect
		return 0, errLost
	}
	c.mu.Lock()
	req := c.open
	c.open = nil
	c.mu.Unlock()
	if req != nil && err == nil {
		err = errors.Join(c.received(), c.p.at(req.op(), req.Host, true))
	}
	return n, err
}

// received is what becomes of a reply: a connection has no gaps, so one that is
// lost is lost with it, and the request is made again on another.
func (c *wire) received() error {
	late, lost := c.p.w.Trouble.reply(c.p)
	if late > 0 {
		select {
		case <-time.After(late):
		case <-c.closed:
		case <-c.p.ctx.Done():
		}
	}
	if !lost {
		return nil
	}
	c.Conn.Close()
	return errLost
}

func (c *wire) Close() error {
	c.p.mu.Lock()
	delete(c.p.wires, c)
	c.p.mu.Unlock()
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

// asked is what a point of a program shows of an ipc.Request.
type asked struct {
	Verb    ipc.Verb    `json:"verb"`
	Host    string      `json:"host"`
	Outcome ipc.Outcome `json:"outcome"`
}

func (req asked) op() string {
	if req.Outcome != "" {
		return string(req.Verb) + " " + string(req.Outcome)
	}
	return string(req.Verb)
}
