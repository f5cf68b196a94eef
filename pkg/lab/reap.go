package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// QEMU is nobody's child: libvirtd lets go of it, so that it can be restarted. A
// real server's init buries such a process as soon as it is dead, and libvirtd
// waits for just that before it says that a guest crashed. Other inits look
// every few seconds, which would be part of every figure; so the lab is the init
// of its real servers.
const (
	reapGap   = 500 * time.Millisecond // between looks that no signal caused
	reapPause = 10 * time.Millisecond  // between two looks that signals caused
)

// reaper buries the orphans of the process that it runs in.
type reaper struct {
	seen map[int]bool // dead at the last look, and perhaps somebody's to wait for
	stop context.CancelFunc
	work sync.WaitGroup
}

// reapOrphans makes this process the parent of all orphans among its
// descendants, which are buried until end is called.
func reapOrphans(ctx context.Context) (*reaper, error) {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return nil, fmt.Errorf("cannot adopt orphans: %v", err)
	}
	r := &reaper{seen: map[int]bool{}}
	ctx, r.stop = context.WithCancel(context.WithoutCancel(ctx))
	died := make(chan os.Signal, 1)
	signal.Notify(died, syscall.SIGCHLD)
	r.work.Go(func() {
		defer signal.Stop(died)
		r.run(ctx, died)
	})
	return r, nil
}

func (r *reaper) end() {
	if r != nil {
		r.stop()
		r.work.Wait()
	}
}

func (r *reaper) run(ctx context.Context, died <-chan os.Signal) {
	tick := time.NewTicker(reapGap)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			r.look(true)
		case <-died:
			r.look(false)
			time.Sleep(reapPause) // many may die at once
		}
	}
}

// look buries dead guests; and, on a regular look, what was dead at the last one
// already: what this process itself started, somebody waits for, and is gone by then.
func (r *reaper) look(regular bool) {
	dead := map[int]bool{}
	for _, pid := range deadChildren() {
		if name, _ := processStat(pid); strings.HasPrefix(name, "qemu-system") || regular && r.seen[pid] {
			bury(pid)
			continue
		}
		dead[pid] = true
	}
	if regular {
		r.seen = dead
	}
}

func bury(pid int) {
	var status unix.WaitStatus
	for {
		if _, err := unix.Wait4(pid, &status, unix.WNOHANG, nil); !errors.Is(err, unix.EINTR) {
			return
		}
	}
}

// deadChildren are the children of this process that are dead and that nobody
// has waited for.
func deadChildren() (pids []int) {
	entries, err := filepath.Glob("/proc/self/task/*/children")
	if err != nil {
		return nil
	}
	for _, e := range entries {
		b, err := os.ReadFile(e)
		if err != nil {
			continue // the thread has ended
		}
		for f := range strings.FieldsSeq(string(b)) {
			pid, err := strconv.Atoi(f)
			if err != nil {
				continue
			}
			if _, stat := processStat(pid); len(stat) > 0 && stat[0] == "Z" {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}

// processStat is the name of a process and what /proc says behind it, its state
// first; empty if it is gone.
func processStat(pid int) (name string, rest []string) {
	b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return "", nil
	}
	line := string(b)
	open, shut := strings.Index(line, "("), strings.LastIndex(line, ")") // the name may have either
	if open < 0 || shut < open {
		return "", nil
	}
	return line[open+1 : shut], strings.Fields(line[shut+1:])
}
