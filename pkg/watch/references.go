package watch

import (
	"context"
	"fmt"
	"net/netip"
	"sync"

	"pss-msbs/pkg/cluster"
)

// References is nil when one of the network references answers ping, or there
// is none: then silence elsewhere is not this machine's own.
func References(ctx context.Context, references []netip.Addr, ping func(context.Context, netip.Addr) error) error {
	if len(references) == 0 {
		return nil
	}
	ctx, cancel := context.WithCancel(ctx)
	var asking sync.WaitGroup
	defer asking.Wait()
	defer cancel()
	answers := make(chan error, len(references))
	for _, ip := range references {
		asking.Go(func() { answers <- ping(ctx, ip) })
	}
	for range references {
		if <-answers == nil {
			return nil
		}
	}
	return fmt.Errorf("all %d network references are silent: %w", len(references), cluster.ErrNoAnswer)
}
