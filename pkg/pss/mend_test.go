package pss_test

import (
	"context"
	"net/netip"
	"sync"
	"testing"
	"time"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/conffile"
	"pss-msbs/pkg/pss"
)

// slowGuests take a while for each change of an address.
type slowGuests struct {
	pss.Fleet
	takes time.Duration
}

func (s slowGuests) AddVIP(ctx context.Context, g cluster.Guest, vip netip.Addr) error {
	time.Sleep(s.takes)
	return s.Fleet.AddVIP(ctx, g, vip)
}

func (s slowGuests) DelVIP(ctx context.Context, g cluster.Guest, vip netip.Addr) error {
	time.Sleep(s.takes)
	return s.Fleet.DelVIP(ctx, g, vip)
}

// Many stray VIPs on slow guests: while pss mends one after the other, everybody
// who waits for the lock gets it between two of them.
func TestMendingLetsOthersIn(t *testing.T) {
	const slow, waiters = 900 * time.Millisecond, 5
	play(t, "", nil, func(r *rig) {
		r.load(80)
		for _, row := range r.tables().Operation { // each VIP on its group's other server
			for _, other := range r.tables().Operation {
				if other.Group == row.Group && other.Host != row.Host {
					r.ok(r.model.DelVIP(r.ctx, row.Guest(), row.VIP))
					r.ok(r.model.AddVIP(r.ctx, other.Guest(), row.VIP))
				}
			}
		}
		r.fleet = slowGuests{r.model, slow}
		r.start()
		ctx, cancel := context.WithCancel(r.ctx)
		defer cancel()
		var all sync.WaitGroup
		var mu sync.Mutex
		longest := time.Duration(0)
		for range waiters {
			all.Go(func() {
				d := conffile.Open(r.dir, conffile.Options{NoNotify: true, Poll: time.Hour, Holder: "dbss"})
				for ctx.Err() == nil {
					asked := time.Now()
					held, err := d.Hold(ctx)
					if ctx.Err() == nil && err != nil {
						r.Error(err)
						return
					}
					mu.Lock()
					longest = max(longest, time.Since(asked))
					mu.Unlock()
					if err == nil {
						time.Sleep(50 * time.Millisecond) // a dbss or dsrs that gives a VIP back
						held.Close()
					}
					time.Sleep(300 * time.Millisecond)
				}
			})
		}
		r.until(time.Minute, "every VIP at its place", func() bool { return r.consistent() == nil })
		cancel()
		all.Wait()
		// One mending of two slow changes, and every other waiter once or twice.
		if limit := 2*slow + 2*time.Second; longest > limit {
			r.Errorf("somebody waited %v for the lock, want at most %v", longest, limit)
		}
		r.Logf("longest wait %v", longest)
	})
}
