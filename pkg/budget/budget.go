// Package budget keeps how often a server was recovered, in a file of the state
// directory (budget-NAME.json): a server that needs more than a few recoveries
// in some hours is left to its backup and to the operator (SPEC 5). In another
// (resets.json) all programs keep together which servers they have reset.
package budget

import (
	"fmt"
	"path/filepath"
	"time"

	"pss-msbs/pkg/notes"
)

// Recovery is one recovery of a server. One that was cut off by the end of its
// program has no End and is continued, not counted again.
type Recovery struct {
	Start   time.Time `json:"start"`
	End     time.Time `json:"end,omitzero"`
	Outcome string    `json:"outcome,omitempty"` // "recovered" or why not
}

// Record is the content of a budget file.
type Record struct {
	Host       string     `json:"host"`
	Recoveries []Recovery `json:"recoveries"`
	// Exhausted is set while the server is left alone; Until is when the next recovery is due.
	Exhausted bool      `json:"exhausted,omitempty"`
	Until     time.Time `json:"until,omitzero"`
}

// File is the budget of one server. It has one owner at a time, the holder of
// the server's monitor lock.
type File struct {
	Path   string
	Disk   notes.Disk // where that is; nil: of the operating system
	Host   string
	Limit  int           // recoveries ...
	Window time.Duration // ... within so long
}

// Path is where the budget of host lies.
func Path(stateDir, host string) string {
	return filepath.Join(stateDir, "budget-"+host+".json")
}

// Read reads a budget file from disk, nil for that of the operating system; a
// missing one is an empty record.
func Read(disk notes.Disk, path string) (Record, error) {
	var r Record
	if err := load(disk, path, &r); err != nil {
		return Record{}, fmt.Errorf("cannot read the restart budget %v", err)
	}
	return r, nil
}

// Begin asks for a recovery at now. The answer is zero if it may begin (it is
// then recorded), else when it may. An open recovery is continued.
func (f File) Begin(now time.Time) (time.Time, error) {
	r, err := f.current(now)
	if err != nil {
		return time.Time{}, err
	}
	if n := len(r.Recoveries); n > 0 && r.Recoveries[n-1].End.IsZero() {
		return time.Time{}, nil
	}
	if n := len(r.Recoveries); n >= f.Limit && n > 0 {
		r.Exhausted, r.Until = true, r.Recoveries[n-f.Limit].Start.Add(f.Window)
		return r.Until, f.write(r)
	}
	r.Recoveries = append(r.Recoveries, Recovery{Start: now})
	return time.Time{}, f.write(r)
}

// End closes the open recovery, if there is one.
func (f File) End(now time.Time, outcome string) error {
	return f.close(now, func(r *Record) {
		last := &r.Recoveries[len(r.Recoveries)-1]
		last.End, last.Outcome = now, outcome
	})
}

// Drop forgets the open recovery, if there is one: it counts for nothing.
func (f File) Drop(now time.Time) error {
	return f.close(now, func(r *Record) { r.Recoveries = r.Recoveries[:len(r.Recoveries)-1] })
}

func (f File) close(now time.Time, how func(*Record)) error {
	r, err := f.current(now)
	if err != nil {
		return err
	}
	if n := len(r.Recoveries); n == 0 || !r.Recoveries[n-1].End.IsZero() {
		return nil
	}
	how(&r)
	return f.write(r)
}

// current is the record without what fell out of the window. A file that
// cannot be understood is put aside, with one error: the next one counts anew.
func (f File) current(now time.Time) (Record, error) {
	r, err := Read(f.Disk, f.Path)
	if err != nil {
		_ = notes.On(f.Disk).Rename(f.Path, f.Path+".rejected")
		return Record{}, err
	}
	kept := within(r.Recoveries, func(one *Recovery) *time.Time { return &one.Start }, f.Window, now)
	return Record{Host: f.Host, Recoveries: kept}, nil
}

func (f File) write(r Record) error {
	if err := store(f.Disk, f.Path, r); err != nil {
		return fmt.Errorf("cannot write the restart budget: %v", err)
	}
	return nil
}
