package conffile

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pss-msbs/pkg/clock"
	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/lockedfile"
)

const long = 10 * time.Second // fails a test that waits for nothing

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
		if waited := time.Since(start); waited > 10*time.Second+2*quiet {
			t.Errorf("told after %s", waited)
		}
		cancel()
		for range changes {
		}
	})
}

// A poll that falls between the two steps of an editor that writes in place
// does not tell of half a file.
func TestPollLetsAnEditorFinish(t *testing.T) {
	dir := paper(t)
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		whole := read(t, dir, State)
		changes := Open(dir, Options{NoNotify: true, Poll: time.Second}).Watch(ctx)
		time.Sleep(990 * time.Millisecond)
		write(t, dir, State, "")
		defer finish(t, dir, whole)()
		<-changes
		if got := read(t, dir, State); got == "" {
			t.Error("told of a file half written")
		}
		cancel()
		for range changes {
		}
	})
}

// Somebody who looks between the two steps does not find fault with half a file.
func TestViewLetsAnEditorFinish(t *testing.T) {
	dir := paper(t)
	synctest.Test(t, func(t *testing.T) {
		whole := read(t, dir, State)
		write(t, dir, State, "")
		defer finish(t, dir, whole)()
		if _, err := Open(dir, Options{}).View(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// finish is the second step of an editor that has emptied a file; it is to be waited for.
func finish(t *testing.T, dir, whole string) (wait func()) {
	var editor sync.WaitGroup
	editor.Go(func() {
		time.Sleep(15 * time.Millisecond)
		write(t, dir, State, whole+"# by hand\n")
	})
	return editor.Wait
}

func TestWatchOfNoDirectoryEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	changes := Open(t.TempDir()+"/none", Options{}).Watch(ctx)
	cancel()
	for range changes {
	}
}

// TestWatchTellsABurstOnceARest: what changes again and again is told at once,
// then no more often than every half second, and the last change not later.
func TestWatchTellsABurstOnceARest(t *testing.T) {
	dir := paper(t)
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		disk := lockedfile.NewMemory()
		for _, name := range Names() {
			disk.WriteFile(name, []byte(read(t, dir, name)))
		}
		d := Open(dir, Options{Poll: time.Hour, Disk: disk})
		changes := d.Watch(ctx)
		var told []time.Time
		done := make(chan struct{})
		go func() {
			defer close(done)
			for range changes {
				told = append(told, time.Now())
			}
		}()
		began := time.Now()
		edits := []func(*cluster.Tables) error{takeover, handBack}
		for i := range 40 { // two seconds
			if err := d.Update(ctx, edits[i%2]); err != nil {
				t.Fatal(err)
			}
			time.Sleep(50 * time.Millisecond)
		}
		ended := time.Now()
		time.Sleep(time.Minute)
		cancel()
		<-done
		if len(told) < 4 || len(told) > 6 || told[0].Sub(began) > 50*time.Millisecond || told[len(told)-1].Sub(ended) > time.Second {
			t.Errorf("told %d times, first after %v, last %v after the last change", len(told), told[0].Sub(began), told[len(told)-1].Sub(ended))
		}
	})
}
