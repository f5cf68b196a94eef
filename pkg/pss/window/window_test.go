package window_test

import (
	"net/netip"
	"testing"
	"time"

	"pss-msbs/pkg/pss/window"
	"pss-msbs/pkg/settings"
)

var (
	vip   = netip.MustParseAddr("172.21.14.101")
	start = time.Date(2026, 11, 22, 14, 0, 0, 0, time.UTC)
	class = settings.Class{PS2Accesses: 10, PS2Window: settings.Duration(time.Minute), MonitorAccessesPerSecond: 1}
)

// feed counts every ten seconds, as of says.
func feed(c *window.Counter, of ...uint64) time.Time {
	now := start
	for _, n := range of {
		c.Take(now, map[netip.Addr]uint64{vip: n}, time.Minute)
		now = now.Add(10 * time.Second)
	}
	return now.Add(-10 * time.Second)
}

func TestClients(t *testing.T) {
	for _, c := range []struct {
		name  string
		of    []uint64
		late  time.Duration
		want  float64
		whole bool
	}{
		{"nothing counted", nil, 0, 11, false},
		{"one count", []uint64{100}, 0, 0, false},
		{"half a window: z - k*30", []uint64{0, 12, 24, 36}, 0, 6, false},
		{"whole window: z - k*60", []uint64{0, 11, 22, 33, 44, 55, 66}, 0, 6, true},
		{"only the last window", []uint64{0, 500, 510, 520, 530, 540, 550, 560}, 0, 0, true},
		{"never below zero", []uint64{0, 1, 2, 3, 4, 5, 6}, 0, 0, true},
		{"counter began anew", []uint64{900, 910, 5, 17}, 0, 2, false},
		{"counted too long ago", []uint64{0, 10, 20}, 2 * time.Minute, 11, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			var w window.Counter
			now := start
			if len(c.of) > 0 {
				now = feed(&w, c.of...)
			}
			got, whole := w.Clients(now.Add(c.late), []netip.Addr{vip}, class)
			if got != c.want || whole != c.whole {
				t.Errorf("%v %v, want %v %v", got, whole, c.want, c.whole)
			}
		})
	}
}

// Accesses that may have gone uncounted send no group to PS2, but what is known
// of the others still keeps one out of it, or in it.
func TestLost(t *testing.T) {
	var w window.Counter
	now := feed(&w, 0, 10, 20, 30)
	w.Lost()
	of := uint64(50)
	take := func() (float64, bool) {
		now = now.Add(10 * time.Second)
		of += 11
		w.Take(now, map[netip.Addr]uint64{vip: of}, time.Minute)
		return w.Clients(now, []netip.Addr{vip}, class)
	}
	if z, whole := take(); z != 21 || whole {
		t.Errorf("after the gap: %v %v", z, whole)
	}
	for i := range 5 {
		if _, whole := take(); whole {
			t.Errorf("a whole window %d s after the gap", 10*(i+1))
		}
	}
	if z, whole := take(); z != 6 || !whole {
		t.Errorf("a window after the gap: %v %v", z, whole)
	}
}
