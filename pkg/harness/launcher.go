package harness

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// launcher keeps one program running as an operator's shell loop would: it
// starts it again one emulated second after it was killed or failed, and not
// when it ended by itself with 0 (a dbss that handed over).
type launcher struct {
	name string
	cmd  func() *exec.Cmd
	wait time.Duration // wall clock

	mu   sync.Mutex
	done chan struct{}
	err  error
}

// run starts the program again and again until ctx ends or it ends well.
func (l *launcher) run(ctx context.Context) {
	defer close(l.done)
	for ctx.Err() == nil {
		cmd := l.cmd()
		if err := cmd.Start(); err != nil {
			l.fail(err)
			return
		}
		stop := context.AfterFunc(ctx, func() { _ = cmd.Process.Signal(syscall.SIGTERM) })
		err := cmd.Wait()
		stop()
		if err == nil {
			return
		}
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() == 2 {
			l.fail(fmt.Errorf("%s: %v", l.name, err))
			return
		}
		select {
		case <-ctx.Done():
		case <-time.After(l.wait):
		}
	}
}

func (l *launcher) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err = err
}

// Process is one process of the system under test.
type Process struct {
	PID, Parent int
	Program     string   // pss, dbss, dsrs or sif
	Args        []string // without the program
}

// Target is the server that the process watches or serves: M1 of `dbss
// M1.dat` and of `sif --target M1`; empty for pss.
func (p Process) Target() string {
	for i, a := range p.Args {
		if a == "--target" && i+1 < len(p.Args) {
			return p.Args[i+1]
		}
		if v, ok := strings.CutPrefix(a, "--target="); ok {
			return v
		}
	}
	for _, a := range p.Args {
		if v, ok := strings.CutSuffix(filepath.Base(a), ".dat"); ok {
			return v
		}
	}
	return ""
}

// Has reports whether the process was given the argument a.
func (p Process) Has(a string) bool { return slices.Contains(p.Args, a) }

// processes lists the processes of the executables in bin that work in run,
// as ps would show them. It finds orphans too: they are told by their
// arguments, not by their parent.
func processes(run string) ([]Process, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, fmt.Errorf("cannot list processes: %v", err)
	}
	var out []Process
	for _, e := range entries {
		if p, ok := readProcess(e.Name(), run); ok {
			out = append(out, p)
		}
	}
	slices.SortFunc(out, func(a, b Process) int { return a.PID - b.PID })
	return out, nil
}

func readProcess(dir, run string) (Process, bool) {
	raw, err := os.ReadFile(filepath.Join("/proc", dir, "cmdline"))
	if err != nil || len(raw) == 0 {
		return Process{}, false
	}
	argv := strings.Split(strings.TrimSuffix(string(raw), "\x00"), "\x00")
	name := filepath.Base(argv[0])
	if !slices.Contains([]string{"pss", "dbss", "dsrs", "sif"}, name) {
		return Process{}, false
	}
	if !slices.ContainsFunc(argv, func(a string) bool { return strings.TrimPrefix(a, "--run=") == run }) {
		return Process{}, false
	}
	p := Process{Program: name, Args: argv[1:]}
	stat, err := os.ReadFile(filepath.Join("/proc", dir, "stat"))
	if err != nil {
		return Process{}, false
	}
	// the second field is the name in parentheses, which may hold blanks
	rest := string(stat[strings.LastIndexByte(string(stat), ')')+1:])
	var state string
	if _, err := fmt.Sscan(rest, &state, &p.Parent); err != nil || state == "Z" {
		return Process{}, false
	}
	_, err = fmt.Sscan(dir, &p.PID)
	return p, err == nil
}
