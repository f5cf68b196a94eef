// Package notes keeps the small files in which the programs leave word for each
// other and for themselves, in the run and state directories. Each is replaced
// as a whole: a reader sees the old or the new one.
package notes

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// Disk is where notes lie.
type Disk interface {
	// Read is what a note says, at most so many bytes of it; without the note
	// the error is fs.ErrNotExist.
	Read(path string, most int64) ([]byte, error)
	// Write replaces a note; durable says that it must outlive a loss of power.
	Write(path string, text []byte, durable bool) error
	// Mark makes an empty note; one that is there stays.
	Mark(path string) error
	// Remove takes a note away; it need not be there.
	Remove(path string) error
	// Rename gives a note another name.
	Rename(from, to string) error
	// Has reports whether a note is there.
	Has(path string) bool
	// List names the notes of a directory, and what else is in it, in order.
	List(dir string) ([]string, error)
	// Sync makes the names in a directory outlive a loss of power.
	Sync(dir string) error
	// TryLock takes the lock that a file stands for; nil without an error while
	// somebody else has it.
	TryLock(path string) (unlock func(), err error)
}

// MaxSize is more than any note says, in bytes.
const MaxSize = 16 << 20

// On is d, or the operating system's where d is nil.
func On(d Disk) Disk {
	if d == nil {
		return system{}
	}
	return d
}

// system is the operating system's directories.
type system struct{}

// Read refuses anything but a regular file.
func (system) Read(path string, most int64) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, errors.New("it is no regular file")
	}
	return io.ReadAll(io.LimitReader(f, most))
}

func (system) Write(path string, text []byte, durable bool) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	_, err = tmp.Write(text)
	if durable && err == nil {
		err = tmp.Sync()
	}
	if err = errors.Join(err, tmp.Close()); err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		_ = os.Remove(tmp.Name())
	}
	return err
}

func (system) Mark(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}

func (system) Remove(path string) error {
	if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func (system) Rename(from, to string) error { return os.Rename(from, to) }

func (system) Has(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

func (system) List(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir) // sorted
	if err != nil {
		return nil, err
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return names, nil
}

func (system) Sync(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func (system) TryLock(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, err
	}
	switch err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); {
	case err == nil:
		return func() { _ = f.Close() }, nil
	case errors.Is(err, unix.EWOULDBLOCK):
		return nil, f.Close()
	default:
		_ = f.Close()
		return nil, fmt.Errorf("cannot lock %s: %w", path, err)
	}
}
