package lab

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// agentLimit bounds one question to a guest's agent.
const agentLimit = 5 * time.Second

// whereabouts finds the host on which a guest's QEMU runs, and its pid.
func (l *Lab) whereabouts(guest string) (Host, int, error) {
	for _, h := range l.plan.Hosts {
		b, err := os.ReadFile(filepath.Join(l.dir, "hosts", h.Name, "run/libvirt/qemu", guest+".pid"))
		if err != nil {
			continue
		}
		if pid, err := strconv.Atoi(strings.TrimSpace(string(b))); err == nil && alive(pid) {
			return h, pid, nil
		}
	}
	return Host{}, 0, fmt.Errorf("cannot find %s: it runs nowhere", guest)
}

// InGuest starts a command in a guest, which may not live to answer.
func (l *Lab) InGuest(ctx context.Context, guest string, argv ...string) error {
	h, _, err := l.whereabouts(guest)
	if err != nil {
		return err
	}
	b, err := json.Marshal(map[string]any{"execute": "guest-exec", "arguments": map[string]any{"path": argv[0], "arg": argv[1:]}})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, agentLimit)
	defer cancel()
	return l.virsh(ctx, h, "qemu-agent-command", "--timeout", "3", guest, string(b))
}

// surely is InGuest for what ought to happen: an agent that is busy with
// somebody else's question is asked again. A guest that does not live to answer
// has done it.
func (l *Lab) surely(ctx context.Context, guest string, argv ...string) error {
	for tries := 0; ; tries++ {
		err := l.InGuest(ctx, guest, argv...)
		if err == nil || ctx.Err() != nil {
			return err
		}
		if gone := []string{"disappeared", "not running"}; slices.ContainsFunc(gone, func(s string) bool { return strings.Contains(err.Error(), s) }) {
			return nil
		}
		if tries == faultTries {
			return err
		}
	}
}

// faultTries is how often an agent that does not answer is asked again.
const faultTries = 5

// virsh asks the libvirtd of h, from the management server.
func (l *Lab) virsh(ctx context.Context, h Host, args ...string) error {
	_, err := run(ctx, l.virshCommand(h, args...)...)
	return err
}

func (l *Lab) virshCommand(h Host, args ...string) []string {
	argv := []string{"ip", "netns", "exec", l.Namespace(management), "virsh", "-q", "-c", "qemu+tcp://" + h.IP.String() + "/system"}
	return append(argv, args...)
}

// The kinds of faults, and what they are done to.
var (
	guestFaults = map[string][]string{
		"vm-restart":  {"busybox", "reboot", "-f"},
		"vm-shutdown": {"busybox", "poweroff", "-f"},
		"network-cut": {"ip", "link", "set", "eth0", "down"},
	}
	// SIGKILL is a crash; a guest that is held up stands still for its hypervisor,
	// as in a snapshot or at the end of a migration, which then lets go of it.
	guestSignals = map[string]syscall.Signal{"vm-crash": syscall.SIGKILL, "vm-hold": syscall.SIGSTOP, "vm-release": syscall.SIGCONT}
	daemonFaults = map[string]string{"service-stop": "stop", "service-freeze": "freeze"}
	hostFaults   = map[string]string{"rs-restart": "restart", "rs-shutdown": "off", "rs-freeze": "freeze", "partition": "partition"}
)

// FaultKinds are the kinds that Fault knows.
func FaultKinds() []string {
	kinds := []string{lossFault, busyFault}
	for k := range guestSignals {
		kinds = append(kinds, k)
	}
	for _, m := range []map[string]string{daemonFaults, hostFaults} {
		for k := range m {
			kinds = append(kinds, k)
		}
	}
	for k := range guestFaults {
		kinds = append(kinds, k)
	}
	slices.Sort(kinds)
	return kinds
}

// fault makes something go wrong with a guest (M1), a daemon of one
// (M1:postfix), a real server (RS1), or with all.
func (r *room) fault(ctx context.Context, o order) error {
	kind, target := o.Kind, o.Host
	if argv, ok := guestFaults[kind]; ok {
		return r.surely(ctx, target, argv...)
	}
	if verb, ok := daemonFaults[kind]; ok {
		guest, daemon, _ := strings.Cut(target, ":")
		return r.surely(ctx, guest, "lab-daemon", verb, daemon)
	}
	if verb, ok := hostFaults[kind]; ok {
		_, err := r.do(ctx, order{Verb: verb, Host: target})
		return err
	}
	if s, ok := guestSignals[kind]; ok {
		return r.signal(target, s)
	}
	switch kind {
	case lossFault:
		return r.loss(ctx, o.Much, target)
	case busyFault:
		return r.busy(ctx, o.Much)
	}
	return fmt.Errorf("cannot cause %q: no such fault; there are %s", kind, strings.Join(FaultKinds(), " "))
}

// signal signals a guest's QEMU.
func (l *Lab) signal(guest string, s syscall.Signal) error {
	_, pid, err := l.whereabouts(guest)
	if err != nil {
		return err
	}
	if err := syscall.Kill(pid, s); err != nil {
		return fmt.Errorf("cannot signal %s: %v", guest, err)
	}
	return nil
}
