package lab

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"sync"
	"time"
)

// Client asks every group through the load balancer at a steady rate, whether
// or not earlier questions have been answered.
type Client struct {
	Rate  int // questions a second, of each group
	Greet func(ctx context.Context, ip netip.Addr, daemon string) error
	Log   io.Writer // a line for each question that failed or was late
}

// The client's patience.
const (
	lateAfter = 500 * time.Millisecond
	lostAfter = 10 * time.Second
)

// Tally is what became of one group's questions.
type Tally struct {
	Group               string
	Asked, Failed, Late int
	Longest             time.Duration // of those answered
}

// Run asks until ctx ends and returns a tally a group.
func (c Client) Run(ctx context.Context) []Tally {
	out := make([]Tally, len(services))
	var mu sync.Mutex // over out and the log
	var all sync.WaitGroup
	for i, s := range services {
		out[i].Group = s.group
		all.Go(func() {
			tick := time.NewTicker(time.Second / time.Duration(c.Rate))
			defer tick.Stop()
			for n := 0; ; n++ {
				select {
				case <-ctx.Done():
					return
				case <-tick.C:
				}
				all.Go(func() { c.ask(&mu, &out[i], s.daemons[len(s.daemons)-1]) })
			}
		})
	}
	all.Wait()
	return out
}

func (c Client) ask(mu *sync.Mutex, t *Tally, daemon string) {
	ctx, cancel := context.WithTimeout(context.Background(), lostAfter)
	defer cancel()
	begin := time.Now()
	err := c.Greet(ctx, address(210), daemon)
	took := time.Since(begin)
	mu.Lock()
	defer mu.Unlock()
	t.Asked++
	switch {
	case err != nil:
		t.Failed++
		fmt.Fprintf(c.Log, "%s %s FAILED after %.2f s: %v\n", begin.Format("15:04:05.00"), t.Group, took.Seconds(), err)
		return
	case took > lateAfter:
		t.Late++
		fmt.Fprintf(c.Log, "%s %s late: %.2f s\n", begin.Format("15:04:05.00"), t.Group, took.Seconds())
	}
	t.Longest = max(t.Longest, took)
}
