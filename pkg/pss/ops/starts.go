package ops

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/edits"
)

// starts are the real servers on which a guest is just being restored or resumed:
// neither a file nor their hypervisor shows it yet.
type starts struct {
	mu sync.Mutex
	n  map[netip.Addr]int
}

// begin counts a start on real until end is called.
func (s *starts) begin(real netip.Addr) (end func()) {
	s.add(real, 1)
	return func() { s.add(real, -1) }
}

func (s *starts) add(real netip.Addr, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.n == nil {
		s.n = map[netip.Addr]int{}
	}
	s.n[real] += n
}

// Starting reports whether a guest is just being restored or resumed on real, or may
// yet be by a command of unknown outcome: it must not sleep meanwhile.
// The caller has the lock on the files.
func (h *Ops) Starting(ctx context.Context, real netip.Addr) bool {
	if h.starts.any(real) || !h.Fleet.Settled(ctx, real) {
		return true
	}
	all, err := h.Starts.All()
	for _, g := range all {
		if g.Real == real {
			err = errors.Join(err, h.Starts.Remove(g.Host))
		}
	}
	h.sayStarts(err)
	return false
}

// Inherit reckons with what a pss had begun to start when it was killed.
func (h *Ops) Inherit() {
	all, err := h.Starts.All()
	for _, g := range all {
		h.Fleet.Inherit(g)
	}
	h.sayStarts(err)
}

// sayStarts tells that starts cannot be recorded, which matters only to a pss that is
// killed during one.
func (h *Ops) sayStarts(err error) {
	if err != nil {
		h.Log.Warn().Err(err).Msg("starts cannot be recorded")
	}
}

// recorded has g run by run, which a pss that is killed meanwhile leaves on record.
func (h *Ops) recorded(ctx context.Context, g cluster.Guest, run func(context.Context, cluster.Guest) error) error {
	h.sayStarts(h.Starts.Add(g))
	err := run(ctx, g)
	if !h.Fleet.Awaited(g) {
		h.sayStarts(h.Starts.Remove(g.Host))
	}
	return err
}

func (s *starts) any(real netip.Addr) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.n[real] > 0
}

// restore restores g where the files have its real server awake.
func (h *Ops) restore(ctx context.Context, g cluster.Guest) error {
	return h.whereAwake(ctx, g, h.Fleet.Restore)
}

// whereAwake has g run by run, where the files have its real server awake. Who puts
// that to sleep looks under the lock whether something starts there: either this
// sees its row gone, or that sees this.
func (h *Ops) whereAwake(ctx context.Context, g cluster.Guest, run func(context.Context, cluster.Guest) error) error {
	defer h.starts.begin(g.Real)()
	t, err := h.Rescue.View(ctx)
	if err != nil {
		return err
	}
	if !t.IsActive(g.Real) {
		return fmt.Errorf("%w: %v is no active real server", edits.ErrStale, g.Real)
	}
	return h.recorded(ctx, g, run)
}
