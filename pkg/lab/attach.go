package lab

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// manifest is what another process needs to know of a lab that is up.
type manifest struct {
	Plan     Plan
	Prefix   string
	Libvirtd map[string]int // pids, by host
}

const manifestFile = "lab.json"

func (l *Lab) writeManifest() error {
	m := manifest{Plan: l.plan, Prefix: l.prefix, Libvirtd: map[string]int{}}
	for _, h := range l.hosts {
		m.Libvirtd[h.Name] = h.cmd.Process.Pid
	}
	b, err := json.Marshal(m)
	if err == nil {
		err = os.WriteFile(filepath.Join(l.dir, manifestFile), b, 0o644)
	}
	if err != nil {
		return fmt.Errorf("cannot describe the lab: %v", err)
	}
	return nil
}

// Attached is a lab that another process built.
type Attached struct {
	Lab
	libvirtd map[string]int
}

// Attach finds the lab in dir.
func Attach(dir string) (*Attached, error) {
	var m manifest
	b, err := os.ReadFile(filepath.Join(dir, manifestFile))
	if err == nil {
		err = json.Unmarshal(b, &m)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot find the lab: %v", err)
	}
	return &Attached{Lab: Lab{plan: m.Plan, dir: dir, prefix: m.Prefix}, libvirtd: m.Libvirtd}, nil
}

// Libvirtd is the pid of a host's libvirtd.
func (a *Attached) Libvirtd(host string) int { return a.libvirtd[host] }

// OnManagement is the command that runs argv on the management server; pss,
// dbss, dsrs and sif are those of the lab, with its directories.
func (a *Attached) OnManagement(argv []string) []string {
	out := []string{"ip", "netns", "exec", a.Namespace(management)}
	if len(argv) > 0 && slices.Contains(productPrograms, argv[0]) {
		return append(append(out, filepath.Join(a.dir, "bin", argv[0])), a.flags(argv[1:]...)...)
	}
	return append(out, argv...)
}
