package conf_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/conffile"
	"pss-msbs/pkg/edits"
	"pss-msbs/pkg/pss/conf"
	"pss-msbs/pkg/pss/ops"
)

var (
	_ ops.Files = conf.Files{}
	_ ops.Files = conf.Rescue{}
)

// broken is the paper's directory with last good copies and then half a row in
// operation.conf.
func broken(t *testing.T) (*conffile.Dir, string) {
	t.Helper()
	path := t.TempDir()
	if err := os.CopyFS(path, os.DirFS("../../../testdata/paper")); err != nil {
		t.Fatal(err)
	}
	dir := conffile.Open(path, conffile.Options{})
	if err := dir.Renew(t.Context()); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(path, conffile.Operation)
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, append(b, "Mail 172.21.14.201 172."...), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir, path
}

func kept(t *testing.T, path string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(path, "*.rejected-*"))
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// Shifts stop at a file that cannot be used, and leave it as it is.
func TestFilesStop(t *testing.T) {
	dir, path := broken(t)
	f := conf.Files{Dir: dir}
	_, view := f.View(t.Context())
	held, hold := f.Hold(t.Context())
	update := f.Update(t.Context(), func(*cluster.Tables) error { t.Error("called"); return nil })
	for what, err := range map[string]error{"view": view, "hold": hold, "update": update} {
		var faults *conffile.Faults
		if !errors.As(err, &faults) || !strings.Contains(err.Error(), conffile.Operation+":") {
			t.Errorf("%s: %v", what, err)
		}
	}
	if held != nil {
		t.Error("a lock beside the error")
	}
	if files := kept(t, path); len(files) != 0 {
		t.Errorf("kept %v", files)
	}
}

// A rescue goes on from the last good copy; what the file said is kept, with
// one alarm.
func TestRescueGoesOn(t *testing.T) {
	for name, write := range map[string]func(t *testing.T, r conf.Rescue, do func(*cluster.Tables) error) error{
		"update": func(t *testing.T, r conf.Rescue, do func(*cluster.Tables) error) error {
			return r.Update(t.Context(), do)
		},
		"hold": func(t *testing.T, r conf.Rescue, do func(*cluster.Tables) error) error {
			held, err := r.Hold(t.Context())
			if err != nil {
				return err
			}
			defer held.Close()
			if len(held.Tables().Operation) != 6 {
				t.Errorf("operation %v", held.Tables().Operation)
			}
			return held.Commit(do)
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir, path := broken(t)
			var log bytes.Buffer
			r := conf.Rescue{Dir: dir, Log: zerolog.New(&log)}
			before, err := r.View(t.Context())
			if err != nil || len(before.Operation) != 6 || len(kept(t, path)) != 0 {
				t.Fatalf("%v, operation %v", err, before.Operation)
			}
			m1, m2 := before.Operation[0], cluster.Guest{}
			for _, row := range before.Operation {
				if row.Host == "M2" {
					m2 = row.Guest()
				}
			}
			err = write(t, r, func(t *cluster.Tables) error {
				edits.Move{VIP: m1.VIP, To: m2}.Make(t, t.Homes(nil))
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			after, err := dir.View(t.Context())
			if err != nil || len(after.Operation.Of("M2")) != 2 {
				t.Errorf("%v, operation %v", err, after.Operation)
			}
			if files := kept(t, path); len(files) != 1 || strings.Count(log.String(), "alarm: ") != 1 ||
				!strings.Contains(log.String(), filepath.Base(files[0])) {
				t.Errorf("kept %v, said\n%s", files, &log)
			}
		})
	}
}
