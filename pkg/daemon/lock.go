package daemon

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// ErrMonitored says that a server has a monitor already.
var ErrMonitored = errors.New("already monitored")

// MonitorLock is the right to monitor one server: a flock on an open file,
// which ends with the last process that has the file open.
type MonitorLock struct {
	name  string
	file  *os.File
	given bool
}

// Lock implements Kernel; an error names the pid of the holder.
func (o OS) Lock(name string) (Lock, error) {
	if o.LockFD != 0 {
		return o.adoptLock(name)
	}
	unlock, err := guard(o.Dirs.Run, "monitor")
	if err != nil {
		return nil, fmt.Errorf("cannot lock the monitor of %s: %v", name, err)
	}
	defer unlock()
	f, err := openLock(o.Dirs.MonitorLock(name))
	if err != nil {
		return nil, fmt.Errorf("cannot lock the monitor of %s: %v", name, err)
	}
	if !tryLock(f) {
		defer f.Close()
		return nil, fmt.Errorf("cannot monitor %s: %w by pid %d", name, ErrMonitored, readPID(f))
	}
	l := &MonitorLock{name: name, file: f}
	return l, l.sign()
}

// adoptLock takes over the lock that another process took and handed on with the
// open file LockFD, which is closed if that fails.
func (o OS) adoptLock(name string) (Lock, error) {
	path := o.Dirs.MonitorLock(name)
	f := os.NewFile(uintptr(o.LockFD), path)
	if f == nil {
		return nil, fmt.Errorf("cannot adopt the monitor lock of %s: bad descriptor %d", name, o.LockFD)
	}
	unix.CloseOnExec(o.LockFD)
	if err := sameFile(f, path); err != nil {
		f.Close()
		return nil, fmt.Errorf("cannot adopt the monitor lock of %s: %v", name, err)
	}
	if !tryLock(f) { // granted at once when fd holds it, which keeps it
		defer f.Close()
		return nil, fmt.Errorf("cannot adopt the monitor of %s: %w by pid %d", name, ErrMonitored, readPID(f))
	}
	l := &MonitorLock{name: name, file: f, given: true}
	return l, l.sign()
}

// Given implements Lock.
func (l *MonitorLock) Given() bool { return l.given }

// File is the open file that carries the lock, to hand to a child.
func (l *MonitorLock) File() *os.File { return l.file }

// Close gives the lock up, unless a child holds the same open file. The pid in
// the file goes first where nobody else took the lock over: an empty file
// tells that its last holder ended as it meant to.
func (l *MonitorLock) Close() error {
	if readPID(l.file) == os.Getpid() {
		_ = l.file.Truncate(0)
	}
	return l.file.Close()
}

// sign writes the pid of this process into the lock file.
func (l *MonitorLock) sign() error {
	if err := l.file.Truncate(0); err != nil {
		l.file.Close()
		return fmt.Errorf("cannot sign the monitor lock of %s: %v", l.name, err)
	}
	if _, err := l.file.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0); err != nil {
		l.file.Close()
		return fmt.Errorf("cannot sign the monitor lock of %s: %v", l.name, err)
	}
	return nil
}

// Holder implements Kernel by the pid in the lock file.
func (o OS) Holder(name string) (pid int, held bool, err error) {
	unlock, err := guard(o.Dirs.Run, "monitor")
	if err != nil {
		return 0, false, fmt.Errorf("cannot look for the monitor of %s: %v", name, err)
	}
	defer unlock()
	f, err := os.OpenFile(o.Dirs.MonitorLock(name), os.O_RDWR, 0)
	if os.IsNotExist(err) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, fmt.Errorf("cannot look for the monitor of %s: %v", name, err)
	}
	defer f.Close()
	return readPID(f), !tryLock(f), nil
}

// guard serialises a look at something in the run directory with a change of
// it. It is held for microseconds, so it is waited for without a deadline.
func guard(runDir, what string) (unlock func(), err error) {
	f, err := openLock(filepath.Join(runDir, "."+what+".lock"))
	if err != nil {
		return nil, err
	}
	for {
		if err = unix.Flock(int(f.Fd()), unix.LOCK_EX); !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return func() { f.Close() }, nil
}

func openLock(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_CLOEXEC, 0o600)
}

func tryLock(f *os.File) bool {
	return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil
}

// readPID is 0 where the file names no pid.
func readPID(f *os.File) int {
	b := make([]byte, 32)
	n, _ := f.ReadAt(b, 0)
	pid, _ := strconv.Atoi(strings.TrimSpace(string(b[:n])))
	return max(0, pid) // a negative one would be a whole group of processes
}

func sameFile(f *os.File, path string) error {
	have, err := f.Stat()
	if err != nil {
		return err
	}
	want, err := os.Stat(path)
	if err != nil {
		return err
	}
	if !os.SameFile(have, want) {
		return fmt.Errorf("descriptor %d is not %s", f.Fd(), path)
	}
	return nil
}
