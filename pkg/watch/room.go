package watch

import (
	"context"
	"errors"
	"time"

	"pss-msbs/pkg/clock"
	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/settings"
)

// ErrNoRoom is why a guest is not reset yet.
var ErrNoRoom = errors.New("its real server has no idle processor")

// The time that must lie between two readings of idle time, and that may.
const (
	shortestLook = time.Second
	longestLook  = 10 * time.Second
)

// Room reports whether a guest can boot where it is: a boot on a real server without
// idle processor takes long, and makes its neighbours slower still. What a guest uses
// that keeps its own processors busy is room, for a reset frees it; one that gets less
// than it wants hangs in no loop, and waits like its neighbours.
type Room struct {
	Least float64      // share of the host's processors that must be idle; 0: none
	Busy  float64      // share of its own processors from which a guest is busy; 0: always
	Was   cluster.Work // an earlier reading; zero: there is none
	// Work reads what the processors of guest and host have done.
	Work func(ctx context.Context) (cluster.Work, error)
}

// RoomBy is Room by the settings, since the reading was, which may be zero; profile
// paper asks for no processor time.
func RoomBy(s settings.Settings, was cluster.Work, work func(ctx context.Context) (cluster.Work, error)) Room {
	r := Room{Least: s.Detector.LeastIdle, Busy: s.Detector.Busy, Was: was, Work: work}
	if s.Profile == settings.Paper {
		r.Least = 0
	}
	return r
}

// Lacks reports whether the guest had better not be reset now, and whether that is
// known: it takes two readings. Where the hypervisor does not say, there is room.
func (r *Room) Lacks(ctx context.Context) (lacks, known bool) {
	if r.Least == 0 {
		return false, true
	}
	now, err := r.Work(ctx)
	if err != nil {
		return false, true
	}
	passed := now.Passed(r.Was)
	if r.Was == (cluster.Work{}) || !now.Continues(r.Was) || passed > longestLook {
		r.Was = now
		return true, false
	}
	s, ok := now.Since(r.Was)
	if !ok || passed < shortestLook {
		return true, false
	}
	r.Was = now
	room := s.Idle
	if s.Guest >= r.Busy {
		room = s.Room
	}
	return room < r.Least, true
}

// Await looks twice. It returns nil where there is room, ErrNoRoom, or ctx's error.
func (r *Room) Await(ctx context.Context, clk clock.Clock) error {
	for {
		lacks, known := r.Lacks(ctx)
		switch {
		case !lacks:
			return nil
		case known:
			return ErrNoRoom
		}
		if err := clk.Sleep(ctx, shortestLook); err != nil {
			return err
		}
	}
}
