package lab

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
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

// Greetings asks every port of the load balancer once and returns a line each:
// what the service behind it says first.
func Greetings(ctx context.Context) (string, error) {
	var b strings.Builder
	for _, s := range services {
		for _, port := range s.ports {
			line, err := greeting(ctx, netip.AddrPortFrom(address(210), uint16(port)))
			if err != nil {
				return b.String(), fmt.Errorf("cannot hear from %s: %v", s.group, err)
			}
			fmt.Fprintf(&b, "%-5s %v:%d  %s\n", s.group, address(210), port, line)
		}
	}
	return b.String(), nil
}

func greeting(ctx context.Context, at netip.AddrPort) (string, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", at.String())
	if err != nil {
		return "", err
	}
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	defer stop()
	if at.Port() == 80 { // it waits to be asked
		if _, err := fmt.Fprint(c, "GET / HTTP/1.0\r\n\r\n"); err != nil {
			return "", err
		}
		b, err := io.ReadAll(io.LimitReader(c, 4096))
		status, _, _ := strings.Cut(string(b), "\r\n")
		_, page, _ := strings.Cut(string(b), "\r\n\r\n")
		return status + " " + strings.TrimSpace(page), err
	}
	line, err := bufio.NewReader(io.LimitReader(c, 1024)).ReadString('\n')
	return strings.TrimSpace(line), err
}
