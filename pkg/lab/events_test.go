//go:build lab && libvirt_dlopen

package lab

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"syscall"
	"testing"
	"time"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/fleet"
)

// await returns when an event of that kind about host comes; others are passed over.
func await(t *testing.T, events <-chan cluster.Event, host string, kind cluster.EventKind, since time.Time) {
	t.Helper()
	limit := time.After(60 * time.Second)
	for {
		select {
		case e, ok := <-events:
			if !ok {
				t.Fatalf("the events end before %q", kind)
			}
			t.Logf("%6.2f s %s %s", e.At.Sub(since).Seconds(), e.Host, e.Kind)
			if e.Host == host && e.Kind == kind {
				return
			}
		case <-limit:
			t.Fatalf("no event %q of %q", kind, host)
		}
	}
}

// TestEvents follows a guest through boot, reboot, shutdown and crash by what
// its hypervisor reports, and tells a boot under way from a running guest.
func TestEvents(t *testing.T) {
	d := openFleet(t)
	ctx, cancel := context.WithCancel(t.Context())
	events, err := d.Events(ctx, rs1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Destroy(context.Background(), m1); err != nil {
			t.Error(err)
		}
	})
	begin := time.Now()
	if err := d.Start(quick(t), m1); err != nil {
		t.Fatal(err)
	}
	wantState(t, d, m1, cluster.GuestBooting)
	await(t, events, "M1", cluster.EventStarted, begin)
	await(t, events, "M1", cluster.EventAgentUp, begin)
	wantState(t, d, m1, cluster.GuestRunning)

	begin = time.Now()
	if _, err := d.Run(quick(t), m1, []string{"reboot", "-f"}); err == nil {
		t.Error("a rebooting guest answered")
	}
	await(t, events, "M1", cluster.EventRebooted, begin)
	wantState(t, d, m1, cluster.GuestBooting)
	if _, err := d.Addrs(quick(t), m1); !errors.Is(err, cluster.ErrAgentSilent) {
		t.Errorf("the agent of a booting guest: %v", err)
	}
	await(t, events, "M1", cluster.EventAgentUp, begin)

	begin = time.Now()
	if err := d.Reset(quick(t), m1); err != nil {
		t.Error(err)
	}
	await(t, events, "M1", cluster.EventRebooted, begin)
	await(t, events, "M1", cluster.EventAgentUp, begin)

	begin = time.Now()
	var gone sync.WaitGroup
	gone.Go(func() { _, _ = d.Run(quick(t), m1, []string{"poweroff", "-f"}) }) // it is gone before it can answer
	await(t, events, "M1", cluster.EventShutdown, begin)
	timed(t, "the state of a dead guest", func() error { return isState(t, d, m1, cluster.GuestOff) })
	gone.Wait()
	within(t, 5*time.Second, "off", func() error { return isState(t, d, m1, cluster.GuestOff) })

	cancel()
	for range events { // until it is closed
	}
}

// stopped stops a host's libvirtd, as a host that hangs does, until the
// function that it returns is called.
func stopped(t *testing.T, host string) (goOn func()) {
	t.Helper()
	pid := attach(t).Libvirtd(host)
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	goOn = sync.OnceFunc(func() {
		if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(goOn)
	return goOn
}

// TestHang: calls to a host that hangs end at their deadline, those to another
// one are not delayed, and when it goes on so does the driver.
func TestHang(t *testing.T) {
	d := openFleet(t)
	if err := d.HypervisorAlive(quick(t), rs1); err != nil {
		t.Fatal(err)
	}
	goOn := stopped(t, "RS1")
	for range 3 {
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		begin := time.Now()
		if _, err := d.GuestState(ctx, m1); !errors.Is(err, cluster.ErrHostSilent) {
			t.Errorf("a hanging hypervisor: %v", err)
		}
		if took := time.Since(begin); took > time.Second {
			t.Errorf("a call with 300 ms took %v", took)
		}
		cancel()
		timed(t, "the other host meanwhile", func() error { return d.HypervisorAlive(quick(t), mgmt) })
	}
	goOn()
	within(t, 15*time.Second, "the hypervisor answers again", func() error { return d.HypervisorAlive(quick(t), rs1) })
}

// TestSilence: a hypervisor that falls silent is noticed without a call to it.
func TestSilence(t *testing.T) {
	d := openFleet(t)
	if err := d.HypervisorAlive(quick(t), rs1); err != nil {
		t.Fatal(err)
	}
	events, err := d.Events(t.Context(), rs1)
	if err != nil {
		t.Fatal(err)
	}
	goOn, begin := stopped(t, "RS1"), time.Now()
	await(t, events, "", cluster.EventDisconnected, begin)
	goOn()
	within(t, 15*time.Second, "the hypervisor answers again", func() error { return d.HypervisorAlive(quick(t), rs1) })
}

func isState(t *testing.T, d fleet.Driver, g cluster.Guest, want cluster.GuestState) error {
	state, err := d.GuestState(quick(t), g)
	if err == nil && state != want {
		err = fmt.Errorf("%s is %s", g.Host, state)
	}
	return err
}
