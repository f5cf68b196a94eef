package lab

import (
	"context"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"sync"
	"time"

	"pss-msbs/pkg/conffile"
)

// loads keeps every server of a group that is in operation at the load that was
// asked for: load comes with the clients, so one that has just woken gets its own
// once it has a VIP.
type loads struct {
	mu   sync.Mutex
	want map[string]wanted // by group's letter
	has  map[string]have   // by guest
	turn int               // of the last order to a guest
}

// wanted is a load, in percent of the memory, and the how manieth order it was: one
// that is given again is obeyed again.
type wanted struct{ percent, order int }

// have is what a guest was filled to, and in which life.
type have struct {
	wanted
	life Life
}

// firstLoad is what a lab starts with, in percent: more than what a base could
// bear for another, so that every group is in Moderate.
const firstLoad = 60

func newLoads() *loads {
	l := &loads{want: map[string]wanted{}, has: map[string]have{}}
	for _, s := range services {
		l.want[s.letter] = wanted{percent: firstLoad}
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
			l.want[s.letter] = wanted{n, l.want[s.letter].order + 1}
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
			serves := rows.Operation.Has(s.Host)
			if w, ok := want[s.Host[:1]]; ok && (w.percent == 0 || serves) && !strings.Contains(s.Host, "b") {
				all.Go(func() { r.fill(ctx, s.Host, w) })
			}
		}
		all.Wait()
	}
}

// fill brings one guest to its load, where it runs and its host is awake.
func (r *room) fill(ctx context.Context, guest string, w wanted) {
	h, _, err := r.whereabouts(guest)
	if p, perr := r.power(h.Name); err != nil || perr != nil || p.now() != powerOn {
		return
	}
	life, err := r.Life(guest)
	turn, lacks := r.loads.lacks(guest, have{w, life})
	if err != nil || !lacks {
		return
	}
	if r.InGuest(ctx, guest, "fill-memory", strconv.Itoa(w.percent), strconv.Itoa(turn)) == nil { // else the next look tries again
		r.loads.mu.Lock()
		r.loads.has[guest] = have{w, life}
		r.loads.mu.Unlock()
	}
}

// lacks reports whether a guest has yet to be brought to its load, and whose turn it
// is. One that restarted has lost what it had.
func (l *loads) lacks(guest string, now have) (turn int, lacks bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.turn++
	was, known := l.has[guest]
	if now.percent == 0 && (!known || was.life != now.life) {
		return l.turn, false
	}
	return l.turn, was != now
}
