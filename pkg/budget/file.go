package budget

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// load reads a file of this package; a missing one leaves into as it is.
func load(path string, into any) error {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = json.Unmarshal(b, into)
	}
	if err != nil {
		return &fs.PathError{Op: "read", Path: path, Err: err}
	}
	return nil
}

// store replaces a file as a whole: a reader sees the old or the new one.
func store(path string, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(append(b, '\n'))
	err = errors.Join(err, tmp.Sync(), tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	return err
}

// within are the entries that began within the window that ends now. One of
// the future counts as of now: the clock was wrong then, or is now.
func within[T any](all []T, began func(*T) *time.Time, window time.Duration, now time.Time) []T {
	var kept []T
	for _, one := range all {
		t := began(&one)
		if t.After(now) {
			*t = now
		}
		if t.Add(window).After(now) {
			kept = append(kept, one)
		}
	}
	return kept
}
