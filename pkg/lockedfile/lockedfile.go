// Package lockedfile changes several files of one directory as one
// transaction under one lock. It knows nothing of what the files say.
//
// The lock is a flock on DIR/.lock, never on a file that is later renamed
// over. Readers share it, writers exclude; the kernel drops it with its
// process. A transaction is, in this order:
//
//	new contents to .NAME.new, each fsynced
//	.journal naming them with their checksums: written, fsynced, renamed into place, directory fsynced
//	each .NAME.new renamed to NAME, directory fsynced
//	.journal removed
//
// Guarantee: with the journal in place the transaction has happened, without
// it it has not. Whoever takes the lock and finds a journal finishes it first;
// new contents without a journal are dropped. So a kill at any instant leaves
// all files as before or all as after for everybody who reads under the lock.
//
// Each transaction also renews DIR/.last/NAME, a copy of every guarded file as
// the transaction left it.
package lockedfile

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"

	"pss-msbs/pkg/clock"
)

const (
	lockName    = ".lock"
	journalName = ".journal"
	// LastDir holds the last good copies.
	LastDir = ".last"

	defaultWait = 10 * time.Second
	firstPause  = 2 * time.Millisecond
	longPause   = 50 * time.Millisecond
	// A faster clock does not make the disk faster: the pauses and the wait
	// are never shorter than these on the wall clock.
	wallPause = time.Millisecond
	wallWait  = 3 * time.Second
)

// ErrBusy is the reason of a lock that could not be had in time.
var ErrBusy = errors.New("the lock is held too long")

// Options are the knobs of a Store.
type Options struct {
	Files  []string         // the guarded files, by name in the directory
	Clock  clock.Clock      // waits are polled through it
	Wait   time.Duration    // longest wait for the lock; 0 means 10 s
	Holder string           // who holds an exclusive lock, for those who wait; empty means the program's name
	Step   func(Step) error // called before each operation of a transaction; its error makes that operation fail
}

// Store is a directory whose files change together. It is safe for concurrent use.
type Store struct {
	dir string
	opt Options
}

// New returns the store of dir without touching it.
func New(dir string, opt Options) *Store {
	if opt.Wait == 0 {
		opt.Wait = defaultWait
	}
	if opt.Holder == "" {
		opt.Holder = filepath.Base(os.Args[0])
	}
	return &Store{dir: dir, opt: opt}
}

// Read calls read under the shared lock, with no transaction half done. Where
// there is no lock file yet nobody ever wrote, so that a directory that cannot
// be written can be read; read is called again if a writer came meanwhile.
func (s *Store) Read(ctx context.Context, read func() error) error {
	for {
		fl, err := s.acquire(ctx, false)
		unlocked := errors.Is(err, fs.ErrNotExist)
		switch {
		case err != nil && !unlocked:
			return err
		case s.exists(journalName):
			if !unlocked {
				fl.Close()
			}
			if err := s.mend(ctx); err != nil {
				return err
			}
		case !unlocked:
			defer fl.Close()
			return read()
		default:
			if err := read(); !s.exists(lockName) {
				return err
			}
		}
	}
}

// mend finishes what a journal promises.
func (s *Store) mend(ctx context.Context) error {
	l, err := s.Lock(ctx)
	if err != nil {
		return err
	}
	l.Unlock()
	return nil
}

// Lock is an exclusive lock.
type Lock struct {
	s  *Store
	fl *flock.Flock
}

// Lock takes the exclusive lock and finishes or drops what a killed process
// left. The caller must call Unlock.
func (s *Store) Lock(ctx context.Context) (*Lock, error) {
	fl, err := s.acquire(ctx, true)
	if err != nil {
		return nil, err
	}
	holder := fmt.Sprintf("%s pid %d", s.opt.Holder, os.Getpid())
	if err := os.WriteFile(s.path(lockName), []byte(holder), 0o600); err != nil {
		fl.Close()
		return nil, fmt.Errorf("cannot name the holder of the lock: %w", err)
	}
	l := &Lock{s: s, fl: fl}
	if err := s.recover(); err != nil {
		l.Unlock()
		return nil, err
	}
	return l, nil
}

// Unlock gives the lock back. Calling it again does nothing.
func (l *Lock) Unlock() {
	if l.fl == nil {
		return
	}
	_ = os.Truncate(l.s.path(lockName), 0) // a stale name only misleads
	_ = l.fl.Close()
	l.fl = nil
}

// acquire polls for the lock: a blocking flock could not be given up, and
// virtual time would not see it.
func (s *Store) acquire(ctx context.Context, exclusive bool) (*flock.Flock, error) {
	wait := s.atLeast(s.opt.Wait, wallWait)
	start := s.opt.Clock.Now()
	for pause := firstPause; ; pause = min(2*pause, longPause) {
		fl, err := s.try(exclusive)
		if err != nil || fl != nil {
			return fl, err
		}
		if s.opt.Clock.Since(start) >= wait {
			return nil, fmt.Errorf("cannot lock %s: held by %s: %w (waited %s)", s.dir, s.holder(), ErrBusy, wait)
		}
		if err := s.opt.Clock.Sleep(ctx, s.atLeast(pause, wallPause)); err != nil {
			return nil, fmt.Errorf("cannot lock %s: held by %s: %w", s.dir, s.holder(), err)
		}
	}
}

// atLeast is d, or longer where a fast clock would make it shorter than wall.
func (s *Store) atLeast(d, wall time.Duration) time.Duration {
	if speed := s.opt.Clock.Speed; speed > 1 && s.opt.Clock.Wall(d) < wall {
		return time.Duration(float64(wall) * speed)
	}
	return d
}

// try returns nil without an error while somebody else holds the lock.
func (s *Store) try(exclusive bool) (*flock.Flock, error) {
	path := s.path(lockName)
	fl := flock.New(path, flock.SetFlag(os.O_RDONLY))
	lock := fl.TryRLock
	if exclusive {
		fl = flock.New(path, flock.SetFlag(os.O_RDWR|os.O_CREATE), flock.SetPermissions(0o600))
		lock = fl.TryLock
	}
	ok, err := lock()
	if err != nil {
		return nil, fmt.Errorf("cannot lock %s: %w", s.dir, err)
	}
	if !ok {
		return nil, nil
	}
	if !s.current(fl) { // the lock file was replaced between open and lock
		fl.Close()
		return nil, nil
	}
	return fl, nil
}

func (s *Store) current(fl *flock.Flock) bool {
	mine, err := fl.Stat()
	if err != nil {
		return false
	}
	now, err := os.Stat(s.path(lockName))
	return err == nil && os.SameFile(mine, now)
}

func (s *Store) holder() string {
	b, err := os.ReadFile(s.path(lockName))
	if err != nil || len(b) == 0 {
		return "readers"
	}
	return string(b)
}

func (s *Store) path(name string) string { return filepath.Join(s.dir, name) }

func (s *Store) exists(name string) bool {
	_, err := os.Lstat(s.path(name))
	return err == nil
}
