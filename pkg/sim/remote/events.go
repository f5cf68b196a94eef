package remote

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/sim/world"
)

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
