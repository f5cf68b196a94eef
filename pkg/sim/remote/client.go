package remote

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"pss-msbs/pkg/clock"
	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/sim/world"
)

// Client is an emulated fleet in another process; it has Model's methods.
// Every call has a connection for itself while it lasts.
type Client struct {
	socket string
	clk    clock.Clock
	mu     sync.Mutex
	idle   []*conn
	closed bool
	ctx    context.Context // of the event streams
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

type conn struct {
	net.Conn
	r *bufio.Reader
}

const (
	maxIdle   = 4
	callLimit = time.Minute // emulated, of a call whose context has no deadline
)

// Dial opens the emulated fleet at a Unix socket; it fails if nobody serves there.
func Dial(socket string, clk clock.Clock) (*Client, error) {
	c := &Client{socket: socket, clk: clk}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	first, err := c.conn(c.ctx)
	if err != nil {
		c.cancel()
		return nil, err
	}
	c.put(first)
	return c, nil
}

// Close ends the event streams and closes the connections.
func (c *Client) Close() error {
	c.cancel()
	c.mu.Lock()
	c.closed = true
	for _, i := range c.idle {
		i.Close()
	}
	c.idle = nil
	c.mu.Unlock()
	c.wg.Wait()
	return nil
}

func (c *Client) conn(ctx context.Context) (*conn, error) {
	c.mu.Lock()
	if n := len(c.idle); n > 0 {
		i := c.idle[n-1]
		c.idle = c.idle[:n-1]
		c.mu.Unlock()
		return i, nil
	}
	c.mu.Unlock()
	var d net.Dialer
	n, err := d.DialContext(ctx, "unix", c.socket)
	if err != nil {
		return nil, fmt.Errorf("cannot reach the emulated fleet: %v", err)
	}
	return &conn{Conn: n, r: bufio.NewReader(n)}, nil
}

func (c *Client) put(i *conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || len(c.idle) >= maxIdle {
		i.Close()
		return
	}
	c.idle = append(c.idle, i)
}

// margin is what the answer needs to come back before the caller's deadline.
func margin(left time.Duration) time.Duration { return min(left/10, 20*time.Millisecond) }

// call does one request. silent is what it means that no answer comes in time.
func (c *Client) call(ctx context.Context, q request, silent error) (reply, error) {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = c.clk.Timeout(ctx, callLimit)
		defer cancel()
	}
	if err := ctx.Err(); err != nil {
		return reply{}, fmt.Errorf("cannot call %s: %w", q.Method, err)
	}
	end, _ := ctx.Deadline()
	left := time.Until(end)
	q.LeaveUS = max(1, (left - margin(left)).Microseconds())
	patient, cancel := c.patient(ctx)
	defer cancel()
	r, err := c.exchange(patient, q)
	switch {
	case err == nil:
		if r.err() != nil && time.Until(end) <= margin(left) {
			<-ctx.Done() // silence lasts until the caller's own deadline, by which he knows it from a refusal
		}
		return r, r.err()
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return r, fmt.Errorf("cannot call %s: %w", q.Method, silent)
	case ctx.Err() != nil:
		return r, fmt.Errorf("cannot call %s: %w", q.Method, ctx.Err())
	}
	return r, fmt.Errorf("cannot call %s: %v", q.Method, err)
}

// grace is how long, on the wall clock, an answer may be late. The fleet itself
// keeps to the caller's deadline; what is more is this machine's own slowness,
// which at speed N would count N times as a server's silence.
const grace = 250 * time.Millisecond

// patient outlives ctx's deadline, not its cancellation, by the grace.
func (c *Client) patient(ctx context.Context) (context.Context, context.CancelFunc) {
	end, _ := ctx.Deadline()
	p, cancel := context.WithDeadline(context.WithoutCancel(ctx), end.Add(grace))
	stop := context.AfterFunc(ctx, func() {
		if errors.Is(ctx.Err(), context.Canceled) {
			cancel()
		}
	})
	return p, func() { stop(); cancel() }
}

// exchange sends q and reads the answer; an idle connection may have died
// with an earlier server, so one that fails at the send is replaced.
func (c *Client) exchange(ctx context.Context, q request) (reply, error) {
	for {
		i, err := c.conn(ctx)
		if err != nil {
			return reply{}, err
		}
		stop := context.AfterFunc(ctx, func() { i.Close() })
		if err := send(i, q); err != nil && ctx.Err() == nil {
			stop()
			i.Close()
			continue
		}
		r, err := i.read()
		if stop() && err == nil {
			c.put(i)
		} else {
			i.Close()
		}
		return r, err
	}
}

func (i *conn) read() (r reply, err error) {
	line, err := i.r.ReadBytes('\n')
	if err != nil {
		return r, err
	}
	return r, json.Unmarshal(line, &r)
}

// A request that was sent may be carried out, whether or not it is answered.
func (c *Client) host(ctx context.Context, q request) (reply, error) {
	return c.call(ctx, q, cluster.Unknown(cluster.ErrHostSilent))
}

func (c *Client) agent(ctx context.Context, q request) (reply, error) {
	return c.call(ctx, q, cluster.Unknown(cluster.ErrAgentSilent))
}

func (c *Client) net(ctx context.Context, q request) (reply, error) {
	return c.call(ctx, q, cluster.ErrNoAnswer)
}

// Events streams real's events until ctx ends. It connects again should the
// fleet's server end; that is an event as well.
func (c *Client) Events(ctx context.Context, real netip.Addr) (<-chan cluster.Event, error) {
	i, err := c.subscribe(ctx, real)
	if err != nil {
		return nil, err
	}
	out := make(chan cluster.Event, world.EventBuffer)
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(c.ctx, cancel)
	c.wg.Go(func() {
		defer close(out)
		defer cancel()
		defer stop()
		for i != nil {
			pump(ctx, i, out)
			if ctx.Err() == nil {
				offer(ctx, out, cluster.Event{Real: real, Kind: cluster.EventDisconnected, At: c.clk.Now()})
			}
			i = c.resubscribe(ctx, real)
		}
	})
	return out, nil
}

// subscribe opens a connection that carries nothing but real's events.
func (c *Client) subscribe(ctx context.Context, real netip.Addr) (*conn, error) {
	i, err := c.conn(ctx)
	if err != nil {
		return nil, fmt.Errorf("cannot watch %s: %w", real, err)
	}
	defer context.AfterFunc(ctx, func() { i.Close() })()
	var r reply
	if err = send(i, request{Method: "Events", Real: real}); err == nil {
		r, err = i.read()
	}
	if err == nil {
		err = r.err()
	}
	if err != nil {
		i.Close()
		return nil, fmt.Errorf("cannot watch %s: %w", real, err)
	}
	return i, nil
}

func (c *Client) resubscribe(ctx context.Context, real netip.Addr) *conn {
	for ctx.Err() == nil {
		if i, err := c.subscribe(ctx, real); err == nil {
			return i
		}
		if c.clk.Sleep(ctx, time.Second) != nil {
			break
		}
	}
	return nil
}

func pump(ctx context.Context, i *conn, out chan<- cluster.Event) {
	defer i.Close()
	defer context.AfterFunc(ctx, func() { i.Close() })()
	for {
		r, err := i.read()
		if err != nil || r.Event == nil {
			return
		}
		offer(ctx, out, *r.Event)
	}
}

func offer(ctx context.Context, out chan<- cluster.Event, e cluster.Event) {
	select {
	case out <- e:
	case <-ctx.Done():
	}
}
