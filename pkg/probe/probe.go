// Package probe looks at servers from the network: does the address answer,
// does the daemon answer its protocol, who holds the address.
package probe

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/netip"
	"os"
	"time"

	probing "github.com/prometheus-community/pro-bing"

	"pss-msbs/pkg/cluster"
)

// Prober probes from this machine. The zero value is ready to use.
type Prober struct {
	Ports map[string]int // TCP ports of daemons that neither this package nor /etc/services knows
}

// Ping is nil when ip answers an echo request before ctx's deadline (one
// second where it has none). Root sends raw ICMP, anybody else the
// unprivileged kind.
func (Prober) Ping(ctx context.Context, ip netip.Addr) error {
	p := probing.New(ip.String())
	p.SetPrivileged(os.Geteuid() == 0)
	p.SetLogger(probing.StdLogger{Logger: log.New(io.Discard, "", 0)})
	p.Count, p.Timeout, p.RecordRtts = 1, timeLeft(ctx, time.Second), false
	if err := p.RunWithContext(ctx); err != nil {
		return fmt.Errorf("cannot ping %v: %v: %w", ip, err, cluster.ErrNoAnswer)
	}
	if p.PacketsRecv == 0 {
		return fmt.Errorf("cannot ping %v: %w", ip, cluster.ErrNoAnswer)
	}
	return nil
}

// timeLeft is the time until ctx's deadline, or otherwise.
func timeLeft(ctx context.Context, otherwise time.Duration) time.Duration {
	if t, ok := ctx.Deadline(); ok {
		return max(time.Until(t), time.Millisecond)
	}
	return otherwise
}

// withDeadline gives ctx a deadline where it has none. One that it has is kept
// as it is: a caller tells silence from refusal by whether its own has passed.
func withDeadline(ctx context.Context, otherwise time.Duration) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, otherwise)
}
