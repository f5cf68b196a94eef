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

// stamps are those of the seven files in the order of Names; a zero one is that
// of a file that is not there.
type stamps [7]lockedfile.Stamp

// reading is what the seven files say at one time. It must not be changed.
type reading struct {
	contents map[string][]byte
	snap     *Snapshot
	faults   Faults
}

// cache is the last reading, good while the stamps of the seven files stay as they were.
type cache struct {
	mu      sync.Mutex
	stamps  stamps
	reading // snap is nil where there is none yet
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
	if d.cache.snap != nil && d.cache.stamps == now {
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

func (d *Dir) stamps() (out stamps) {
	for i, name := range Names() {
		if st, err := d.store.Disk().Stamp(name); err == nil {
			out[i] = st
		}
	}
	return out
}

// older reports whether the last change is at least so long ago.
func (s stamps) older(age time.Duration, now time.Time) bool {
	for _, st := range s {
		if now.Sub(st.Ctime) < age {
			return false
		}
	}
	return true
}
