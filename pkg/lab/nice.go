package lab

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A boot takes all of a processor that it can get, and there are few: those
// that serve, and those that probe them, go first.
const (
	bootNice   = 15
	guestNice  = 3 // of libvirtd, whose children guests are
	bootCPU    = 7 * time.Second
	niceGap    = 100 * time.Millisecond
	clockTicks = 100 // of a second in /proc, on every Linux
)

// keepNice lets booting guests wait for the others until ctx ends. A guest boots
// until its QEMU has used up what a boot takes, one restored from a file not at
// all.
func (r *room) keepNice(ctx context.Context) {
	booting := map[int]bool{}
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(niceGap):
		}
		seen := map[int]bool{}
		for _, s := range r.plan.Servers {
			_, pid, err := r.whereabouts(s.Host)
			if err != nil {
				continue
			}
			seen[pid] = true
			if boots := stillBoots(pid); boots != booting[pid] {
				renice(pid, map[bool]int{true: bootNice, false: guestNice}[boots])
				booting[pid] = boots
			}
		}
		for pid := range booting {
			if !seen[pid] {
				delete(booting, pid)
			}
		}
	}
}

func stillBoots(pid int) bool {
	used, err := usedCPU(pid)
	line, cerr := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cmdline"))
	return err == nil && cerr == nil && used < bootCPU && !strings.Contains(string(line), "\x00-incoming\x00")
}

// usedCPU is what a process has used of the processors.
func usedCPU(pid int) (time.Duration, error) {
	_, f := processStat(pid)
	const user, system = 11, 12
	if len(f) <= system {
		return 0, os.ErrInvalid
	}
	var ticks int
	for _, s := range []string{f[user], f[system]} {
		n, err := strconv.Atoi(s)
		if err != nil {
			return 0, err
		}
		ticks += n
	}
	return time.Duration(ticks) * time.Second / clockTicks, nil
}

// renice renices every thread of a process, and its session, which is what the
// kernel weighs where it groups processes by session. One that has ended is none.
func renice(pid, nice int) {
	dir := filepath.Join("/proc", strconv.Itoa(pid))
	_ = os.WriteFile(filepath.Join(dir, "autogroup"), []byte(strconv.Itoa(nice)), 0) // not there without such groups
	tasks, err := os.ReadDir(filepath.Join(dir, "task"))
	if err != nil {
		return
	}
	for _, t := range tasks {
		if tid, err := strconv.Atoi(t.Name()); err == nil {
			_ = unix.Setpriority(unix.PRIO_PROCESS, tid, nice)
		}
	}
}
