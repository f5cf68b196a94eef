package watch_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/watch"
)

func TestRoom(t *testing.T) {
	const s = time.Second
	var at, used, idle time.Duration // of four processors
	fails := error(nil)
	r := watch.Room{Least: 0.05, Busy: 0.9, Work: func(context.Context) (cluster.Work, error) {
		return cluster.Work{Used: used, Cores: 1, Idle: idle, Total: 4 * at, Processors: 4}, fails
	}}
	pass := func(d, u, i time.Duration) { at, used, idle = at+d, used+u, idle+i }
	pass(time.Hour, 0, 0)
	for n, c := range []struct {
		passed, used, idle time.Duration
		err                error
		lacks, known       bool
	}{
		{lacks: true}, // the first reading
		{passed: s / 2, lacks: true},
		{passed: s, idle: 4 * s, known: true},
		{passed: s, used: s, known: true},
		{passed: s, used: s / 10, idle: s / 20, lacks: true, known: true},
		{passed: s, used: s / 2, idle: s / 20, lacks: true, known: true}, // it would use more
		{passed: 20 * s, idle: 80 * s, lacks: true},                      // that long ago it was otherwise
		{passed: s, lacks: true, known: true},
		{err: errors.New("not supported"), known: true},
	} {
		pass(c.passed, c.used, c.idle)
		fails = c.err
		if lacks, known := r.Lacks(t.Context()); lacks != c.lacks || known != c.known {
			t.Errorf("%d: lacks %t, known %t; want %t, %t", n, lacks, known, c.lacks, c.known)
		}
	}
	r.Least = 0
	if lacks, known := r.Lacks(t.Context()); lacks || !known {
		t.Error("it is asked where nothing need be idle")
	}
}
