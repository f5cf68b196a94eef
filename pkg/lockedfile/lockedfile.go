// Package lockedfile changes several files of one directory as one
// transaction under one lock. It knows nothing of what the files say.
//
// The lock is a flock on DIR/.lock, never on a file that is later renamed
// over. Readers share it, writers exclude; the kernel drops it with its
// process. A transaction is, in this order:
//
//	new contents to .NAME.new, each fsynced, directory fsynced
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
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"time"

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
	// turnWait is how long one waits for its turn: a process that was stopped
	// in its turn, but without the lock, must not stop the others.
	turnWait = 2 * time.Second
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
	Disk   Disk             // where the files are; nil means the directory of the operating system
}

// Store is a directory whose files change together. It is safe for concurrent use.
type Store struct {
	dir  string
	opt  Options
	disk Disk
}

// New returns the store of dir without touching it.
func New(dir string, opt Options) *Store {
	if opt.Wait == 0 {
		opt.Wait = defaultWait
	}
	if opt.Holder == "" {
		opt.Holder = filepath.Base(os.Args[0])
	}
	if opt.Disk == nil {
		opt.Disk = directory(dir)
	}
	return &Store{dir: dir, opt: opt, disk: opt.Disk}
}

// Disk is where the files are.
func (s *Store) Disk() Disk { return s.disk }

// Read calls read under the shared lock, with no transaction half done. Where
// there is no lock file yet nobody ever wrote, so that a directory that cannot
// be written can be read; read is called again if a writer came meanwhile.
func (s *Store) Read(ctx context.Context, read func() error) error {
	for {
		latch, err := s.acquire(ctx, false)
		unlocked := errors.Is(err, fs.ErrNotExist)
		switch {
		case err != nil && !unlocked:
			return err
		case s.exists(journalName):
			if !unlocked {
				latch.Close()
			}
			if err := s.mend(ctx); err != nil {
				return err
			}
		case !unlocked:
			defer latch.Close()
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
	s     *Store
	latch Latch
}

// Lock takes the exclusive lock and finishes or drops what a killed process
// left. The caller must call Unlock.
func (s *Store) Lock(ctx context.Context) (*Lock, error) {
	latch, err := s.acquire(ctx, true)
	if err != nil {
		return nil, err
	}
	if err := latch.Tell(fmt.Sprintf("%s pid %d", s.opt.Holder, os.Getpid())); err != nil {
		latch.Close()
		return nil, fmt.Errorf("cannot name the holder of the lock: %w", err)
	}
	l := &Lock{s: s, latch: latch}
	if err := s.recover(); err != nil {
		l.Unlock()
		return nil, err
	}
	return l, nil
}

// Unlock gives the lock back. Calling it again does nothing.
func (l *Lock) Unlock() {
	if l.latch == nil {
		return
	}
	_ = l.latch.Close()
	l.latch = nil
}

// acquire polls for the lock: a blocking flock could not be given up, and
// virtual time would not see it.
func (s *Store) acquire(ctx context.Context, exclusive bool) (Latch, error) {
	wait := s.atLeast(s.opt.Wait, wallWait)
	start := s.opt.Clock.Now()
	t := turn{s: s, exclusive: exclusive}
	defer t.pass()
	for pause := firstPause; ; pause = min(2*pause, longPause) {
		latch, err := t.lock(s.opt.Clock.Since(start) >= turnWait)
		if err != nil {
			return nil, fmt.Errorf("cannot lock %s: %w", s.dir, err)
		}
		if latch != nil {
			return latch, nil
		}
		if s.opt.Clock.Since(start) >= wait {
			return nil, fmt.Errorf("cannot lock %s: held by %s: %w (waited %s)", s.dir, s.holder(), ErrBusy, wait)
		}
		if err := s.opt.Clock.Sleep(ctx, s.atLeast(pause, wallPause)); err != nil {
			return nil, fmt.Errorf("cannot lock %s: held by %s: %w", s.dir, s.holder(), err)
		}
	}
}

// turn is one's place in the queue for the lock.
type turn struct {
	s         *Store
	exclusive bool
	mine      io.Closer // nil: not its turn yet
}

// lock tries to get the lock, out of turn if the wait for it was too long; nil
// without an error while that cannot be.
func (t *turn) lock(outOfTurn bool) (Latch, error) {
	q, queues := t.s.disk.(Queuer)
	if queues && t.mine == nil {
		var err error
		if t.mine, err = q.Turn(t.exclusive); err != nil {
			return nil, err
		}
		if t.mine == nil && !outOfTurn {
			return nil, nil
		}
	}
	return t.s.disk.Lock(t.exclusive)
}

func (t *turn) pass() {
	if t.mine != nil {
		_ = t.mine.Close()
	}
}

// atLeast is d, or longer where a fast clock would make it shorter than wall.
func (s *Store) atLeast(d, wall time.Duration) time.Duration {
	if speed := s.opt.Clock.Speed; speed > 1 && s.opt.Clock.Wall(d) < wall {
		return time.Duration(float64(wall) * speed)
	}
	return d
}

func (s *Store) holder() string {
	b, err := s.read(lockName)
	if err != nil || len(b) == 0 {
		return "readers"
	}
	return string(b)
}

func (s *Store) path(name string) string { return filepath.Join(s.dir, name) }

func (s *Store) exists(name string) bool {
	_, err := s.disk.Stamp(name)
	return err == nil
}

func (s *Store) read(name string) ([]byte, error) { return s.disk.Read(name, math.MaxInt64) }
