//go:build lab

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pss-msbs/pkg/lab"
)

// TestShort is what a change must pass: a room comes up, takes over once for each
// kind of trouble, gets its load again, and goes down clean. Its guests should be
// small.
func TestShort(t *testing.T) {
	before := namespaces(t)
	t.Run("room", func(t *testing.T) {
		r := up(t)
		for _, x := range moderate {
			switch x.kind {
			case "vm-crash", "vm-shutdown", "network-cut", "service-freeze", "rs-shutdown":
				t.Run(x.name, func(t *testing.T) { r.in(t).takesOver(x) })
			}
		}
		t.Run("load", func(t *testing.T) { r.in(t).reloaded("M1", "Mail") })
	})
	if *use == "" {
		cleared(t, before)
	}
}

// takesOver causes one trouble and waits until the function is back, and all is as
// before.
func (r room) takesOver(x trouble) {
	c := r.suffer("Moderate", x)
	r.t.Logf("the function was back %.2f s after the fault", c.function.Sub(c.at).Seconds())
	for _, s := range []string{"dbss-F1", "dbss-M2"} {
		if l := r.lines(s, "server separated", c.at); len(l) > 0 {
			r.t.Errorf("%s took over, too:\n%s", s, text(l))
		}
	}
}

// reloaded fails unless a server that restarts gets its load again, and gets it
// when that is ordered again.
func (r room) reloaded(server, group string) {
	filled := func() error { return r.fillOf(server, busy-5, 100) }
	r.within(time.Minute, "its load", filled)
	began := time.Now()
	if err := lab.Fault(r.t.Context(), r.dir, "vm-restart", server); err != nil {
		r.t.Fatalf("%v", err)
	}
	r.within(recoverLimit, "the normal state", func() error {
		if len(r.lines("dbss-"+server, recovered, began)) == 0 {
			return fmt.Errorf("%s has not recovered", server)
		}
		return r.normal("Moderate")
	})
	r.within(2*time.Minute, "its load after its restart", filled)
	r.within(time.Minute, "its memory let go of", func() error { return r.emptied(server) })
	r.within(time.Minute, "its memory free", func() error { return r.fillOf(server, 0, busy-15) })
	if err := lab.Load(r.t.Context(), r.dir, group, busy); err != nil {
		r.t.Fatalf("%v", err)
	}
	r.within(2*time.Minute, "its load by the same order", filled)
}

// fillOf is nil when so many percent of a server's memory are used, as pss measures it.
func (r room) fillOf(server string, from, to int) error {
	s, err := r.status()
	if err != nil {
		return err
	}
	for _, g := range s.Groups {
		for _, v := range g.Servers {
			if v.Host != server {
				continue
			}
			if percent := 100 * v.MemKB / max(1, v.MaxMemKB); percent < from || percent > to {
				return fmt.Errorf("%d %% of its memory are used", percent)
			}
			return nil
		}
	}
	return fmt.Errorf("%s is not measured", server)
}

// emptied lets go of what fills a home server's memory, behind the lab's back.
func (r room) emptied(server string) error {
	l, err := lab.Attach(r.dir)
	if err != nil {
		return err
	}
	return l.InGuest(r.t.Context(), server, "fill-memory", "0")
}

// namespaces are the names of all network namespaces.
func namespaces(t *testing.T) (names []string) {
	t.Helper()
	out, err := exec.Command("ip", "netns", "list").Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		names = append(names, strings.Fields(line)[0])
	}
	return names
}

// cleared fails unless nothing of the lab is left.
func cleared(t *testing.T, before []string) {
	for _, n := range namespaces(t) {
		if !slices.Contains(before, n) {
			t.Errorf("namespace %s is left", n)
		}
	}
	if b, err := os.ReadFile("/proc/self/mountinfo"); err != nil || strings.Contains(string(b), labDir) {
		t.Errorf("mounts are left: %v", err)
	}
	processes, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil || len(processes) == 0 {
		t.Errorf("no processes: %v", err)
	}
	for _, f := range processes {
		if b, err := os.ReadFile(f); err == nil && strings.Contains(string(b), labDir) {
			t.Errorf("a process is left: %q", strings.ReplaceAll(string(b), "\x00", " "))
		}
	}
}
