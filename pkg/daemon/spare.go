package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"pss-msbs/pkg/mgmtdata"
)

// stopGrace is how long a program may take to end after SIGTERM.
const stopGrace = 5 * time.Second

// Stop ends the process by SIGTERM, after 5 s or the end of ctx by SIGKILL, and
// waits until it has ended.
func (p *Process) Stop(ctx context.Context) error {
	if err := p.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("cannot end pid %d: %v", p.PID, err)
	}
	grace, cancel := context.WithTimeout(ctx, stopGrace)
	defer cancel()
	select {
	case <-p.done:
		return nil
	case <-grace.Done():
	}
	if err := p.Signal(syscall.SIGKILL); err != nil {
		return fmt.Errorf("cannot end pid %d: %v", p.PID, err)
	}
	<-p.done
	return nil
}

// StartSpareMonitor writes the management data of a spare (or of a serving
// backup) into the run directory and starts its dbss, the sif of this process
// being its companion. It returns once the dbss monitors. One that monitors
// already is adopted.
func (e Env) StartSpareMonitor(ctx context.Context, dat mgmtdata.Server) (Child, error) {
	path := e.Dirs.SpareDat(dat.Host)
	if pid, held, err := e.Holder(dat.Host); err == nil && held {
		if old, err := mgmtdata.ReadServer(path); err == nil && string(mgmtdata.FormatServer(old)) == string(mgmtdata.FormatServer(dat)) {
			return e.Adopt(dat.Host, pid)
		}
	}
	if err := writeDat(path, dat); err != nil {
		return nil, fmt.Errorf("cannot start dbss for %s: %v", dat.Host, err)
	}
	return e.Start(ctx, Command{
		Program: "dbss", Name: dat.Host, Detached: true,
		Args: []string{path, "--companion", e.Dirs.SifSocket(dat.Host)},
	})
}

// writeDat replaces the file as a whole: a dbss may read it at any time.
func writeDat(path string, dat mgmtdata.Server) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	tmp := path + ".new"
	if err := os.WriteFile(tmp, mgmtdata.FormatServer(dat), 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}

// Adopt implements Kernel.
func (o OS) Adopt(name string, pid int) (Child, error) {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot adopt dbss pid %d: %v", pid, err)
	}
	holder, held, err := o.Holder(name)
	if err == nil && (!held || holder != pid) {
		err = fmt.Errorf("it does not monitor %s", name)
	}
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("cannot adopt dbss pid %d: %v", pid, err)
	}
	p := &Process{PID: pid, done: make(chan struct{})}
	go p.follow(fd, o, name)
	return p, nil
}

// follow waits for the end of an adopted process.
func (p *Process) follow(fd int, o OS, name string) {
	defer unix.Close(fd)
	for {
		_, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, -1)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if left, _, err := o.Holder(name); err != nil || left != 0 {
		p.err = fmt.Errorf("dbss pid %d died", p.PID)
	}
	close(p.done)
}
