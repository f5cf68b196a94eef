package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"pss-msbs/pkg/harness"
)

// cost is what the processes of one program hold and have used.
type cost struct {
	processes    int
	rss, pss     int64 // KB
	ticks        int64 // hundredths of a second of processor time
	threads, fds int
}

// costs sums up every process of the rig by program; the emulated fleet is
// "fleet".
func costs(r *harness.Rig) (map[string]cost, error) {
	list, err := r.Processes()
	if err != nil {
		return nil, err
	}
	out := map[string]cost{}
	for _, p := range list {
		out[p.Program] = out[p.Program].plus(costOf(p.PID))
	}
	out["fleet"] = costOf(r.FleetPID())
	return out, nil
}

func (c cost) plus(o cost) cost {
	return cost{c.processes + o.processes, c.rss + o.rss, c.pss + o.pss, c.ticks + o.ticks, c.threads + o.threads, c.fds + o.fds}
}

// costOf reads one process; one that has just ended costs nothing.
func costOf(pid int) cost {
	dir := filepath.Join("/proc", strconv.Itoa(pid))
	c := cost{processes: 1}
	roll, _ := os.ReadFile(filepath.Join(dir, "smaps_rollup"))
	c.rss, c.pss = field(roll, "Rss:"), field(roll, "Pss:")
	status, _ := os.ReadFile(filepath.Join(dir, "status"))
	c.threads = int(field(status, "Threads:"))
	fds, _ := os.ReadDir(filepath.Join(dir, "fd"))
	c.fds = len(fds)
	stat, err := os.ReadFile(filepath.Join(dir, "stat"))
	if err != nil {
		return cost{}
	}
	f := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	const user, system = 11, 12 // fields 14 and 15 of proc_pid_stat(5)
	if len(f) > system {
		c.ticks = number(f[user]) + number(f[system])
	}
	return c
}

func field(text []byte, name string) int64 {
	for line := range strings.Lines(string(text)) {
		if v, ok := strings.CutPrefix(line, name); ok {
			return number(strings.Fields(v)[0])
		}
	}
	return 0
}

func number(s string) int64 {
	n, _ := strconv.ParseInt(s, 10, 64) // the kernel writes numbers
	return n
}

// load is the machine's load averages, as beside figures taken on a shared machine.
func load() string {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return err.Error()
	}
	return strings.Join(strings.Fields(string(b))[:3], " ")
}

// busy is the machine's processor time so far, all of it and that not idle.
func busy() (all, used int64) {
	b, _ := os.ReadFile("/proc/stat")
	line, _, _ := strings.Cut(string(b), "\n")
	for i, f := range strings.Fields(line)[1:] {
		all += number(f)
		const idle, wait = 3, 4
		if i != idle && i != wait {
			used += number(f)
		}
	}
	return all, used
}

func mb(kb int64) string { return fmt.Sprintf("%.1f MB", float64(kb)/1024) }
