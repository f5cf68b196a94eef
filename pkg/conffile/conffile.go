// Package conffile reads and changes the seven PSS files (paper, Table 1) in
// one directory: rows under one lock, one transaction for all that changes,
// comments and blank lines kept (SPEC 3).
package conffile

import (
	"os"
	"path/filepath"
	"time"

	"pss-msbs/pkg/clock"
	"pss-msbs/pkg/diag"
	"pss-msbs/pkg/lockedfile"
)

// The seven PSS files (paper, Table 1).
const (
	Operation  = "operation.conf"
	AccessStop = "access-stop.conf"
	Separation = "separation.conf"
	Spare      = "spare-server.conf"
	Real       = "real-server.conf"
	Suspended  = "suspension-real.conf"
	State      = "state.conf"
)

// Names are the seven files in the order of Table 1.
func Names() []string {
	return []string{Operation, AccessStop, Separation, Spare, Real, Suspended, State}
}

// Faults is the error of files that cannot be used: every FILE:LINE: message, sorted.
type Faults = diag.List

// Options say how the files are locked and watched. The zero value waits 10 s
// for the lock, on the wall clock, and watches by inotify.
type Options struct {
	Clock  clock.Clock
	Wait   time.Duration // longest wait for the lock; 0 means 10 s
	Holder string        // who locks, named in the errors of those who wait, e.g. "sif M1"

	NoNotify bool          // Watch polls only (virtual time cannot see inotify)
	Poll     time.Duration // how often Watch looks by itself; 0 means 10 s

	Disk lockedfile.Disk // where the files are; nil means the directory of the operating system

	// Beside, if set, is the same directory opened before: what one has read
	// and parsed the other need not. For many programs in one process.
	Beside *Dir

	// Step, if set, is called before each operation of a transaction; its
	// error makes the operation fail. For tests of crashes and full disks.
	Step func(lockedfile.Step) error
}

// Dir is a directory with the seven files. It is safe for concurrent use.
type Dir struct {
	path  string
	opt   Options
	store *lockedfile.Store
	cache *cache
}

// Opener opens the files of a directory; Open is the one of real processes.
type Opener func(dir string, opt Options) *Dir

// Open returns the files in dir without looking at them.
func Open(dir string, opt Options) *Dir {
	if opt.Poll == 0 {
		opt.Poll = 10 * time.Second
	}
	readings := &cache{}
	if opt.Beside != nil {
		readings = opt.Beside.cache
	}
	return &Dir{path: dir, opt: opt, cache: readings, store: lockedfile.New(dir, lockedfile.Options{
		Files: Names(),
		Clock: opt.Clock, Wait: opt.Wait, Holder: opt.Holder, Step: opt.Step, Disk: opt.Disk,
	})}
}

// Load reads the seven files of dir into memory, for whole systems under
// virtual time: Options.Disk of all who share them.
func Load(dir string) (*lockedfile.Memory, error) {
	disk := lockedfile.NewMemory()
	for _, name := range Names() {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return nil, err
		}
		disk.WriteFile(name, b)
	}
	return disk, nil
}

// Path is the directory.
func (d *Dir) Path() string { return d.path }

// Rejected is a file that a rescue replaced, or could not replace for want of a
// good copy: where what it said is kept, and what is wrong with it.
type Rejected struct {
	File   string // as operation.conf
	Kept   string // as operation.conf.rejected-20061122-144749; empty while it was not replaced on disk
	Faults Faults // may be empty: the file only contradicts others
}
