package conffile

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"time"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/lockedfile"
)

// View is what the files say now, under the shared lock. Files that cannot be
// used give *Faults, unless an editor that writes in place has just begun: then
// View looks once more.
func (d *Dir) View(ctx context.Context) (cluster.Tables, error) {
	s, faults, err := d.Snapshot(ctx)
	if err == nil && len(faults) > 0 && !d.stamps().older(quiet, time.Now()) {
		if err := d.opt.Clock.Sleep(ctx, quiet); err != nil {
			return cluster.Tables{}, err
		}
		s, faults, err = d.Snapshot(ctx)
	}
	if err != nil {
		return cluster.Tables{}, err
	}
	if err := faults.Err(); err != nil {
		return cluster.Tables{}, err
	}
	return s.Tables.Clone(), nil
}

// Snapshot is View with line numbers and with the faults apart. It must not be changed.
func (d *Dir) Snapshot(ctx context.Context) (s *Snapshot, faults Faults, err error) {
	var r reading
	var at stamps
	err = d.store.Read(ctx, func() (err error) {
		r, at, err = d.fetch()
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	r = d.parsed(r, at) // not under the lock: many readers parse
	return r.snap, r.faults, nil
}

// Update changes the files in one transaction: edit gets the tables and may
// change them, or refuse with an error. Files that it leaves alone are not written.
func (d *Dir) Update(ctx context.Context, edit func(*cluster.Tables) error) error {
	h, err := d.Hold(ctx)
	if err != nil {
		return err
	}
	defer h.Close()
	return h.Commit(edit)
}

// Renew brings the last good copies up to date with hand edits. Programs call
// it when they see the files changed, so that a rescue has something recent.
func (d *Dir) Renew(ctx context.Context) error {
	fresh := false
	err := d.store.Read(ctx, func() (err error) {
		fresh, err = d.store.Fresh()
		return err
	})
	if err != nil || fresh { // of many programs that see a hand edit one does the work
		return err
	}
	return d.Update(ctx, func(*cluster.Tables) error { return nil })
}

// Copied reports, without the lock and thus as a hint, whether the last good
// copies are as the files.
func (d *Dir) Copied() bool {
	fresh, err := d.store.Fresh()
	return err == nil && fresh
}

// Held is the files under the exclusive lock. It is for one goroutine. Nobody
// may keep it for more than 5 s, nor while waiting for a boot, a wake or a sif.
type Held struct {
	d        *Dir
	lock     *lockedfile.Lock
	snap     *Snapshot
	contents map[string][]byte
	rejected []Rejected
	replaced map[string]bool // files whose content a rescue exchanged
	rescues  bool            // what stands in the way of a change is kept aside
	salvaged bool            // the rows contradict each other, but nothing better is there
}

// Hold takes the exclusive lock. The caller must Close it.
func (d *Dir) Hold(ctx context.Context) (*Held, error) {
	h, faults, err := d.hold(ctx)
	if err != nil {
		return nil, err
	}
	if err := faults.Err(); err != nil {
		h.Close()
		return nil, err
	}
	return h, nil
}

func (d *Dir) hold(ctx context.Context) (*Held, Faults, error) {
	lock, err := d.store.Lock(ctx)
	if err != nil {
		return nil, nil, err
	}
	r, err := d.reading()
	if err != nil {
		lock.Unlock()
		return nil, nil, err
	}
	return &Held{d: d, lock: lock, snap: r.snap, contents: r.contents, replaced: map[string]bool{}}, r.faults, nil
}

// Tables is what the files say, the commits of this hold included.
func (h *Held) Tables() cluster.Tables { return h.snap.Tables.Clone() }

// Rejected are the files that a rescue replaced, one alarm each; nil elsewhere.
func (h *Held) Rejected() []Rejected { return h.rejected }

// Close gives the lock back. Calling it again does nothing.
func (h *Held) Close() { h.lock.Unlock() }

// Commit changes the files in one transaction and keeps the lock. After an
// error nothing has changed. A file that somebody who knows of no lock wrote
// meanwhile is not overwritten: that is an error, or, in a rescue, kept aside.
func (h *Held) Commit(edit func(*cluster.Tables) error) error {
	t := h.snap.Tables.Clone()
	if err := edit(&t); err != nil {
		return err
	}
	contents := maps.Clone(h.contents)
	changed := h.changed(t)
	maps.Copy(contents, h.snap.Format(t, changed...))
	snap, faults := Parse(h.d.path, contents)
	if err := faults.Err(); err != nil && !h.salvaged {
		return fmt.Errorf("cannot write %s: the change would break it: %w", h.d.path, err)
	}
	if err := h.disturbed(changed); err != nil {
		return err
	}
	if err := h.write(changed, contents); err != nil {
		return fmt.Errorf("cannot write %s: %w", h.d.path, err)
	}
	h.snap, h.contents, h.replaced = snap, contents, map[string]bool{}
	return nil
}

// disturbed looks whether one of the named files was written since it was read,
// as only an editor that knows of no lock does.
func (h *Held) disturbed(names []string) error {
	for _, name := range names {
		b, err := h.d.store.Disk().Read(name, MaxSize+1)
		if h.replaced[name] || err == nil && bytes.Equal(b, h.contents[name]) || errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("cannot read %s: %w", name, err)
		}
		var by Faults
		by.Add(filepath.Join(h.d.path, name), 1, "written by hand while a program held the lock")
		if !h.rescues {
			return by.Err()
		}
		h.replaced[name] = true
		h.rejected = append(h.rejected, Rejected{File: name, Faults: by})
	}
	return nil
}

// changed names the files that differ from what stands on disk.
func (h *Held) changed(t cluster.Tables) []string {
	var names []string
	for _, name := range Names() {
		old, new := rowsOf(h.snap.Tables, name), rowsOf(t, name)
		if h.replaced[name] || !equalRows(old, new) {
			names = append(names, name)
		}
	}
	return names
}

func equalRows(a, b []row) bool {
	var wa, wb bytes.Buffer
	for _, r := range a {
		fmt.Fprintln(&wa, r.fields)
	}
	for _, r := range b {
		fmt.Fprintln(&wb, r.fields)
	}
	return bytes.Equal(wa.Bytes(), wb.Bytes())
}

func (h *Held) write(names []string, contents map[string][]byte) error {
	var changes []lockedfile.Change
	for _, name := range names {
		changes = append(changes, lockedfile.Change{Name: name, Data: contents[name], Like: Operation})
	}
	kept, err := h.keep()
	if err != nil {
		return err
	}
	return h.lock.Commit(append(changes, kept...))
}

// HoldRaw takes the exclusive lock whatever the files say, for somebody who
// repairs them with Contents and Install.
func (d *Dir) HoldRaw(ctx context.Context) (*Held, error) {
	h, faults, err := d.hold(ctx)
	if err == nil {
		h.salvaged = len(faults) > 0
	}
	return h, err
}

// Contents are the seven files as they stand under this hold; a missing one is
// not among them. It is the caller's own copy of the map.
func (h *Held) Contents() map[string][]byte { return maps.Clone(h.contents) }

// Install replaces one file with text, which the caller has checked.
func (h *Held) Install(name string, text []byte) error {
	contents := h.Contents()
	contents[name] = text
	snap, faults := Parse(h.d.path, contents)
	commit := h.lock.Commit
	if len(faults) > 0 { // others are still to be repaired: no good copy
		commit = h.lock.Install
	}
	if err := commit([]lockedfile.Change{{Name: name, Data: text, Like: Operation}}); err != nil {
		return fmt.Errorf("cannot write %s: %w", name, err)
	}
	h.snap, h.contents, h.salvaged = snap, contents, len(faults) > 0
	return nil
}

// contents reads what is there of the seven files.
func (d *Dir) contents() (map[string][]byte, error) { return d.readAll("") }

func (d *Dir) readAll(below string) (map[string][]byte, error) {
	out := map[string][]byte{}
	for _, name := range Names() {
		b, err := d.store.Disk().Read(filepath.Join(below, name), MaxSize+1)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("cannot read %s: %w", name, err)
		}
		out[name] = b
	}
	return out, nil
}
