package lockedfile

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
)

// everything is what a disk says, file by file.
func everything(t *testing.T, d Disk) map[string]string {
	t.Helper()
	s := New("dir", Options{Disk: d})
	out := map[string]string{}
	for _, dir := range []string{".", LastDir} {
		names, err := d.List(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		for _, name := range names {
			if name == lockName || name == LastDir {
				continue
			}
			b, err := s.read(dir + "/" + name)
			if err != nil {
				t.Fatal(err)
			}
			out[dir+"/"+name] = string(b)
		}
	}
	return out
}

// A transaction that fails at any of its operations leaves the same behind in
// memory as on the disk of the operating system, and so does the next one.
func TestMemoryIsLikeADisk(t *testing.T) {
	for n := range 40 {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			memory, real := NewMemory(), directory(t.TempDir())
			var steps [2][]string
			var errs [2][]bool
			for i, d := range []Disk{memory, real} {
				fill(t, d, "a", "b")
				left := n
				s := New("dir", Options{Files: []string{"a", "b"}, Disk: d, Step: func(s Step) error {
					steps[i] = append(steps[i], s.String())
					if left--; left == -1 {
						return errors.New("no")
					}
					return nil
				}})
				for _, text := range []string{"one", "two"} {
					err := change(s, text)
					errs[i] = append(errs[i], err != nil)
				}
			}
			if diff := cmp.Diff(everything(t, real), everything(t, memory)); diff != "" {
				t.Errorf("memory differs from the disk (-disk +memory):\n%s", diff)
			}
			if !slices.Equal(errs[0], errs[1]) || !slices.Equal(steps[0], steps[1]) {
				t.Errorf("memory fails %v at %q, the disk %v at %q", errs[0], steps[0], errs[1], steps[1])
			}
		})
	}
}

func fill(t *testing.T, d Disk, names ...string) {
	t.Helper()
	for _, name := range names {
		f, err := d.Create(name)
		if err == nil {
			_, err = f.Write([]byte("zero"))
		}
		if err = errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
	}
}

func change(s *Store, text string) error {
	l, err := s.Lock(context.Background())
	if err != nil {
		return err
	}
	defer l.Unlock()
	return l.Commit([]Change{{Name: "a", Data: []byte(text + " a")}, {Name: "b", Data: []byte(text + " b")}})
}

// Readers share the lock of a memory disk, a writer waits for them and is
// waited for; whoever changed something is seen when it gives the lock back.
func TestMemoryLock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMemory()
		fill(t, m, "a", "b")
		released := 0
		m.Released = func() { released++ }
		told, cancel := m.Subscribe()
		defer cancel()
		s := New("dir", Options{Files: []string{"a", "b"}, Disk: m, Holder: "writer"})
		err := s.Read(t.Context(), func() error {
			return s.Read(t.Context(), func() error {
				if l, err := m.Lock(true); l != nil || err != nil {
					t.Errorf("a writer got %v, %v among readers", l, err)
				}
				return nil
			})
		})
		if err != nil {
			t.Fatal(err)
		}
		l, err := s.Lock(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Read(t.Context(), func() error { return nil }); !errors.Is(err, ErrBusy) {
			t.Errorf("a reader beside a writer: %v", err)
		}
		l.Unlock()
		if released != 0 {
			t.Error("told of a change where there was none")
		}
		if err := change(s, "one"); err != nil || released != 1 {
			t.Errorf("%v, told %d times of one change", err, released)
		}
		select {
		case <-told:
		default:
			t.Error("the subscriber was not told")
		}
	})
}
