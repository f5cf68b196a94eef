// Package daemon holds the manners that the four programs share: directories,
// signals and exit codes, the log, monitor locks, boot slots, control sockets,
// and starting each other with readiness (SPEC 2, process model).
package daemon

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"syscall"
)

// Dirs are the directories that all programs take as flags; it embeds in a
// kong command line.
type Dirs struct {
	Conf  string `help:"Directory of the seven files, settings.toml and the .dat files." env:"PSS_CONF" default:"/etc/pss-msbs" placeholder:"DIR"`
	Run   string `help:"Directory of sockets and locks." env:"PSS_RUN" default:"/run/pss-msbs" placeholder:"DIR"`
	State string `help:"Directory of recovery budgets, wake times and VIPs in motion." env:"PSS_STATE" default:"/var/lib/pss-msbs" placeholder:"DIR"`
	Log   string `help:"Directory of the system logs." env:"PSS_LOG" default:"/var/log/pss-msbs" placeholder:"DIR"`
}

// Args are the flags that hand the same directories to another program.
func (d Dirs) Args() []string {
	return []string{"--conf", d.Conf, "--run", d.Run, "--state", d.State, "--log", d.Log}
}

// Prepare makes the directories absolute and creates the missing ones but
// Conf. The run directory holds sockets, so it must be this user's alone.
func (d *Dirs) Prepare() error {
	for _, dir := range []*string{&d.Conf, &d.Run, &d.State, &d.Log} {
		abs, err := filepath.Abs(*dir)
		if err != nil {
			return fmt.Errorf("cannot use %s: %v", *dir, err)
		}
		*dir = abs
	}
	for dir, mode := range map[string]os.FileMode{d.Run: 0o700, d.State: 0o755, d.Log: 0o755} {
		if err := os.MkdirAll(dir, mode); err != nil {
			return fmt.Errorf("cannot create %s: %v", dir, errors.Unwrap(err))
		}
	}
	return ownPrivate(d.Run)
}

// ownPrivate checks that dir is a directory of this user that no other may enter.
func ownPrivate(dir string) error {
	info, err := os.Lstat(dir)
	if err != nil {
		return fmt.Errorf("cannot use the run directory: %v", err)
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case !info.IsDir():
		return fmt.Errorf("cannot use the run directory %s: it is no directory", dir)
	case ok && int(st.Uid) != os.Getuid():
		return fmt.Errorf("cannot use the run directory %s: it belongs to uid %d", dir, st.Uid)
	case info.Mode().Perm()&0o077 != 0:
		if err := os.Chmod(dir, 0o700); err != nil {
			return fmt.Errorf("cannot use the run directory: %v", err)
		}
	}
	return nil
}

// SifSocket is where the sif of target listens.
func (d Dirs) SifSocket(target string) string { return filepath.Join(d.Run, "sif-"+target+".sock") }

// FleetSocket is where the emulated fleet listens unless settings.toml says otherwise.
func (d Dirs) FleetSocket() string { return filepath.Join(d.Run, "fleet.sock") }

// ControlSocket is where a running program takes "stop"; name is empty for pss.
func (d Dirs) ControlSocket(program, name string) string {
	return filepath.Join(d.Run, instance(program, name)+".sock")
}

// MonitorLock is the lock file of the one monitor of a server.
func (d Dirs) MonitorLock(name string) string {
	return filepath.Join(d.Run, "monitor-"+name+".lock")
}

// SpareDat is the management data that the sif of a spare writes for its dbss.
func (d Dirs) SpareDat(name string) string { return filepath.Join(d.Run, "spare", name+".dat") }

// Dat is the management data of a server.
func (d Dirs) Dat(name string) string { return filepath.Join(d.Conf, name+".dat") }

// Settings is settings.toml.
func (d Dirs) Settings() string { return filepath.Join(d.Conf, "settings.toml") }

// Budget is the recovery budget of the monitor of a server.
func (d Dirs) Budget(name string) string { return filepath.Join(d.State, "budget-"+name+".json") }

// Wake is what pss remembers of the wakes of a real server.
func (d Dirs) Wake(ip string) string { return filepath.Join(d.State, "wake-"+ip+".json") }

// LogFile is the system log of a program instance.
func (d Dirs) LogFile(program, name string) string {
	return filepath.Join(d.Log, instance(program, name)+".log")
}

// instance is PROGRAM-NAME, or PROGRAM where there is but one.
func instance(program, name string) string {
	if name == "" {
		return program
	}
	return program + "-" + name
}

// maxSocketPath is the longest path that fits a sockaddr_un with its final zero.
const maxSocketPath = 107

// Listen listens at a Unix socket that only this user may use. A socket that a
// dead process left behind is removed; one that answers is an error.
func Listen(path string) (net.Listener, error) {
	if len(path) > maxSocketPath {
		return nil, fmt.Errorf("cannot listen at %s: the path is longer than %d bytes", path, maxSocketPath)
	}
	unlock, err := guard(filepath.Dir(path), "listen")
	if err != nil {
		return nil, fmt.Errorf("cannot listen at %s: %v", path, err)
	}
	defer unlock()
	if Listening(path) {
		return nil, fmt.Errorf("cannot listen at %s: another process does", path)
	}
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		return nil, fmt.Errorf("cannot remove a stale socket: %v", err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("cannot listen at %s: %v", path, err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		l.Close()
		return nil, fmt.Errorf("cannot listen at %s: %v", path, err)
	}
	return l, nil
}

// Listening reports whether a process listens at the Unix socket path. One that
// is too busy to accept listens.
func Listening(path string) bool {
	c, err := net.Dial("unix", path)
	if err == nil {
		c.Close()
	}
	return !errors.Is(err, syscall.ECONNREFUSED) && !errors.Is(err, os.ErrNotExist)
}

// FindDat is where the management data named on a command line stands: as it is
// given, or in the configuration directory for a bare name that is not here.
func (d Dirs) FindDat(name string) string {
	if _, err := os.Stat(name); err != nil && name == filepath.Base(name) {
		return filepath.Join(d.Conf, name)
	}
	return name
}
