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

// reading parses the seven files unless they are as they were. The caller holds the lock.
func (d *Dir) reading() (reading, error) {
	c := d.cache
	c.mu.Lock()
	defer c.mu.Unlock()
	now := d.stamps()
	if c.stamps != nil && sameStamps(c.stamps, now) {
		return c.reading, nil
	}
	contents, err := d.contents()
	if err != nil {
		return reading{}, err
	}
	r := reading{contents: contents}
	r.snap, r.faults = Parse(d.path, contents)
	c.stamps = nil
	if now.settled(time.Now()) { // the file system's clock is the wall clock
		c.reading, c.stamps = r, now
	}
	return r, nil
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

func (s stamps) settled(now time.Time) bool {
	for _, st := range s {
		if age := now.Sub(st.Ctime); age < settled {
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
