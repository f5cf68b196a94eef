package ipc

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
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
type Failed struct{ Dir string } // the run directory

const failedPrefix = "failed-"

func (f Failed) path(host string) string { return filepath.Join(f.Dir, failedPrefix+host) }

// Has tells whether host is in the set.
func (f Failed) Has(host string) bool {
	_, err := os.Lstat(f.path(host))
	return err == nil
}

// Add puts host into the set; it may be in it.
func (f Failed) Add(host string) error {
	if err := os.WriteFile(f.path(host), nil, 0o600); err != nil {
		return fmt.Errorf("cannot record that %s failed: %v", host, err)
	}
	return nil
}

// Remove takes host out of the set; it need not be in it.
func (f Failed) Remove(host string) error {
	if err := os.Remove(f.path(host)); err != nil && !os.IsNotExist(err) {
		return fmt.Errorf("cannot forget that %s failed: %v", host, err)
	}
	return nil
}

// Hosts lists the set, sorted.
func (f Failed) Hosts() ([]string, error) {
	entries, err := os.ReadDir(f.Dir)
	if err != nil {
		return nil, fmt.Errorf("cannot list failed servers: %v", err)
	}
	var hosts []string
	for _, e := range entries {
		if host, ok := strings.CutPrefix(e.Name(), failedPrefix); ok {
			hosts = append(hosts, host)
		}
	}
	slices.Sort(hosts)
	return hosts, nil
}

// FailedBackups lists the servers whose VIPs are pss's; runDir is the run directory.
func FailedBackups(runDir string) ([]string, error) { return Failed{Dir: runDir}.Hosts() }
