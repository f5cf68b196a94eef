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

// cache is the last snapshot, good while the stamps of the seven files stay as they were.
type cache struct {
	mu     sync.Mutex
	stamps stamps
	snap   *Snapshot
	faults Faults
}

// read parses the seven files unless they are as they were. The caller holds the lock.
func (d *Dir) read() (*Snapshot, Faults, error) {
	d.cache.mu.Lock()
	defer d.cache.mu.Unlock()
	now := d.stamps()
	if d.cache.snap != nil && sameStamps(d.cache.stamps, now) {
		return d.cache.snap, d.cache.faults, nil
	}
	contents, err := d.contents()
	if err != nil {
		return nil, nil, err
	}
	snap, faults := Parse(d.path, contents)
	d.cache.snap = nil
	if now.settled(time.Now()) { // the file system's clock is the wall clock
		d.cache.snap, d.cache.faults, d.cache.stamps = snap, faults, now
	}
	return snap, faults, nil
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
