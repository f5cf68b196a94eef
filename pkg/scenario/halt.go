package scenario

import (
	"fmt"
	"hash/fnv"
	"net"
	"slices"
	"time"
)

// servedConn is a sif's end of a connection.
type servedConn struct {
	net.Conn
	p *Proc
}

// Read implements net.Conn.
func (c servedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.p.halt.Pass()
	return n, err
}

// Write implements net.Conn.
func (c servedConn) Write(b []byte) (int, error) {
	c.p.halt.Pass()
	return c.Conn.Write(b)
}

// hold stops a running program, or all of them, for d, as SIGSTOP and SIGCONT
// do, or starves it: it gets so little processor that each of its steps takes
// up to half a second.
func (w *World) hold(how, who string, d time.Duration) error {
	var these []*Proc
	for _, p := range w.Running() {
		if who == "all" || p.who == who {
			these = append(these, p)
		}
	}
	if len(these) == 0 {
		return fmt.Errorf("cannot %s %s: it does not run", how, who)
	}
	for _, p := range these {
		p.hold(how, d)
	}
	return nil
}

func (p *Proc) hold(how string, d time.Duration) {
	now := time.Now()
	p.w.mu.Lock()
	p.w.halts = append(p.w.halts, halted{p.Program + "-" + p.Name, now, now.Add(d)})
	p.w.mu.Unlock()
	if how == "stop" {
		p.halt.Stop(d)
	} else {
		p.halt.Starve(d, p.lag)
	}
}

// halted reports whether a program was stopped or starved shortly before at: what it
// promises within a time it cannot keep then.
func (w *World) halted(who string, at time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.ContainsFunc(w.halts, func(h halted) bool {
		return h.who == who && !h.from.After(at) && !at.After(h.until.Add(2*w.Settings.DSRS.StripDeadline.D()))
	})
}

// goOn ends every stop and all starving.
func (w *World) goOn() {
	for _, p := range w.Running() {
		p.halt.Continue()
	}
}

// mostLag is how long a step of a starving program takes.
const mostLag = 500 * time.Millisecond

// lag is how long this step takes; it depends on the program and the instant
// alone, so that one run is like another.
func (p *Proc) lag() time.Duration {
	h := fnv.New32a()
	fmt.Fprint(h, p.who, time.Since(p.w.log.began))
	return time.Duration(h.Sum32()) % mostLag
}

// halted is a time in which a program was stopped or starved.
type halted struct {
	who         string
	from, until time.Time
}
