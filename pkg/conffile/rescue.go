package conffile

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"math"
	"path/filepath"
	"slices"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/lockedfile"
)

// A file that does not parse never stops a takeover or a restore (SPEC 3). The
// rescue variants, for A1-A5 and B1-B4, read the last good copy in its place;
// the first write keeps what the file said as FILE.rejected-TIME.

// ViewRescue is View that never fails on a fault: it changes nothing, and
// names the files in whose place it read the last good copy.
func (d *Dir) ViewRescue(ctx context.Context) (t cluster.Tables, rejected []Rejected, err error) {
	snap, faults, err := d.Snapshot(ctx)
	if err != nil {
		return t, nil, err
	}
	if len(faults) == 0 {
		return snap.Tables.Clone(), nil, nil
	}
	err = d.store.Read(ctx, func() error {
		now, err := d.reading()
		if err != nil {
			return err
		}
		t = now.snap.Tables.Clone()
		if len(now.faults) == 0 {
			return nil
		}
		r := d.rescue(now.contents, now.faults)
		t, rejected = r.snap.Tables, r.rejected
		return nil
	})
	return t, rejected, err
}

// UpdateRescue is Update that never fails on a fault.
func (d *Dir) UpdateRescue(ctx context.Context, edit func(*cluster.Tables) error) ([]Rejected, error) {
	h, err := d.HoldRescue(ctx)
	if err != nil {
		return nil, err
	}
	defer h.Close()
	err = h.Commit(edit)
	return h.Rejected(), err
}

// HoldRescue is Hold that never fails on a fault. Held.Rejected says what it replaced.
func (d *Dir) HoldRescue(ctx context.Context) (*Held, error) {
	h, faults, err := d.hold(ctx)
	if err != nil {
		return nil, err
	}
	if len(faults) > 0 {
		lock := h.lock
		h = d.rescue(h.contents, faults)
		h.d, h.lock = d, lock
	}
	h.rescues = true
	return h, nil
}

// HasLastGood reports whether there are last good copies.
func (d *Dir) HasLastGood() bool {
	names, err := d.store.Disk().List(lockedfile.LastDir)
	return err == nil && len(names) > 0
}

// rescue exchanges the faulty files for their last good copies; where the
// files then still contradict each other, all that differ from the last good
// set. Where there is no copy the sound rows are all there is.
func (d *Dir) rescue(contents map[string][]byte, faults Faults) *Held {
	last, err := d.readAll(lockedfile.LastDir)
	if err != nil {
		last = nil
	}
	snap, _ := Parse(d.path, contents)
	bad := slices.DeleteFunc(Names(), func(name string) bool { return snap.clean[name] })
	h := d.exchange(contents, faults, last, bad)
	if _, left := Parse(d.path, h.contents); len(left) > 0 {
		h = d.exchange(contents, faults, last, Names())
	}
	snap, left := Parse(d.path, h.contents)
	h.snap, h.salvaged = snap, len(left) > 0
	if len(h.rejected) == 0 {
		h.rejected = d.blame(faults)
	}
	return h
}

// exchange takes the named files from last, or their sound rows where last has no such file.
func (d *Dir) exchange(contents map[string][]byte, faults Faults, last map[string][]byte, names []string) *Held {
	h := &Held{contents: map[string][]byte{}, replaced: map[string]bool{}}
	sound, _ := Parse(d.path, contents)
	for _, name := range Names() {
		old, there := contents[name]
		h.contents[name] = old
		if !slices.Contains(names, name) {
			continue
		}
		good, ok := last[name]
		switch {
		case ok && there && bytes.Equal(good, old):
			continue
		case ok:
			h.contents[name] = good
		case sound.clean[name]:
			continue // contradicts others, but nothing better is there
		default:
			h.contents[name] = sound.Format(sound.Tables, name)[name]
		}
		h.replaced[name] = true
		h.rejected = append(h.rejected, Rejected{File: name, Faults: about(faults, filepath.Join(d.path, name))})
	}
	return h
}

// blame names the files of faults that no exchange could mend.
func (d *Dir) blame(faults Faults) []Rejected {
	var out []Rejected
	for _, name := range Names() {
		if own := about(faults, filepath.Join(d.path, name)); len(own) > 0 {
			out = append(out, Rejected{File: name, Faults: own})
		}
	}
	return out
}

func about(faults Faults, path string) Faults {
	var out Faults
	for _, f := range faults {
		if f.File == path {
			out = append(out, f)
		}
	}
	return out
}

// keep are the changes that set aside what the rejected files said.
func (h *Held) keep() ([]lockedfile.Change, error) {
	var out []lockedfile.Change
	stamp := ".rejected-" + h.d.opt.Clock.Now().Format("20060102-150405")
	for i, r := range h.rejected {
		if !h.replaced[r.File] {
			continue
		}
		b, err := h.d.store.Disk().Read(r.File, math.MaxInt64)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		h.rejected[i].Kept = r.File + stamp
		out = append(out, lockedfile.Change{Name: r.File + stamp, Data: b, Like: r.File})
	}
	return out, nil
}
