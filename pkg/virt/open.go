//go:build libvirt_dlopen

package virt

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"libvirt.org/go/libvirt"

	"pss-msbs/pkg/cluster"
)

// Keepalive over the connections for reports: a hypervisor that answers nothing
// for interval x count is taken for gone, and all connections to it closed.
const (
	keepaliveInterval = 1 // seconds
	keepaliveCount    = 3
	dialTimeout       = 2 * time.Second
	closeWait         = 2 * time.Second
)

// startLoop starts libvirt's event loop, of which a process has one: without
// it there are neither events nor keepalive. It also loads the library.
// It runs until the process ends, as libvirt has no way to stop it.
var startLoop = sync.OnceValue(func() error {
	if err := libvirt.EventRegisterDefaultImpl(); err != nil {
		return err
	}
	go func() {
		for libvirt.EventRunDefaultImpl() == nil {
		}
	}()
	return nil
})

// Driver is the hypervisors of all real servers. It connects to one when it is
// first asked for it.
type Driver struct {
	opt     Options
	ctx     context.Context // ends with Close
	cancel  context.CancelFunc
	streams sync.WaitGroup // event streams
	mu      sync.Mutex
	hosts   map[netip.Addr]*host
}

// host is one real server's hypervisor. What it reports comes over a connection
// of its own, the only one with keepalive (see endpoint).
type host struct {
	calls, reports endpoint[*libvirt.Connect]
	news           news         // of the guests
	processors     atomic.Int32 // that it has; 0: not asked yet
}

// Open loads libvirt and starts its event loop; it connects to nobody yet.
func Open(opt Options) (*Driver, error) {
	if err := startLoop(); err != nil {
		return nil, fmt.Errorf("cannot load libvirt: %v", err)
	}
	d := &Driver{opt: opt, hosts: map[netip.Addr]*host{}}
	d.ctx, d.cancel = context.WithCancel(context.Background())
	return d, nil
}

// Close ends all event streams and connections.
func (d *Driver) Close() error {
	d.cancel()
	d.streams.Wait()
	d.mu.Lock()
	defer d.mu.Unlock()
	var all sync.WaitGroup
	for _, h := range d.hosts {
		all.Go(func() { h.calls.end(closeWait) })
		all.Go(func() { h.reports.end(closeWait) })
	}
	all.Wait()
	return nil
}

func (d *Driver) host(real netip.Addr) *host {
	d.mu.Lock()
	defer d.mu.Unlock()
	h, ok := d.hosts[real]
	if !ok {
		h = &host{news: news{real: real}}
		h.calls.conn = d.connector(d.opt.uri(real))
		h.reports.conn = h.calls.conn
		h.reports.conn.watch = h.listen
		d.hosts[real] = h
		if d.ctx.Err() == nil {
			d.streams.Go(func() { d.keep(d.ctx, h) })
		}
	}
	return h
}

func (d *Driver) connector(uri string) connector[*libvirt.Connect] {
	return connector[*libvirt.Connect]{
		open:  func() (*libvirt.Connect, error) { return connect(d.ctx, uri) },
		watch: whenClosed,
		close: func(c *libvirt.Connect) {
			_ = c.UnregisterCloseCallback() // the callback holds a reference
			_, _ = c.Close()                // it is gone either way
		},
		alive: func(c *libvirt.Connect) bool { ok, err := c.IsAlive(); return ok && err == nil },
	}
}

// whenClosed has lost called when c is closed by the other side or its silence.
func whenClosed(c *libvirt.Connect, lost func()) (watcher, error) {
	return deaf{}, c.RegisterCloseCallback(func(*libvirt.Connect, libvirt.ConnectCloseReason) { lost() })
}

// deaf is a watcher that hears nothing.
type deaf struct{}

func (deaf) mute() {}
func (deaf) end()  {}

// connect opens a connection, after making sure that the other side listens at all.
func connect(ctx context.Context, uri string) (*libvirt.Connect, error) {
	address, err := transportAddress(uri)
	if err != nil {
		return nil, err
	}
	if address != "" {
		d := net.Dialer{Timeout: dialTimeout}
		c, err := d.DialContext(ctx, "tcp", address)
		if err != nil {
			return nil, err
		}
		_ = c.Close()
	}
	return libvirt.NewConnect(uri)
}

// call runs f with a connection to the hypervisor of real.
func (d *Driver) call(ctx context.Context, real netip.Addr, f func(conn) error) error {
	ctx, cancel := d.limit(ctx, d.opt.CallTimeout)
	defer cancel()
	err := d.host(real).calls.do(ctx, func(c *libvirt.Connect) error { return f(conn{ctx, c}) })
	return silent(real, readable(err))
}

// failure is an error of libvirt that people can read.
type failure struct{ libvirt error }

// Error implements error.
func (f failure) Error() string {
	var e libvirt.Error
	errors.As(f.libvirt, &e)
	return e.Message
}

// Unwrap lets errors.Is find libvirt's codes.
func (f failure) Unwrap() error { return f.libvirt }

func readable(err error) error {
	if e, ok := err.(libvirt.Error); ok {
		return failure{e}
	}
	return err
}

// limit gives ctx a deadline where it has none.
func (d *Driver) limit(ctx context.Context, t time.Duration) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, t)
}

// silent says of a call without a result that the host does not answer, and of one
// that was begun that its outcome is not known.
func silent(real netip.Addr, err error) error {
	begun := errors.Is(err, errSlow) || errors.Is(err, errLost)
	refused := errors.Is(err, errRefuse)
	if begun || refused {
		err = fmt.Errorf("cannot reach the hypervisor of %v: %w: %w", real, err, cluster.ErrHostSilent)
	}
	if begun || !refused && errors.Is(err, context.Canceled) {
		err = cluster.Unknown(err)
	}
	return err
}

// withDomain runs f with the domain of g.
func (d *Driver) withDomain(ctx context.Context, g cluster.Guest, f func(domain) error) error {
	return d.call(ctx, g.Real, func(c conn) error {
		dom, err := c.LookupDomainByName(g.Host)
		if err != nil {
			return err
		}
		defer func() { _ = dom.Free() }() // only memory
		return f(dom)
	})
}
