package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// run runs a command to its end; its error has what the command said.
func run(ctx context.Context, argv ...string) (string, error) {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	cmd.WaitDelay = time.Second
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("cannot run %q: %v: %s", argv, err, bytes.TrimSpace(errs.Bytes()))
	}
	return out.String(), nil
}

// runAll runs commands in turn, each given as words without blanks in them.
func runAll(ctx context.Context, commands ...string) error {
	for _, c := range commands {
		if _, err := run(ctx, strings.Fields(c)...); err != nil {
			return err
		}
	}
	return nil
}

// buildSwitch makes the namespace that all hosts are plugged into.
func (l *Lab) buildSwitch(ctx context.Context) error {
	ns := l.Namespace("switch")
	err := runAll(ctx,
		"ip netns add "+ns,
		"ip -n "+ns+" link set lo up",
		"ip -n "+ns+" link add sw0 type bridge",
		"ip -n "+ns+" link set sw0 promisc on up", // magic packets are for hosts, and heard here
	)
	if err == nil && l.plan.Switch.IsValid() {
		_, err = run(ctx, "ip", "-n", ns, "addr", "add", l.plan.Switch.String()+"/24", "dev", "sw0")
	}
	return err
}

// port is the switch's end of the cable of a host or peer.
func port(name string) string { return "p-" + strings.ToLower(name) }

// plugPeer makes the namespace of p, with a card that leads to the switch.
func (l *Lab) plugPeer(ctx context.Context, p Peer) error {
	ns, sw := l.Namespace(p.Name), l.Namespace("switch")
	return runAll(ctx,
		"ip netns add "+ns,
		"ip -n "+ns+" link set lo up",
		"ip link add "+port(p.Name)+" netns "+sw+" type veth peer name eth0 netns "+ns,
		"ip -n "+sw+" link set "+port(p.Name)+" master sw0 up",
		"ip -n "+ns+" addr add "+p.IP.String()+"/24 dev eth0",
		"ip -n "+ns+" link set eth0 up",
	)
}

// plug makes the namespace of m, with a bridge that has its address and leads
// to the switch; guests join the bridge.
func (m *machine) plug(ctx context.Context) error {
	ns, sw, port := m.namespace(), m.lab.Namespace("switch"), port(m.Name)
	return runAll(ctx,
		"ip netns add "+ns,
		"ip -n "+ns+" link set lo up",
		"ip link add "+port+" netns "+sw+" type veth peer name uplink netns "+ns,
		"ip -n "+sw+" link set "+port+" master sw0 up",
		"ip -n "+ns+" link add br0 address "+m.MAC.String()+" type bridge",
		"ip -n "+ns+" link set uplink master br0 up",
		"ip -n "+ns+" addr add "+m.IP.String()+"/24 dev br0",
		"ip -n "+ns+" link set br0 up",
	)
}

// namespaces lists the names of all network namespaces.
func namespaces(ctx context.Context) ([]string, error) {
	out, err := run(ctx, "ip", "netns", "list")
	if err != nil {
		return nil, err
	}
	var names []string
	for line := range strings.Lines(out) {
		if f := strings.Fields(line); len(f) > 0 {
			names = append(names, f[0])
		}
	}
	return names, nil
}

// clearAll ends all processes in the namespaces with the prefix, and removes them.
func clearAll(ctx context.Context, prefix string) error {
	names, err := namespaces(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, n := range names {
		if !strings.HasPrefix(n, prefix) {
			continue
		}
		if err := killAll(ctx, n); err != nil {
			errs = append(errs, err)
			continue
		}
		_, err := run(ctx, "ip", "netns", "del", n)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// killAll kills the processes of a namespace and waits until they are gone.
func killAll(ctx context.Context, ns string) error {
	for {
		pids, err := pidsIn(ctx, ns)
		if err != nil || len(pids) == 0 {
			return err
		}
		for _, pid := range pids {
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
				return fmt.Errorf("cannot kill %d: %v", pid, err)
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("cannot empty %s: %v", ns, ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// pidsIn lists the processes of a namespace.
func pidsIn(ctx context.Context, ns string) ([]int, error) {
	out, err := run(ctx, "ip", "netns", "pids", ns)
	if err != nil {
		return nil, err
	}
	var pids []int
	for f := range strings.FieldsSeq(out) {
		pid, err := strconv.Atoi(f)
		if err != nil {
			return nil, fmt.Errorf("cannot read the pids in %s: %v", ns, err)
		}
		pids = append(pids, pid)
	}
	return pids, nil
}
