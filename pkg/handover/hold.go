package handover

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/ipc"
)

// Sif is the companion whose files a monitor changes through; *ipc.Client is one.
type Sif interface {
	Call(ctx context.Context, req ipc.Request) (ipc.Reply, error)
	Hold(ctx context.Context, req ipc.Request) (*ipc.Session, error)
}

// Account is what may still come of commands for VIPs; *pending.Book is one.
type Account interface {
	Expect(g cluster.Guest, vip netip.Addr, given time.Time) (open bool)
	Free(ctx context.Context, g cluster.Guest, vip netip.Addr) error
}

// Expect reckons with the servers to which pss may have given VIPs, as a reply
// under the lock names them; it reports whether one may still get one.
func Expect(a Account, moves []ipc.Move) (open bool) {
	for _, move := range moves {
		for _, g := range move.On {
			open = a.Expect(g, move.VIP, move.Given) || open
		}
	}
	return open
}

// HoldFor takes the lock over the files for a change of g's addresses, as req asks
// for it. Servers that may still get a VIP of g are waited for without it.
func HoldFor(ctx context.Context, sif Sif, a Account, g cluster.Guest, req ipc.Request) (*ipc.Session, error) {
	req.Verb, req.Host = ipc.Hold, g.Host
	s, err := sif.Hold(ctx, req)
	if err != nil || !Expect(a, s.Reply.Moving) {
		return s, err
	}
	_ = s.Release(ctx)
	var all sync.WaitGroup
	for _, vip := range ipc.VIPsOf(s.Reply.Moving) {
		all.Go(func() { _ = a.Free(ctx, g, vip) })
	}
	all.Wait()
	if s, err = sif.Hold(ctx, req); err == nil {
		Expect(a, s.Reply.Moving)
	}
	return s, err
}
