package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// The states of a real server's power.
const (
	powerOn     = "on"
	powerAsleep = "asleep"
	powerOff    = "off"
	powerFrozen = "frozen" // it hangs: its network answers, no process does
)

// bootDelay is the time from a magic packet, or the reset button, until
// libvirtd is started: firmware and kernel.
const bootDelay = 20 * time.Second

// power is a real server's power supply, with the card that hears magic packets.
type power struct {
	mu    sync.Mutex
	m     *machine
	state string
}

// Suspend stops everything on the host and takes its link down.
func (p *power) suspend(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.state != powerOn {
		return fmt.Errorf("cannot suspend %s: it is %s", p.m.Name, p.state)
	}
	if err := p.m.link(ctx, "down"); err != nil {
		return err
	}
	p.state = powerAsleep
	return signalAll(ctx, p.m.namespace(), syscall.SIGSTOP)
}

// freeze stops everything on the host, whose network goes on.
func (p *power) freeze(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.state != powerOn {
		return fmt.Errorf("cannot freeze %s: it is %s", p.m.Name, p.state)
	}
	p.state = powerFrozen
	return signalAll(ctx, p.m.namespace(), syscall.SIGSTOP)
}

// thaw undoes a freeze.
func (p *power) thaw(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.state != powerFrozen {
		return fmt.Errorf("cannot thaw %s: it is %s", p.m.Name, p.state)
	}
	p.state = powerOn
	return signalAll(ctx, p.m.namespace(), syscall.SIGCONT)
}

// wake is what a magic packet does: a host that is awake takes no notice.
func (p *power) wake(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch p.state {
	case powerAsleep:
		if err := signalAll(ctx, p.m.namespace(), syscall.SIGCONT); err != nil {
			return err
		}
		p.state = powerOn
		return p.m.link(ctx, "up")
	case powerOff:
		return p.boot(ctx)
	}
	return nil
}

// off ends everything on the host at once.
func (p *power) off(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.down(ctx)
}

func (p *power) down(ctx context.Context) error {
	if err := p.m.link(ctx, "down"); err != nil {
		return err
	}
	p.state = powerOff
	return killAll(ctx, p.m.namespace())
}

// restart is off, and on again by itself.
func (p *power) restart(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.down(ctx); err != nil {
		return err
	}
	return p.boot(ctx)
}

func (p *power) boot(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(bootDelay):
	}
	// What a machine keeps in memory is gone.
	if err := os.RemoveAll(filepath.Join(p.m.dir(), "run")); err != nil {
		return fmt.Errorf("cannot boot %s: %v", p.m.Name, err)
	}
	if err := p.m.link(ctx, "up"); err != nil {
		return err
	}
	if err := p.m.startLibvirtd(); err != nil {
		return err
	}
	p.state = powerOn
	return nil
}

// restartLibvirtd is what the restart command of real servers does. Guests go on.
func (p *power) restartLibvirtd(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.state != powerOn {
		return fmt.Errorf("cannot reach %s: it is %s", p.m.Name, p.state)
	}
	_ = p.m.cmd.Process.Kill() // it may have ended
	<-p.m.ended
	return p.m.startLibvirtd()
}

// now is the state of the power.
func (p *power) now() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.state
}

// link plugs or unplugs the host's cable at the switch.
func (m *machine) link(ctx context.Context, how string) error {
	_, err := run(ctx, "ip", "-n", m.lab.Namespace("switch"), "link", "set", port(m.Name), how)
	return err
}

// signalAll signals all processes of a namespace, also those that one of them
// started meanwhile.
func signalAll(ctx context.Context, ns string, signal syscall.Signal) error {
	done := map[int]bool{}
	for {
		pids, err := pidsIn(ctx, ns)
		if err != nil {
			return err
		}
		fresh := 0
		for _, pid := range pids {
			if done[pid] {
				continue
			}
			if err := syscall.Kill(pid, signal); err != nil && !errors.Is(err, syscall.ESRCH) {
				return fmt.Errorf("cannot signal %d: %v", pid, err)
			}
			done[pid] = true
			fresh++
		}
		if fresh == 0 {
			return nil
		}
	}
}

// powers finds a host's power supply by name or address.
func (r *room) power(name string) (*power, error) {
	h, err := r.plan.find(name)
	if err != nil {
		return nil, err
	}
	for _, p := range r.supplies {
		if p.m.Name == h.Name {
			return p, nil
		}
	}
	return nil, fmt.Errorf("cannot switch %s: it has no power supply", name)
}

// status is a line a host.
func (r *room) status() string {
	var b strings.Builder
	for _, p := range r.supplies {
		fmt.Fprintf(&b, "%s %v %s\n", p.m.Name, p.m.IP, p.now())
	}
	return b.String()
}
