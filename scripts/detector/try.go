package main

import (
	"fmt"
	"hash/fnv"
	"runtime"
	"strings"
	"sync"
	"time"
)

type options struct {
	years  float64
	faults int
	seed   uint64
}

const year = 365 * 24 * time.Hour

// line is one line of the table.
type line struct {
	row, who string
	tally    tally
	found    map[fault]times
}

// shards is into how many parts a row's year is cut.
const shards = 8

// try fills the lines of one row.
func try(r row, o options) []*line {
	lines := []*line{{who: "fast"}, {who: "paper"}, {who: "keepalived 1 s"}, {who: "keepalived 0.1 s"}, {who: "Pacemaker"}}
	for _, l := range lines {
		l.row, l.found = r.name, map[fault]times{}
	}
	var mu sync.Mutex
	var jobs []func()
	for i, p := range profiles() {
		for s := range shards {
			jobs = append(jobs, func() {
				n := newRun(r, p, seed(o.seed, r.name, p.name, s), i == 0)
				n.until(time.Duration(o.years * float64(year) / shards))
				mu.Lock()
				defer mu.Unlock()
				lines[i].tally.add(n.tally)
				for k, v := range n.rivals {
					lines[2+k].tally.add(v.counts())
				}
			})
		}
		for _, f := range faults {
			jobs = append(jobs, func() {
				mine, theirs := inject(newRun(r, p, seed(o.seed, r.name, p.name, 100+int(f)), i == 0), f, o.faults)
				mu.Lock()
				defer mu.Unlock()
				lines[i].found[f] = mine
				for k, t := range theirs {
					lines[2+k].found[f] = t
				}
			})
		}
	}
	inParallel(jobs)
	return lines
}

// inject has n faults happen at random moments and returns how long each took to be found.
func inject(r *run, f fault, n int) (mine times, theirs []times) {
	theirs = make([]times, len(r.rivals))
	r.until(5 * time.Minute)
	for range n {
		at := r.now + 20*time.Second + r.w.upTo(20*time.Second)
		r.strike(f, at)
		for k, v := range r.rivals {
			found := v.detects(f, at)
			if found < never {
				found -= at
			}
			theirs[k] = append(theirs[k], found)
		}
		mine = append(mine, r.find(at, time.Minute))
	}
	return mine, theirs
}

func inParallel(jobs []func()) {
	work := make(chan func(), len(jobs))
	for _, j := range jobs {
		work <- j
	}
	close(work)
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for j := range work {
				j()
			}
		})
	}
	wg.Wait()
}

func seed(base uint64, row, who string, shard int) uint64 {
	h := fnv.New64a()
	fmt.Fprint(h, base, row, who, shard)
	return h.Sum64()
}

func (l *line) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-18s %-17s %7d %6d %6d ", l.row, l.who, l.tally.Alarms, l.tally.False, l.tally.Harm)
	for _, f := range faults {
		t := l.found[f]
		fmt.Fprintf(&b, " %6s/%6s", seconds(t.quantile(0.5)), seconds(t.quantile(0.99)))
	}
	for _, w := range l.tally.Why {
		b.WriteString("\n      " + w)
	}
	return b.String()
}

func seconds(d time.Duration) string {
	if d >= never/2 {
		return "-"
	}
	return fmt.Sprintf("%.2f", d.Seconds())
}
