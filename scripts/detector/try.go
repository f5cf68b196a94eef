package main

import (
	"fmt"
	"hash/fnv"
	"runtime"
	"sync"
	"time"
)

// options are how much is tried.
type options struct {
	years  float64 // without a fault, each row and rule
	faults int     // of each kind
	seed   uint64
}

const year = 365 * 24 * time.Hour

// shards is into how many parts a row's year is cut, each with a detector of its own.
const shards = 8

// trial is one row as it is tried: its lines, and what fills them.
type trial struct {
	row   row
	o     options
	mu    sync.Mutex
	lines []*line
	jobs  []func()
}

// try fills the lines of one row.
func try(r row, o options) []*line {
	t := &trial{row: r, o: o}
	for _, who := range []string{"fast", "paper", "keepalived 1 s", "keepalived 0.1 s", "Pacemaker"} {
		t.lines = append(t.lines, &line{row: r.name, who: who, open: r.open, found: map[fault]times{}})
	}
	for i, p := range profiles() {
		for _, f := range faults {
			t.jobs = append(t.jobs, func() { t.inject(i, p, f) })
		}
		for s := range shards {
			t.jobs = append(t.jobs, func() { t.watch(i, p, s) })
		}
	}
	inParallel(t.jobs)
	return t.lines
}

// run is a run of the i-th profile; the rivals play along with the first.
func (t *trial) run(i int, p profile, what int) *run {
	h := fnv.New64a()
	fmt.Fprint(h, t.o.seed, t.row.name, p.name, what)
	return newRun(t.row, p, h.Sum64(), i == 0)
}

// watch plays one shard of a year without faults.
func (t *trial) watch(i int, p profile, shard int) {
	n := t.run(i, p, shard)
	n.until(time.Duration(t.o.years * float64(year) / shards))
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lines[i].tally.add(n.tally)
	for k, v := range n.rivals {
		t.lines[len(profiles())+k].tally.add(v.counts())
	}
}

// longest is how long a fault lasts that is not found.
const longest = 2 * time.Minute

// inject has faults happen at random moments and notes how long each took to be found.
func (t *trial) inject(i int, p profile, f fault) {
	n := t.run(i, p, 1000+int(f))
	mine, theirs := times{}, make([]times, len(n.rivals))
	n.until(5 * time.Minute)
	for range t.o.faults {
		at := n.now + 20*time.Second + n.w.upTo(20*time.Second)
		n.strike(f, at)
		for k, v := range n.rivals {
			theirs[k] = append(theirs[k], since(v.detects(f, at), at))
		}
		mine = append(mine, n.find(at, longest))
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lines[i].found[f] = mine
	for k, found := range theirs {
		t.lines[len(profiles())+k].found[f] = found
	}
}

// since is the time from a fault to when it was found.
func since(found, at time.Duration) time.Duration {
	if found == never {
		return never
	}
	return found - at
}

// inParallel does the jobs, as many at a time as there are processors.
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
