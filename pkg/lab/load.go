package lab

import (
	"context"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"sync"
	"time"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/conffile"
)

// loads keeps every server of a group that is in operation at the load that was
// asked for: load comes with the clients, so one that has just woken gets its own
// once it has a VIP.
type loads struct {
	mu   sync.Mutex
	want map[string]int  // percent of the memory, by group's letter
	has  map[string]have // by guest
	turn int             // of the last order
}

// have is what a guest was filled to, and by which pid its QEMU was known then.
type have struct{ percent, pid int }

// firstLoad is what a lab starts with, in percent: more than what a base could
// bear for another, so that every group is in Moderate.
const firstLoad = 60

func newLoads() *loads {
	l := &loads{want: map[string]int{}, has: map[string]have{}}
	for _, s := range services {
		l.want[s.letter] = firstLoad
	}
	return l
}

// loadGap is the time between two looks at who lacks load.
const loadGap = time.Second

// set has the memory of a group's servers in operation filled to percent; 0 lets go of it.
func (l *loads) set(group, percent string) error {
	n, err := strconv.Atoi(percent)
	if err != nil || n < 0 || n > 80 {
		return fmt.Errorf("cannot load %s: %q is not a percentage up to 80", group, percent)
	}
	for _, s := range services {
		if strings.EqualFold(s.group, group) {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.want[s.letter] = n
			return nil
		}
	}
	return fmt.Errorf("cannot load %s: no such group", group)
}

// keepLoaded applies loads until ctx ends.
func (r *room) keepLoaded(ctx context.Context) {
	files := conffile.Open(r.Sub("conf"), conffile.Options{Holder: "lab load"})
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(loadGap):
		}
		r.loads.mu.Lock()
		want := maps.Clone(r.loads.want)
		r.loads.mu.Unlock()
		rows, err := files.View(ctx)
		if err != nil {
			continue
		}
		var all sync.WaitGroup
		for _, s := range r.plan.Servers {
			serves := len(cluster.RowsOf(rows.Operation, s.Host)) > 0
			if percent, ok := want[s.Host[:1]]; ok && (percent == 0 || serves) && !strings.Contains(s.Host, "b") {
				all.Go(func() { r.fill(ctx, s.Host, percent) })
			}
		}
		all.Wait()
	}
}

// fill brings one guest to its load, where it runs and its host is awake.
func (r *room) fill(ctx context.Context, guest string, percent int) {
	h, pid, err := r.whereabouts(guest)
	if p, perr := r.power(h.Name); err != nil || perr != nil || p.now() != powerOn {
		return
	}
	now := have{percent, pid}
	r.loads.mu.Lock()
	was, known := r.loads.has[guest]
	r.loads.turn++
	turn := r.loads.turn
	r.loads.mu.Unlock()
	if was == now || (!known && percent == 0) {
		return
	}
	if r.inGuest(ctx, guest, "fill-memory", strconv.Itoa(percent), strconv.Itoa(turn)) == nil { // else the next look tries again
		r.loads.mu.Lock()
		r.loads.has[guest] = now
		r.loads.mu.Unlock()
	}
}
