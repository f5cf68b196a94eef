package dbss

import (
	"context"
	"errors"
	"time"

	"pss-msbs/pkg/cluster"
)

// errNoRoom is why a guest is not reset yet.
var errNoRoom = errors.New("its real server has no idle processor")

// The time that must lie between two readings of idle time, and that may.
const (
	shortestLook = time.Second
	longestLook  = 10 * time.Second
)

// room tells whether a guest can boot where it is: a boot on a real server without
// idle processor takes long, and makes its neighbours slower still. What the
// guest itself uses is room, for a reset frees it. Its zero value has read nothing.
type room struct{ was cluster.Work }

// lacks reports whether g had better not be reset now, and whether that is known:
// it takes two readings. Where the hypervisor does not say, there is room.
func (r *room) lacks(ctx context.Context, m *Monitor, g cluster.Guest) (lacks, known bool) {
	least := m.opt.Settings.Detector.LeastIdle
	if !m.fast || least == 0 {
		return false, true
	}
	ctx, cancel := m.guestCall(ctx)
	defer cancel()
	now, err := m.fleet.Work(ctx, g)
	if err != nil {
		return false, true
	}
	passed := now.Passed(r.was)
	if r.was == (cluster.Work{}) || !now.Continues(r.was) || passed > longestLook {
		r.was = now
		return true, false
	}
	s, ok := now.Since(r.was)
	if !ok || passed < shortestLook {
		return true, false
	}
	r.was = now
	return s.Room < least, true
}

// roomFor looks twice whether there is room for a boot of g.
func (m *Monitor) roomFor(ctx context.Context, g cluster.Guest) error {
	var r room
	for {
		lacks, known := r.lacks(ctx, m, g)
		switch {
		case !lacks:
			return nil
		case known:
			return errNoRoom
		}
		if err := m.clk.Sleep(ctx, shortestLook); err != nil {
			return err
		}
	}
}
