package notes_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"pss-msbs/pkg/notes"
)

// A disk in memory does what that of the operating system does.
func TestMemoryIsLikeADisk(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	for kind, d := range map[string]notes.Disk{"memory": &notes.Memory{}, "system": notes.On(nil)} {
		t.Run(kind, func(t *testing.T) {
			if _, err := d.Read(at("b.json"), 9); !errors.Is(err, fs.ErrNotExist) || d.Has(at("b.json")) {
				t.Errorf("there already: %v", err)
			}
			ok(t, d.Write(at("b.json"), []byte("old"), false))
			ok(t, d.Write(at("b.json"), []byte("newer"), true))
			ok(t, d.Mark(at("a")))
			ok(t, d.Write(at("c"), []byte("full"), false))
			ok(t, d.Mark(at("c")))
			ok(t, d.Sync(dir))
			for name, want := range map[string]string{"b.json": "newe", "a": "", "c": "full"} {
				if b, err := d.Read(at(name), 4); err != nil || string(b) != want || !d.Has(at(name)) {
					t.Errorf("%s says %q, %v", name, b, err)
				}
			}
			ok(t, d.Rename(at("c"), at("0")))
			ok(t, d.Remove(at("a")))
			ok(t, d.Remove(at("a")))
			if names, err := d.List(dir); err != nil || !reflect.DeepEqual(names, []string{"0", "b.json"}) {
				t.Errorf("%v, %v", names, err)
			}
			if err := d.Rename(at("a"), at("c")); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("renamed what is not there: %v", err)
			}
		})
	}
}

// A lock is had once at a time.
func TestTryLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	for kind, d := range map[string]notes.Disk{"memory": &notes.Memory{}, "system": notes.On(nil)} {
		unlock, err := d.TryLock(path)
		if err != nil || unlock == nil {
			t.Fatalf("%s: %v", kind, err)
		}
		if again, err := d.TryLock(path); err != nil || again != nil {
			t.Errorf("%s: had twice, %v", kind, err)
		}
		unlock()
		if unlock, err = d.TryLock(path); err != nil || unlock == nil {
			t.Fatalf("%s: not had again, %v", kind, err)
		}
		unlock()
	}
}

// Nothing is read that is no regular file, and a pipe is not waited for.
func TestOnlyFilesAreRead(t *testing.T) {
	dir := t.TempDir()
	ok(t, os.Symlink("/dev/zero", filepath.Join(dir, "link")))
	for _, path := range []string{dir, filepath.Join(dir, "link"), "/dev/zero"} {
		if b, err := notes.On(nil).Read(path, 9); err == nil {
			t.Errorf("%s says %q", path, b)
		}
	}
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
