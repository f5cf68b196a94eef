package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// clearLimit is how long a room may take to end by itself.
const clearLimit = 20 * time.Second

func pidFile(dir string) string { return filepath.Join(dir, "room.pid") }

// writePID tells Clear which process is the room of dir.
func writePID(dir string) error {
	if err := os.WriteFile(pidFile(dir), []byte(strconv.Itoa(os.Getpid())), 0o644); err != nil {
		return fmt.Errorf("cannot describe the lab: %v", err)
	}
	return nil
}

// Clear ends the room of dir, if there is one, and what rooms that died have
// left. Of the files, logs remain.
func Clear(ctx context.Context, dir string) error {
	if os.Geteuid() != 0 {
		return errors.New("cannot clear the lab: it needs root")
	}
	if pid := roomPID(dir); pid != 0 {
		if err := endRoom(ctx, pid); err != nil {
			return err
		}
		if err := clearAll(ctx, namespacePrefix+strconv.Itoa(pid)+"-"); err != nil {
			return err
		}
	}
	if err := Sweep(ctx); err != nil {
		return err
	}
	return clearFiles(dir)
}

// roomPID is the process that is the room of dir, 0 where there is none.
func roomPID(dir string) int {
	b, err := os.ReadFile(pidFile(dir))
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(string(b))
	if err != nil {
		return 0
	}
	line, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cmdline"))
	if words := strings.Split(string(line), "\x00"); err != nil || !slices.Contains(words, dir) {
		return 0 // it is gone, and its number may be another's
	}
	return pid
}

func endRoom(ctx context.Context, pid int) error {
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("cannot end the lab: %v", err)
	}
	late := time.After(clearLimit)
	for alive(pid) {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-late:
			_ = syscall.Kill(pid, syscall.SIGKILL) // what it leaves is cleared next
			late = nil
		case <-time.After(20 * time.Millisecond):
		}
	}
	return nil
}

// clearFiles removes everything in dir but logs.
func clearFiles(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil && !os.IsNotExist(err) {
		return fmt.Errorf("cannot clear the lab: %v", err)
	}
	for _, e := range entries {
		if e.Name() == "site" || e.Name() == "room.log" || e.Name() == "consoles" {
			continue
		}
		if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
			return fmt.Errorf("cannot clear the lab: %v", err)
		}
	}
	return nil
}
