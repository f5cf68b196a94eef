package ipc

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"pss-msbs/pkg/notes"
)

// Failed is the set of servers in separation whose VIPs are pss's (SPEC 4, "A
// server without backup fails, or A4-failed"): one empty file failed-HOST in
// the run directory for each. It says that the server was fenced and that no
// backup serves in its place, so every VIP that stands only in its separation
// rows is pss's, and sif refuses A4 for it.
//
// A dbss without backup reports A4-failed too, once it has fenced its target:
// before that nobody else may hold the VIPs.
//
// The set changes only under the exclusive lock of the seven files: A4-failed
// adds, A3, A5 and B4 remove. It is lost with the run directory when the
// management server boots; dbss and pss then agree again that the takeover is
// dbss's to try.
type Failed struct {
	Dir  string     // the run directory
	Disk notes.Disk // where that is; nil: of the operating system
}

const failedPrefix = "failed-"

func (f Failed) path(host string) string { return filepath.Join(f.Dir, failedPrefix+host) }

// Has reports whether host is in the set.
func (f Failed) Has(host string) bool {
	return notes.On(f.Disk).Has(f.path(host))
}

// Add puts host into the set; it may be in it.
func (f Failed) Add(host string) error {
	if err := notes.On(f.Disk).Mark(f.path(host)); err != nil {
		return fmt.Errorf("cannot record that %s failed: %v", host, err)
	}
	return nil
}

// Remove takes host out of the set; it need not be in it.
func (f Failed) Remove(host string) error {
	if err := notes.On(f.Disk).Remove(f.path(host)); err != nil {
		return fmt.Errorf("cannot forget that %s failed: %v", host, err)
	}
	return nil
}

// Hosts lists the set, sorted.
func (f Failed) Hosts() ([]string, error) {
	names, err := notes.On(f.Disk).List(f.Dir)
	if err != nil {
		return nil, fmt.Errorf("cannot list failed servers: %v", err)
	}
	var hosts []string
	for _, name := range names {
		if host, ok := strings.CutPrefix(name, failedPrefix); ok {
			hosts = append(hosts, host)
		}
	}
	slices.Sort(hosts)
	return hosts, nil
}

// FailedBackups lists the servers whose VIPs are pss's; runDir is the run directory.
func FailedBackups(runDir string) ([]string, error) { return Failed{Dir: runDir}.Hosts() }
