package lockedfile

import (
	"cmp"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"
)

// fragile is a Disk whose power may fail: what was not synced may be there
// afterwards or not, each content, and each creation, renaming and removal, for
// itself (POSIX promises no more).
type fragile struct {
	mu    sync.Mutex
	now   entrySet // as programs see it
	kept  entrySet // no power cut takes these
	since []event  // from kept to now
	after func()   // called after each change
}

type entrySet map[string]*content

type content struct{ now, kept []byte }

// event is one change of names: from is taken away, to is set.
type event struct {
	from, to string
	c        *content
}

func (e event) happen(to entrySet) {
	if to[e.from] == e.c {
		delete(to, e.from)
	}
	if e.to != "" {
		to[e.to] = e.c
	}
}

func newFragile() *fragile {
	return &fragile{now: entrySet{}, kept: entrySet{}, after: func() {}}
}

// happens changes names. Held: d.mu.
func (d *fragile) happens(e event) {
	e.happen(d.now)
	d.since = append(d.since, e)
}

// do changes the disk.
func (d *fragile) do(change func() error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	err := change()
	d.after()
	return err
}

// cut is what one power cut may leave. Held: d.mu.
func (d *fragile) cut(rnd *rand.Rand) *fragile {
	left := newFragile()
	maps.Copy(left.now, d.kept)
	for _, e := range d.since {
		if rnd.IntN(2) == 0 {
			e.happen(left.now)
		}
	}
	torn := map[*content]*content{}
	for _, name := range slices.Sorted(maps.Keys(left.now)) {
		c := left.now[name]
		if torn[c] == nil {
			torn[c] = c.torn(rnd)
		}
		left.now[name], left.kept[name] = torn[c], torn[c]
	}
	return left
}

// torn is what may be left of a content: as synced, or more of it.
func (c *content) torn(rnd *rand.Rand) *content {
	b := c.kept
	if rnd.IntN(2) == 0 {
		b = c.now[:rnd.IntN(len(c.now)+1)]
		if len(b) < len(c.kept) {
			b = c.kept
		}
	}
	return &content{now: b, kept: b}
}

func notThere(name string) error { return &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist} }

func (d *fragile) Read(name string, most int64) ([]byte, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	c, ok := d.now[path.Clean(name)]
	if !ok {
		return nil, notThere(name)
	}
	return c.now[:min(int64(len(c.now)), most)], nil
}

func (d *fragile) Stamp(name string) (Stamp, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, ok := d.now[path.Clean(name)]; !ok {
		return Stamp{}, notThere(name)
	}
	return Stamp{}, nil
}

func (d *fragile) List(dir string) ([]string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var out []string
	for name := range d.now {
		if path.Dir(name) == path.Clean(dir) {
			out = append(out, path.Base(name))
		}
	}
	return out, nil
}

func (d *fragile) Create(name string) (File, error) {
	c := &content{}
	return fragileFile{d, c}, d.do(func() error { d.happens(event{to: path.Clean(name), c: c}); return nil })
}

func (d *fragile) Rename(from, to string) error {
	return d.do(func() error {
		c, ok := d.now[path.Clean(from)]
		if !ok {
			return notThere(from)
		}
		d.happens(event{path.Clean(from), path.Clean(to), c})
		return nil
	})
}

func (d *fragile) Remove(name string) error {
	return d.do(func() error {
		c, ok := d.now[path.Clean(name)]
		if !ok {
			return notThere(name)
		}
		d.happens(event{from: path.Clean(name), c: c})
		return nil
	})
}

func (d *fragile) MakeDir(string) error { return nil }

func (d *fragile) SyncDir(dir string) error {
	return d.do(func() error {
		d.since = slices.DeleteFunc(d.since, func(e event) bool {
			in := path.Dir(cmp.Or(e.from, e.to)) == path.Clean(dir) // nothing goes from one directory to another
			if in {
				e.happen(d.kept)
			}
			return in
		})
		return nil
	})
}

func (d *fragile) Lock(bool) (Latch, error) { return fragileLatch{}, nil }

type fragileLatch struct{}

func (fragileLatch) Tell(string) error { return nil }
func (fragileLatch) Close() error      { return nil }

type fragileFile struct {
	d *fragile
	c *content
}

func (f fragileFile) Write(b []byte) (int, error) {
	return len(b), f.d.do(func() error { f.c.now = append(slices.Clip(f.c.now), b...); return nil })
}

func (f fragileFile) Sync() error {
	return f.d.do(func() error { f.c.kept = f.c.now; return nil })
}

func (f fragileFile) Like(string) error { return nil }
func (f fragileFile) Close() error      { return nil }

// said is what the files, and their last good copies, say after a power cut.
func said(d *fragile) (string, error) {
	var out []string
	err := New("", Options{Files: names, Disk: d}).Read(ctx, func() error {
		for _, name := range names {
			for _, n := range []string{name, LastDir + "/" + name} {
				b, err := d.Read(n, math.MaxInt64)
				if err != nil {
					return err
				}
				out = append(out, string(b))
			}
		}
		return nil
	})
	slices.Sort(out)
	if out = slices.Compact(out); err == nil && len(out) > 1 {
		err = fmt.Errorf("half a transaction: %q", out)
	}
	return strings.Join(out, " "), err
}

// The power fails after any operation of a transaction: all files are as before
// or all as after, and what was committed stays.
func TestPowerFails(t *testing.T) {
	const outcomes = 30 // of each power cut
	d := newFragile()
	for _, name := range names {
		c := &content{now: []byte("version 0"), kept: []byte("version 0")}
		d.now[name], d.kept[name] = c, c
	}
	s := New("", Options{Files: names, Disk: d})
	if err := commit(s, all("version 1")); err != nil {
		t.Fatal(err)
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	before, cuts, wrong := "version 1", 0, ""
	for n := 2; n < 5; n++ {
		after := fmt.Sprintf("version %d", n)
		check := func(want ...string) {
			for range outcomes {
				cuts++
				if got, err := said(d.cut(rnd)); err != nil || !slices.Contains(want, got) {
					wrong = fmt.Sprintf("power cut %d: %s, %v; want %q", cuts, got, err, want)
				}
			}
		}
		d.after = func() { check(before, after) }
		if err := commit(s, all(after)); err != nil {
			t.Fatal(err)
		}
		check(after)
		before = after
		if wrong != "" {
			t.Fatal(wrong)
		}
	}
	if cuts < 1000 {
		t.Errorf("only %d power cuts", cuts)
	}
}
