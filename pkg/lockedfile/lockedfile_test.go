package lockedfile

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"pss-msbs/pkg/clock"
)

var ctx = context.Background()

var names = []string{"a.conf", "b.conf", "c.conf"}

// files makes a directory whose files all say text.
func files(t testing.TB, text string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range names {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func all(text string) []Change {
	var out []Change
	for _, name := range names {
		out = append(out, Change{Name: name, Data: []byte(text)})
	}
	return out
}

func commit(s *Store, changes []Change) error {
	l, err := s.Lock(ctx)
	if err != nil {
		return err
	}
	defer l.Unlock()
	return l.Commit(changes)
}

// look reads the files under the lock and fails where they are not of one transaction.
func look(t *testing.T, dir string) string {
	t.Helper()
	var said []string
	err := New(dir, Options{Files: names}).Read(ctx, func() error {
		said = nil
		for _, name := range names {
			b, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil {
				return err
			}
			said = append(said, string(b))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range said {
		if text != said[0] {
			t.Fatalf("half a transaction: %q", said)
		}
	}
	return said[0]
}

func entries(t *testing.T, dir string) string {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range list {
		out = append(out, e.Name())
	}
	return strings.Join(out, " ")
}

func TestCommit(t *testing.T) {
	dir := files(t, "before")
	s := New(dir, Options{Files: names})
	if err := commit(s, []Change{{Name: "a.conf", Data: []byte("after")}, {Name: "new.conf", Data: nil, Like: "b.conf"}}); err != nil {
		t.Fatal(err)
	}
	if got, want := entries(t, dir), ".last .lock a.conf b.conf c.conf new.conf"; got != want {
		t.Errorf("the directory holds %s, want %s", got, want)
	}
	for name, want := range map[string]string{"a.conf": "after", "b.conf": "before", "new.conf": "", ".last/a.conf": "after", ".last/b.conf": "before"} {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || string(b) != want {
			t.Errorf("%s says %q (%v), want %q", name, b, err, want)
		}
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Mode().Perm() != 0o640 {
			t.Errorf("%s has mode %v, want 0640", name, info.Mode())
		}
	}
}

func TestOwnerIsKept(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root may give files away")
	}
	dir := files(t, "before")
	if err := os.Chown(filepath.Join(dir, "a.conf"), 12345, 54321); err != nil {
		t.Fatal(err)
	}
	if err := commit(New(dir, Options{Files: names}), all("after")); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(dir, "a.conf"))
	if err != nil {
		t.Fatal(err)
	}
	if st := info.Sys().(*syscall.Stat_t); st.Uid != 12345 || st.Gid != 54321 {
		t.Errorf("owner %d:%d, want 12345:54321", st.Uid, st.Gid)
	}
}

// Any single operation may fail, once or for good: an error means that nothing
// changed, no error that everything did, and the next transaction works.
func TestFailingDisk(t *testing.T) {
	var steps []Step
	record := func(s Step) error { steps = append(steps, s); return nil }
	if err := commit(New(files(t, "before"), Options{Files: names, Step: record}), all("after")); err != nil {
		t.Fatal(err)
	}
	if len(steps) < 30 {
		t.Fatalf("only %d steps", len(steps))
	}
	for i, step := range steps {
		for _, often := range []string{"once", "for good"} {
			for _, fault := range []error{syscall.ENOSPC, syscall.EIO} {
				t.Run(fmt.Sprintf("%d %s %s %v", i, step, often, fault), func(t *testing.T) {
					dir, n := files(t, "before"), 0
					fail := func(s Step) error {
						n++
						if n == i+1 || n > i+1 && often == "for good" && s == step {
							return fault
						}
						return nil
					}
					err := commit(New(dir, Options{Files: names, Step: fail}), all("after"))
					want := "after"
					if err != nil {
						want = "before"
						if !errors.Is(err, fault) {
							t.Errorf("the error hides %v: %v", fault, err)
						}
					}
					if got := look(t, dir); got != want {
						t.Errorf("the files say %s, want %s (error %v)", got, want, err)
					}
					if err := commit(New(dir, Options{Files: names}), all("later")); err != nil {
						t.Fatal(err)
					}
					if got := look(t, dir); got != "later" {
						t.Errorf("then they say %s", got)
					}
					if got, want := entries(t, dir), ".last .lock a.conf b.conf c.conf"; got != want {
						t.Errorf("the directory holds %s, want %s", got, want)
					}
				})
			}
		}
	}
}

func TestDamagedJournalIsUndone(t *testing.T) {
	for name, text := range map[string]string{"no text": "", "half": `{"entries":[{"temp":".a.`, "outside": `{"entries":[{"temp":"../x","name":"a.conf"}]}`} {
		t.Run(name, func(t *testing.T) {
			dir := files(t, "before")
			if err := os.WriteFile(filepath.Join(dir, journalName), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			if got := look(t, dir); got != "before" {
				t.Errorf("the files say %s", got)
			}
			if got, want := entries(t, dir), ".lock a.conf b.conf c.conf"; got != want {
				t.Errorf("the directory holds %s, want %s", got, want)
			}
		})
	}
}

func TestReadingMakesNoLockFile(t *testing.T) {
	dir := files(t, "before")
	look(t, dir)
	if got, want := entries(t, dir), "a.conf b.conf c.conf"; got != want {
		t.Errorf("the directory holds %s, want %s", got, want)
	}
}

// A writer that comes while a reader reads without a lock file makes it read again.
func TestReadAgainWhenAWriterCame(t *testing.T) {
	dir, reads := files(t, "before"), 0
	err := New(dir, Options{Files: names}).Read(ctx, func() error {
		reads++
		if reads > 1 {
			return nil
		}
		return commit(New(dir, Options{Files: names}), all("after"))
	})
	if err != nil || reads != 2 {
		t.Errorf("%d reads (%v), want 2", reads, err)
	}
}

func TestWaitIsBoundedAndNamesTheHolder(t *testing.T) {
	dir := files(t, "before")
	synctest.Test(t, func(t *testing.T) {
		held, err := New(dir, Options{Holder: "sif M1"}).Lock(ctx)
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		for name, lock := range map[string]func() error{
			"writer": func() error { return commit(New(dir, Options{Files: names}), nil) },
			"reader": func() error { return New(dir, Options{}).Read(ctx, func() error { return nil }) },
		} {
			err := lock()
			if want := fmt.Sprintf("held by sif M1 pid %d", os.Getpid()); !errors.Is(err, ErrBusy) || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want ErrBusy and %q", name, err, want)
			}
		}
		if waited := time.Since(start); waited < 20*time.Second || waited > 21*time.Second {
			t.Errorf("two waits took %s, want 10 s each", waited)
		}
		held.Unlock()
		held.Unlock()
		if err := commit(New(dir, Options{Files: names}), all("after")); err != nil {
			t.Error(err)
		}
	})
}

func TestWaitEndsWithTheContext(t *testing.T) {
	dir := files(t, "before")
	synctest.Test(t, func(t *testing.T) {
		held, err := New(dir, Options{}).Lock(ctx)
		if err != nil {
			t.Fatal(err)
		}
		defer held.Unlock()
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		if _, err := New(dir, Options{}).Lock(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v, want the context's error", err)
		}
	})
}

func TestWaitersGetTheLockAsSoonAsItIsFree(t *testing.T) {
	dir := files(t, "before")
	synctest.Test(t, func(t *testing.T) {
		held, err := New(dir, Options{}).Lock(ctx)
		if err != nil {
			t.Fatal(err)
		}
		start, done := time.Now(), make(chan error)
		go func() { done <- commit(New(dir, Options{Files: names}), all("after")) }()
		time.Sleep(4 * time.Second)
		held.Unlock()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if waited := time.Since(start); waited > 4*time.Second+longPause {
			t.Errorf("got it after %s", waited)
		}
	})
}

// A fast clock must not shorten the wait below what a disk needs.
func TestFastClockWaitsLongEnough(t *testing.T) {
	s := New(t.TempDir(), Options{Clock: clock.Clock{Speed: 1000}})
	if got := s.opt.Clock.Wall(s.atLeast(s.opt.Wait, wallWait)); got != wallWait {
		t.Errorf("waits %s on the wall clock, want %s", got, wallWait)
	}
}

// Writers in many goroutines count in every file; readers see one number only.
func TestManyWritersAndReaders(t *testing.T) {
	const writers, each = 4, 5
	dir := files(t, "0")
	var group sync.WaitGroup
	for range writers {
		group.Go(func() {
			s := New(dir, Options{Files: names, Wait: time.Minute})
			for range each {
				if err := increment(s, dir); err != nil {
					t.Error(err)
				}
				look(t, dir)
			}
		})
	}
	group.Wait()
	if got := look(t, dir); got != strconv.Itoa(writers*each) {
		t.Errorf("counted %s, want %d", got, writers*each)
	}
}

func increment(s *Store, dir string) error {
	l, err := s.Lock(ctx)
	if err != nil {
		return err
	}
	defer l.Unlock()
	b, err := os.ReadFile(filepath.Join(dir, names[0]))
	if err != nil {
		return err
	}
	n, err := strconv.Atoi(string(b))
	if err != nil {
		return err
	}
	return l.Commit(all(strconv.Itoa(n + 1)))
}

// Whatever stands in a journal, nothing outside the directory changes, no file
// is lost, and the next one to look is not stopped.
func FuzzJournal(f *testing.F) {
	f.Add([]byte(`{"entries":[{"temp":".a.conf.new","name":"a.conf","sha256":"` + newEntry("a.conf", []byte("new"), "").Sum + `"}]}`))
	f.Add([]byte(`{"entries":[{"temp":"../outside","name":"a.conf"}]}`))
	f.Add([]byte(`{"entries":[{"temp":"a.conf","name":"../x","sha256":""}]}`))
	f.Add([]byte("null"))
	f.Fuzz(func(t *testing.T, b []byte) {
		dir := files(t, "before")
		for name, text := range map[string]string{journalName: string(b), ".a.conf.new": "new", "../outside": "outside"} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := New(dir, Options{Files: names}).Read(ctx, func() error { return nil }); err != nil {
			t.Fatal(err)
		}
		for _, name := range append([]string{"../outside"}, names...) {
			if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
				t.Error(err)
			}
		}
		if _, err := os.Stat(filepath.Join(dir, journalName)); err == nil {
			t.Error("the journal is still there")
		}
	})
}

// A writer gets the lock although readers never let it be free.
func TestReadersDoNotStarveAWriter(t *testing.T) {
	dir := files(t, "before")
	if err := commit(New(dir, Options{Files: names}), all("0")); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(ctx)
	var readers sync.WaitGroup
	for i := range 8 {
		readers.Go(func() {
			s := New(dir, Options{Files: names})
			time.Sleep(time.Duration(i) * time.Millisecond)
			for ctx.Err() == nil {
				_ = s.Read(ctx, func() error { time.Sleep(10 * time.Millisecond); return nil })
			}
		})
	}
	time.Sleep(50 * time.Millisecond)
	begun := time.Now()
	for range 5 {
		if err := commit(New(dir, Options{Files: names}), all("after")); err != nil {
			t.Error(err)
		}
	}
	t.Log(time.Since(begun))
	cancel()
	readers.Wait()
}
