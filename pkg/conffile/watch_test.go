package conffile

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"pss-msbs/pkg/clock"
)

const long = 10 * time.Second // fails a test that waits in vain

func wait(t *testing.T, changes <-chan struct{}, what string) {
	t.Helper()
	select {
	case _, ok := <-changes:
		if !ok {
			t.Fatalf("%s: the watch ended", what)
		}
	case <-time.After(long):
		t.Fatalf("%s: not told", what)
	}
}

func TestWatchSeesEditsByHandAndByProgram(t *testing.T) {
	dir := paper(t)
	ctx, cancel := context.WithCancel(t.Context())
	changes := Open(dir, Options{Poll: time.Hour}).Watch(ctx)
	write(t, dir, State, read(t, dir, State)+"# by hand\n")
	wait(t, changes, "hand edit")
	if err := Open(dir, Options{}).Update(ctx, stopW2); err != nil {
		t.Fatal(err)
	}
	wait(t, changes, "program's edit")
	cancel()
	for range changes { // closed once the watch has ended
	}
}

func TestWatchWithoutNotifyPolls(t *testing.T) {
	dir := paper(t)
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		changes := Open(dir, Options{Clock: clock.Clock{}, NoNotify: true, Poll: 10 * time.Second}).Watch(ctx)
		time.Sleep(time.Minute)
		if len(changes) > 0 {
			t.Error("told of a change that was none")
		}
		start := time.Now()
		if err := Open(dir, Options{}).Update(ctx, stopW2); err != nil {
			t.Fatal(err)
		}
		<-changes
		if waited := time.Since(start); waited > 10*time.Second {
			t.Errorf("told after %s", waited)
		}
		cancel()
		for range changes {
		}
	})
}

func TestWatchOfNoDirectoryEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	changes := Open(t.TempDir()+"/none", Options{}).Watch(ctx)
	cancel()
	for range changes {
	}
}
