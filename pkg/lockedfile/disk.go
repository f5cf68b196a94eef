package lockedfile

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/gofrs/flock"
	"golang.org/x/sys/unix"
)

// Disk is the directory that a Store works on. Names are relative to it; a
// file that is not there gives fs.ErrNotExist.
type Disk interface {
	Read(name string, most int64) ([]byte, error) // at most so many bytes, which nobody may change
	Stamp(name string) (Stamp, error)
	List(dir string) ([]string, error)

	Create(name string) (File, error) // for its owner alone, empty
	Rename(from, to string) error
	Remove(name string) error
	MakeDir(name string) error // one that is there is no error
	SyncDir(name string) error // makes the names in it durable

	// Lock returns nil without an error while somebody else holds the lock.
	Lock(exclusive bool) (Latch, error)
}

// File is a file being written.
type File interface {
	io.WriteCloser
	Like(name string) error // takes the mode and owner of another one; "": the usual mode
	Sync() error
}

// Latch is a lock that was had.
type Latch interface {
	io.Closer
	Tell(holder string) error // names the holder to those who wait
}

// Queuer is a Disk on which those that want the lock take turns: a writer that
// waits for readers to end keeps its turn, so that no new ones come before it.
type Queuer interface {
	// Turn returns nil without an error while it is somebody else's.
	Turn(exclusive bool) (io.Closer, error)
}

// Stamp changes whenever a file is changed or replaced, but for two changes
// within one tick of the file system's clock.
type Stamp struct {
	Ino          uint64
	Size         int64
	Mtime, Ctime time.Time
}

// Notifier is a Disk that tells of changes by itself, once for those that come
// while nobody receives.
type Notifier interface {
	Subscribe() (changes <-chan struct{}, cancel func())
}

// directory is a Disk of the operating system.
type directory string

func (d directory) path(name string) string { return filepath.Join(string(d), name) }

func (d directory) Read(name string, most int64) ([]byte, error) {
	f, err := os.Open(d.path(name))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, most))
}

func (d directory) Stamp(name string) (Stamp, error) {
	info, err := os.Stat(d.path(name))
	if err != nil {
		return Stamp{}, err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return Stamp{}, errors.ErrUnsupported
	}
	return Stamp{Ino: st.Ino, Size: st.Size, Mtime: time.Unix(st.Mtim.Unix()), Ctime: time.Unix(st.Ctim.Unix())}, nil
}

func (d directory) List(dir string) ([]string, error) {
	files, err := os.ReadDir(d.path(dir))
	var names []string
	for _, f := range files {
		names = append(names, f.Name())
	}
	return names, err
}

func (d directory) Create(name string) (File, error) {
	f, err := os.OpenFile(d.path(name), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	return diskFile{f, d}, nil
}

func (d directory) Rename(from, to string) error { return os.Rename(d.path(from), d.path(to)) }

func (d directory) Remove(name string) error { return os.Remove(d.path(name)) }

func (d directory) MakeDir(name string) error { return os.MkdirAll(d.path(name), 0o700) }

func (d directory) SyncDir(name string) error {
	f, err := os.Open(d.path(name))
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

func (d directory) Lock(exclusive bool) (Latch, error) {
	fl := flock.New(d.path(lockName), flock.SetFlag(os.O_RDONLY))
	lock := fl.TryRLock
	if exclusive {
		fl = flock.New(d.path(lockName), flock.SetFlag(os.O_RDWR|os.O_CREATE), flock.SetPermissions(0o600))
		lock = fl.TryLock
	}
	ok, err := lock()
	if err != nil || !ok {
		return nil, err
	}
	if !d.current(fl) { // the lock file was replaced between open and lock
		return nil, fl.Close()
	}
	return &diskLatch{fl, d, exclusive}, nil
}

// Turn is a lock on the same file by another system call, independent of the
// first: an open file description lock. Only writers have one. Readers look
// whether a writer has it and otherwise go on together: among hundreds, whose
// turns overlapped, a writer's would never come.
func (d directory) Turn(exclusive bool) (io.Closer, error) {
	if !exclusive {
		return d.noWriter()
	}
	f, err := os.OpenFile(d.path(lockName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	err = unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_WRLCK})
	switch {
	case err == nil:
		return f, nil
	case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EACCES):
		return nil, f.Close()
	}
	return nil, errors.Join(err, f.Close())
}

// noWriter is a reader's turn, nil while a writer has one.
func (d directory) noWriter() (io.Closer, error) {
	f, err := os.Open(d.path(lockName))
	if err != nil {
		return io.NopCloser(nil), nil // the lock itself says what is wrong
	}
	defer f.Close()
	other := unix.Flock_t{Type: unix.F_RDLCK}
	if err := unix.FcntlFlock(f.Fd(), unix.F_OFD_GETLK, &other); err != nil {
		return nil, err
	}
	if other.Type != unix.F_UNLCK {
		return nil, nil
	}
	return io.NopCloser(nil), nil
}

func (d directory) current(fl *flock.Flock) bool {
	mine, err := fl.Stat()
	if err != nil {
		return false
	}
	now, err := os.Stat(d.path(lockName))
	return err == nil && os.SameFile(mine, now)
}

type diskLatch struct {
	fl        *flock.Flock
	d         directory
	exclusive bool
}

func (l *diskLatch) Tell(holder string) error {
	return os.WriteFile(l.d.path(lockName), []byte(holder), 0o600)
}

func (l *diskLatch) Close() error {
	if l.exclusive {
		_ = os.Truncate(l.d.path(lockName), 0) // a stale name only misleads
	}
	return l.fl.Close()
}

type diskFile struct {
	*os.File
	d directory
}

// Like gives f the mode and owner of another file. An owner that this process
// may not set stays its own.
func (f diskFile) Like(name string) error {
	mode := fs.FileMode(defaultMode)
	if name != "" {
		if info, err := os.Stat(f.d.path(name)); err == nil {
			mode = info.Mode().Perm()
			if st, ok := info.Sys().(*syscall.Stat_t); ok {
				_ = f.Chown(int(st.Uid), int(st.Gid))
			}
		}
	}
	return f.Chmod(mode)
}
