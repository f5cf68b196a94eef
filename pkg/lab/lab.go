// Package lab is a small machine room on one machine, for tests and
// experiments: real servers are network namespaces with a libvirtd of their
// own, virtual servers are QEMU guests with a guest agent and, where the plan
// has a disk, Debian's services. It needs root and a few Debian packages
// (scripts/lab-deps.sh).
package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

// Lab is a machine room that is up.
type Lab struct {
	plan   Plan
	dir    string // everything it writes, but for a cached guest image
	prefix string // of its namespaces' names: who made it
	hosts  []*machine
	reaper *reaper
	kvm    bool // the machine's processor runs the guests, else QEMU emulates one
}

// namespacePrefix begins the names of all namespaces of all labs; the pid of
// the process that made them follows.
const namespacePrefix = "psslab"

// Up builds the room: switch, hosts with a libvirtd that answers, and the
// definitions of all servers, none of them started. dir is kept; it should be
// fresh. What remains of a lab whose process died is cleared away first.
func Up(ctx context.Context, plan Plan, dir string) (_ *Lab, err error) {
	if err := Ready(); err != nil {
		return nil, err
	}
	if err := Sweep(ctx); err != nil {
		return nil, err
	}
	l := &Lab{plan: plan, dir: dir, prefix: namespacePrefix + strconv.Itoa(os.Getpid()) + "-"}
	defer func() {
		if err != nil {
			err = errors.Join(err, l.Down(context.WithoutCancel(ctx)))
		}
	}()
	if err := l.buildImage(ctx); err != nil {
		return nil, err
	}
	if err := l.makeDisks(ctx); err != nil {
		return nil, err
	}
	l.kvm = l.kvmBoots(ctx)
	if l.reaper, err = reapOrphans(ctx); err != nil {
		return nil, err
	}
	if err := l.buildSwitch(ctx); err != nil {
		return nil, err
	}
	for _, p := range plan.Peers {
		if err := l.plugPeer(ctx, p); err != nil {
			return nil, err
		}
	}
	var all errgroup.Group
	for i, h := range plan.Hosts {
		m := &machine{Host: h, lab: l, uuid: fmt.Sprintf("6d736273-0000-4000-8000-%012d", i+1)}
		l.hosts = append(l.hosts, m)
		all.Go(func() error { return m.up(ctx) })
	}
	if err := all.Wait(); err != nil {
		return nil, err
	}
	if err := l.writeDefinitions(); err != nil {
		return nil, err
	}
	return l, l.writeManifest()
}

// Ready tells why a lab cannot be built here, if it cannot.
func Ready() error {
	if os.Geteuid() != 0 {
		return errors.New("cannot build the lab: it needs root")
	}
	if missing := missingPrograms(); len(missing) > 0 {
		return fmt.Errorf("cannot build the lab: not installed: %s (scripts/lab-deps.sh installs them)", strings.Join(missing, ", "))
	}
	return nil
}

// Definition is the template of the servers' domain XML files.
func (l *Lab) Definition() string { return filepath.Join(l.dir, "domains", "{host}.xml") }

// SavePath is the template of saved images.
func (l *Lab) SavePath() string { return filepath.Join(l.dir, "saved", "{host}.save") }

// URI is the template of the hosts' libvirt addresses.
func (l *Lab) URI() string { return "qemu+tcp://{ip}/system" }

// Namespace is the network namespace of a host, or of the "switch".
func (l *Lab) Namespace(name string) string { return l.prefix + strings.ToLower(name) }

// Down ends every process of the lab and removes its namespaces. Only files
// below its directory remain.
func (l *Lab) Down(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	defer l.reaper.end()
	return clearAll(ctx, l.prefix)
}

// Sweep clears away what is left of labs whose process is gone.
func Sweep(ctx context.Context) error {
	names, err := namespaces(ctx)
	if err != nil {
		return err
	}
	for _, n := range names {
		rest, ok := strings.CutPrefix(n, namespacePrefix)
		owner, _, _ := strings.Cut(rest, "-")
		if pid, err := strconv.Atoi(owner); !ok || err != nil || alive(pid) {
			continue
		}
		if err := clearAll(ctx, namespacePrefix+owner+"-"); err != nil {
			return err
		}
	}
	return nil
}

func alive(pid int) bool {
	_, err := os.Stat(filepath.Join("/proc", strconv.Itoa(pid)))
	return err == nil
}
