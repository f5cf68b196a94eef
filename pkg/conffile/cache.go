package conffile

import (
	"sync"
	"time"

	"pss-msbs/pkg/lockedfile"
)

// settled is how old a file's last change must be before its stamp proves that
// nothing changed since: two changes within one tick of the file system's
// clock leave the same stamp.
const settled = 2 * time.Second

type stamps map[string]lockedfile.Stamp

// reading is what the seven files say at one time. It must not be changed.
type reading struct {
	contents map[string][]byte
	snap     *Snapshot
	faults   Faults
}

// cache is the last reading, good while the stamps of the seven files stay as they were.
type cache struct {
	mu     sync.Mutex
	stamps stamps // nil: there is none
	reading
}

// reading is what the seven files say now. The caller holds the lock.
func (d *Dir) reading() (reading, error) {
	r, now, err := d.fetch()
	if err != nil {
		return reading{}, err
	}
	return d.parsed(r, now), nil
}

// fetch reads the seven files unless they are as they were; the caller holds
// the lock. What it returns is to be parsed, which needs no lock.
func (d *Dir) fetch() (reading, stamps, error) {
	now := d.stamps()
	d.cache.mu.Lock()
	defer d.cache.mu.Unlock()
	if d.cache.stamps != nil && sameStamps(d.cache.stamps, now) {
		return d.cache.reading, now, nil
	}
	contents, err := d.contents()
	return reading{contents: contents}, now, err
}

// parsed is r parsed; it is remembered where the stamps tell it from later ones.
func (d *Dir) parsed(r reading, at stamps) reading {
	if r.snap != nil {
		return r
	}
	r.snap, r.faults = Parse(d.path, r.contents)
	if at.older(settled, time.Now()) { // the file system's clock is the wall clock
		d.cache.mu.Lock()
		defer d.cache.mu.Unlock()
		d.cache.reading, d.cache.stamps = r, at
	}
	return r
}

func (d *Dir) stamps() stamps {
	out := make(stamps, len(Names()))
	for _, name := range Names() {
		if st, err := d.store.Disk().Stamp(name); err == nil {
			out[name] = st
		}
	}
	return out
}

// older tells whether the last change is at least so long ago.
func (s stamps) older(age time.Duration, now time.Time) bool {
	for _, st := range s {
		if now.Sub(st.Ctime) < age {
			return false
		}
	}
	return true
}

func sameStamps(a, b stamps) bool {
	if len(a) != len(b) {
		return false
	}
	for name, s := range a {
		if b[name] != s {
			return false
		}
	}
	return true
}
