package budget

import (
	"encoding/json"
	"errors"
	"io/fs"
	"time"

	"pss-msbs/pkg/notes"
)

// load reads a file of this package; a missing one leaves into as it is.
func load(disk notes.Disk, path string, into any) error {
	b, err := notes.On(disk).Read(path, notes.MaxSize)
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

// store replaces a file of this package.
func store(disk notes.Disk, path string, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return notes.On(disk).Write(path, append(b, '\n'), true)
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
