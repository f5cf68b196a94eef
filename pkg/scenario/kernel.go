package scenario

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"

	"github.com/rs/zerolog"

	"pss-msbs/pkg/clock"
	"pss-msbs/pkg/daemon"
	"pss-msbs/pkg/ipc"
	"pss-msbs/pkg/notes"
)

var _ daemon.Kernel = (*Proc)(nil)

// PID implements daemon.Kernel.
func (p *Proc) PID() int { return p.pid }

// Alive implements daemon.Kernel.
func (p *Proc) Alive(pid int) bool {
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	return slices.ContainsFunc(p.w.procs, func(o *Proc) bool { return o.pid == pid })
}

// Ready implements daemon.Kernel.
func (p *Proc) Ready() error {
	p.began.Do(func() { close(p.ready) })
	return nil
}

// lock is a monitor lock that p has.
type lock struct {
	p     *Proc
	name  string
	given bool
}

// Given implements daemon.Lock.
func (l lock) Given() bool { return l.given }

// Close implements daemon.Lock.
func (l lock) Close() error {
	l.p.w.mu.Lock()
	defer l.p.w.mu.Unlock()
	l.p.w.unlock(l.name, l.p)
	return nil
}

// unlock takes a monitor lock from p, with w.mu held.
func (w *World) unlock(name string, p *Proc) {
	w.locks[name] = slices.DeleteFunc(w.locks[name], func(o *Proc) bool { return o == p })
}

// Lock implements daemon.Kernel.
func (p *Proc) Lock(name string) (daemon.Lock, error) {
	runs := p.runs()
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	holders := p.w.locks[name]
	switch {
	case slices.Contains(holders, p) && p.Program == "dbss":
		return lock{p, name, true}, nil
	case len(holders) > 0 || !runs || p.isDead():
		return nil, fmt.Errorf("cannot monitor %s: %w", name, daemon.ErrMonitored)
	}
	p.w.locks[name] = []*Proc{p}
	return lock{p, name, false}, nil
}

// Holder implements daemon.Kernel.
func (p *Proc) Holder(name string) (pid int, held bool, err error) {
	if m := p.w.monitorOf(name); m != nil {
		return m.pid, true, nil
	}
	return 0, false, nil
}

// monitorOf is the program that has the monitor lock of a server, the one that
// took it over from another that has it too; nil: none.
func (w *World) monitorOf(name string) *Proc {
	w.mu.Lock()
	defer w.mu.Unlock()
	if holders := w.locks[name]; len(holders) > 0 {
		return holders[len(holders)-1]
	}
	return nil
}

// slot is one of the slots that all programs share.
type slot struct {
	kind daemon.Work
	n    int
}

// TrySlot implements daemon.Kernel.
func (p *Proc) TrySlot(kind daemon.Work, n int) (func(), error) {
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	for i := range n {
		s := slot{kind, i}
		if p.w.slots[s] == nil && !p.isDead() {
			p.w.slots[s] = p
			return sync.OnceFunc(func() { p.w.giveSlot(p, s) }), nil
		}
	}
	return nil, nil
}

func (w *World) giveSlot(p *Proc, s slot) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.slots[s] == p {
		delete(w.slots, s)
	}
}

// listener is the socket of a program.
type listener struct {
	*ipc.MemListener
	p    *Proc
	path string
}

// Accept implements net.Listener: while the program is stopped nobody is answered.
func (l listener) Accept() (net.Conn, error) {
	c, err := l.MemListener.Accept()
	l.p.halt.Pass()
	if err != nil {
		return nil, err
	}
	return servedConn{c, l.p}, nil
}

// Close implements net.Listener.
func (l listener) Close() error {
	l.p.w.mu.Lock()
	defer l.p.w.mu.Unlock()
	if l.p.w.sockets[l.path].p == l.p {
		delete(l.p.w.sockets, l.path)
	}
	return l.MemListener.Close()
}

// Listen implements daemon.Kernel.
func (p *Proc) Listen(path string) (net.Listener, error) {
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	if _, ok := p.w.sockets[path]; ok || p.isDead() {
		return nil, fmt.Errorf("cannot listen at %s: another process does", path)
	}
	l := listener{ipc.NewMemListener(), p, path}
	p.w.sockets[path] = l
	return l, nil
}

// Listening implements daemon.Kernel.
func (p *Proc) Listening(path string) bool {
	_, ok := p.w.socket(path)
	return ok
}

func (w *World) socket(path string) (l listener, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	l, ok = w.sockets[path]
	return l, ok
}

// Dial implements daemon.Kernel.
func (p *Proc) Dial(ctx context.Context, path string) (net.Conn, error) {
	l, ok := p.w.socket(path)
	if !ok {
		return nil, errors.New("connection refused")
	}
	raw, err := l.MemListener.Dial(ctx)
	if err != nil {
		return nil, err
	}
	c := &wire{Conn: raw, p: p, sif: l.p, closed: make(chan struct{})}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.wires == nil {
		raw.Close()
		return nil, errKilled
	}
	p.wires[c] = struct{}{}
	return c, nil
}

// Watchdog implements daemon.Kernel: here no program hangs for ever.
func (p *Proc) Watchdog(context.Context, string, clock.Clock, zerolog.Logger) {}

// disk is the run and state directories, to which the dead do not write.
type disk struct {
	notes.Disk
	p *Proc
}

// Write implements notes.Disk.
func (d disk) Write(path string, text []byte, durable bool) error {
	if d.p.isDead() {
		return errKilled
	}
	return d.Disk.Write(path, text, durable)
}

// Remove implements notes.Disk.
func (d disk) Remove(path string) error {
	if d.p.isDead() {
		return errKilled
	}
	return d.Disk.Remove(path)
}
