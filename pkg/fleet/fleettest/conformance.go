// Package fleettest holds what every fleet driver must do, whatever is behind
// it: the emulated fleet and libvirt pass the same test.
package fleettest

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/fleet"
)

// World is what the test may use.
type World struct {
	Guest  cluster.Guest // off, on its own real server; no monitor looks at it
	Other  netip.Addr    // another real server, which can take it
	VIP    netip.Addr    // nobody's
	Daemon string        // of Guest
	Boot   time.Duration // at most

	// Crash kills the running guest; Hold has it stand still, as a hypervisor
	// does that is busy with its memory, and go on; Busy has it use its processors.
	Crash func() error
	Hold  func(hold bool) error
	Busy  func(busy bool) error
}

// suite is one run of the test.
type suite struct {
	d fleet.Driver
	w World
	g cluster.Guest
}

// Conformance uses every method that concerns a guest. The guest is off again
// in the end.
func Conformance(t *testing.T, d fleet.Driver, w World) {
	s := suite{d: d, w: w, g: w.Guest}
	defer func() {
		if err := d.Destroy(context.WithoutCancel(t.Context()), s.g); err != nil {
			t.Error(err)
		}
	}()
	for _, step := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"off", s.off}, {"boot", s.boot}, {"running", s.running}, {"work", s.work}, {"vip", s.vip}, {"daemon", s.daemon}, {"pause", s.pause}, {"hold", s.hold},
		{"link", s.link}, {"reset", s.reset}, {"save", s.save}, {"migrate", s.migrate}, {"crash", s.crash}, {"destroy", s.destroy}, {"events", s.events},
	} {
		begin := time.Now()
		step.run(t)
		if t.Failed() {
			t.Fatalf("%s: failed, so the rest makes no sense", step.name)
		}
		t.Logf("%-8s %6.2f s", step.name, time.Since(begin).Seconds())
	}
}

// quick bounds one call as the programs do.
func quick(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), cluster.CallLimit)
	t.Cleanup(cancel)
	return ctx
}

// slow bounds one that moves memory.
func slow(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// must fails the test at once if err is one.
func must(t *testing.T, what string, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

func (s *suite) want(t *testing.T, g cluster.Guest, want cluster.GuestState) {
	t.Helper()
	got, err := s.d.GuestState(quick(t), g)
	if err != nil || got != want {
		t.Errorf("%s is %q, %v; want %q", g.Host, got, err, want)
	}
}

// within repeats a question until its answer is nil.
func within(t *testing.T, limit time.Duration, what string, ask func() error) {
	t.Helper()
	end := time.Now().Add(limit)
	for {
		err := ask()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s: not within %v: %v", what, limit, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// serves is nil when the daemon greets and the agent answers.
func (s *suite) serves(t *testing.T, g cluster.Guest) error {
	if err := s.d.Greet(quick(t), g.IP, s.w.Daemon); err != nil {
		return err
	}
	_, err := s.d.Addrs(quick(t), g)
	return err
}

// silent fails unless g is unreachable from the network, and through its agent.
func (s *suite) silent(t *testing.T, g cluster.Guest) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := s.d.Ping(ctx, g.IP); !errors.Is(err, cluster.ErrNoAnswer) {
		t.Errorf("ping: %v", err)
	}
	if _, err := s.d.Addrs(quick(t), g); !errors.Is(err, cluster.ErrAgentSilent) {
		t.Errorf("agent: %v", err)
	}
}

// prompt is within what an agent must be known to be gone, by the hypervisor's
// word; a held guest's calls take all of their time instead.
const prompt = 500 * time.Millisecond

// agentGone is nil when the hypervisor says at once that g's agent is not connected.
func (s *suite) agentGone(t *testing.T, g cluster.Guest) error {
	begin := time.Now()
	_, err := s.d.Addrs(quick(t), g)
	if took := time.Since(begin); took > prompt {
		return fmt.Errorf("the agent's state took %v", took)
	}
	if !errors.Is(err, cluster.ErrAgentGone) || !errors.Is(err, cluster.ErrAgentSilent) {
		return fmt.Errorf("the agent is not said to be gone: %v", err)
	}
	return nil
}

// agentHeld fails unless g's agent is silent, and not said to be gone.
func (s *suite) agentHeld(t *testing.T, g cluster.Guest) {
	t.Helper()
	_, err := s.d.Addrs(quick(t), g)
	if !errors.Is(err, cluster.ErrAgentSilent) || errors.Is(err, cluster.ErrAgentGone) {
		t.Errorf("the agent of a guest that is held up: %v", err)
	}
}

func (s *suite) off(t *testing.T) {
	once := s.g.On(s.w.Other) // what is left of it there must not hinder its return
	must(t, "start elsewhere", s.d.Start(slow(t), once))
	must(t, "destroy elsewhere", s.d.Destroy(slow(t), once))
	if got, err := s.d.GuestState(quick(t), s.g); err != nil || !got.Dead() {
		t.Fatalf("before its start it is %q, %v", got, err)
	}
	s.silent(t, s.g)
	must(t, "agent of what is off", s.agentGone(t, s.g))
	must(t, "destroy what is off", s.d.Destroy(quick(t), s.g))
	for what, do := range map[string]func(context.Context, cluster.Guest) error{"resumed": s.d.Resume, "paused": s.d.Pause, "reset": s.d.Reset, "saved": s.d.Save} {
		if do(quick(t), s.g) == nil {
			t.Errorf("a guest that is off was %s", what)
		}
	}
}

func (s *suite) boot(t *testing.T) {
	must(t, "start", s.d.Start(quick(t), s.g))
	s.want(t, s.g, cluster.GuestBooting)
	must(t, "agent of a booting guest", s.agentGone(t, s.g))
	within(t, s.w.Boot, "boot", func() error { return s.serves(t, s.g) })
}

func (s *suite) running(t *testing.T) {
	s.want(t, s.g, cluster.GuestRunning)
	must(t, "second start", s.d.Start(quick(t), s.g))
	must(t, "ping", s.d.Ping(quick(t), s.g.IP))
	list, err := s.d.Guests(quick(t), s.g.Real)
	if !slices.Contains(list, cluster.GuestInfo{Host: s.g.Host, State: cluster.GuestRunning}) {
		t.Errorf("guests are %v, %v", list, err)
	}
	if kb, err := s.d.FreeMemoryKB(quick(t), s.g.Real); err != nil || kb <= 0 {
		t.Errorf("free memory is %d KB, %v", kb, err)
	}
	must(t, "hypervisor", s.d.HypervisorAlive(quick(t), s.g.Real))
	out, err := s.d.Run(quick(t), s.g, []string{"free", "-k"})
	if err != nil || len(out) == 0 {
		t.Errorf("free says %q, %v", out, err)
	}
}

// work reads what the processors do, of a guest that is busy and of one that is not.
func (s *suite) work(t *testing.T) {
	must(t, "busy", s.w.Busy(true))
	within(t, 30*time.Second, "a busy guest's work", func() error { return s.uses(t, 0.6, 1) })
	must(t, "idle", s.w.Busy(false))
	within(t, 30*time.Second, "an idle guest's work", func() error { return s.uses(t, 0, 0.6) })
}

// uses is nil when the guest uses a share of its processors between least and most.
func (s *suite) uses(t *testing.T, least, most float64) error {
	was, err := s.d.Work(quick(t), s.g)
	must(t, "work", err)
	time.Sleep(2 * time.Second)
	is, err := s.d.Work(quick(t), s.g)
	must(t, "work", err)
	shares, ok := is.Since(was)
	if !ok || shares.Idle > shares.Room || is.Cores != was.Cores || is.Processors < is.Cores {
		t.Fatalf("%+v between %+v and %+v", shares, was, is)
	}
	if shares.Guest < least || shares.Guest > most {
		return fmt.Errorf("it uses %.2f of its processors, not %.2f to %.2f", shares.Guest, least, most)
	}
	return nil
}

// holders fails unless so many answer for ip, and returns them.
func (s *suite) holders(t *testing.T, ip netip.Addr, want int) []cluster.MAC {
	t.Helper()
	macs, err := s.d.WhoHas(quick(t), ip)
	if err != nil || len(macs) != want {
		t.Errorf("%v is at %v, %v; want %d", ip, macs, err, want)
	}
	return macs
}

func (s *suite) vip(t *testing.T) {
	s.holders(t, s.w.VIP, 0)
	must(t, "remove what is not there", s.d.DelVIP(quick(t), s.g, s.w.VIP))
	must(t, "add", s.d.AddVIP(quick(t), s.g, s.w.VIP))
	must(t, "add again", s.d.AddVIP(quick(t), s.g, s.w.VIP))
	if own, vip := s.holders(t, s.g.IP, 1), s.holders(t, s.w.VIP, 1); !slices.Equal(own, vip) {
		t.Errorf("own IP at %v, VIP at %v", own, vip)
	}
	addrs, err := s.d.Addrs(quick(t), s.g)
	if err != nil || !slices.Contains(addrs, s.w.VIP) || !slices.Contains(addrs, s.g.IP) {
		t.Errorf("addresses are %v, %v", addrs, err)
	}
	must(t, "announce", s.d.Announce(quick(t), s.g, s.w.VIP))
	must(t, "greet at the VIP", s.d.Greet(quick(t), s.w.VIP, s.w.Daemon))
	must(t, "remove", s.d.DelVIP(quick(t), s.g, s.w.VIP))
	s.holders(t, s.w.VIP, 0)
}

func (s *suite) daemon(t *testing.T) {
	must(t, "restart", s.d.RestartDaemon(quick(t), s.g, s.w.Daemon))
	within(t, 10*time.Second, "greeting", func() error { return s.serves(t, s.g) })
	if s.d.RestartDaemon(quick(t), s.g, "nosuchdaemon") == nil {
		t.Error("a daemon that does not exist was restarted")
	}
}

func (s *suite) pause(t *testing.T) {
	for range 2 {
		must(t, "pause", s.d.Pause(slow(t), s.g))
	}
	s.want(t, s.g, cluster.GuestPaused)
	s.silent(t, s.g)
	s.agentHeld(t, s.g)
	if s.d.Start(quick(t), s.g) == nil {
		t.Error("a paused guest was started")
	}
	for range 2 {
		must(t, "resume", s.d.Resume(slow(t), s.g))
	}
	must(t, "clock", s.d.SetClock(quick(t), s.g))
	within(t, 10*time.Second, "service", func() error { return s.serves(t, s.g) })
	s.want(t, s.g, cluster.GuestRunning)
}

func (s *suite) hold(t *testing.T) {
	must(t, "hold", s.w.Hold(true))
	s.silent(t, s.g)
	s.agentHeld(t, s.g)
	s.want(t, s.g, cluster.GuestRunning)
	must(t, "work of a guest that is held up", s.uses(t, 0, 0.1))
	must(t, "let go", s.w.Hold(false))
	within(t, 10*time.Second, "service", func() error { return s.serves(t, s.g) })
}

func (s *suite) link(t *testing.T) {
	must(t, "down", s.d.SetLink(quick(t), s.g, false))
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := s.d.Ping(ctx, s.g.IP); !errors.Is(err, cluster.ErrNoAnswer) {
		t.Errorf("ping without link: %v", err)
	}
	if _, err := s.d.Addrs(quick(t), s.g); err != nil {
		t.Errorf("agent without link: %v", err)
	}
	s.want(t, s.g, cluster.GuestRunning)
	must(t, "up", s.d.SetLink(quick(t), s.g, true))
	within(t, 10*time.Second, "service", func() error { return s.serves(t, s.g) })
}

func (s *suite) reset(t *testing.T) {
	must(t, "add", s.d.AddVIP(quick(t), s.g, s.w.VIP))
	must(t, "reset", s.d.Reset(quick(t), s.g))
	s.want(t, s.g, cluster.GuestBooting)
	within(t, 5*time.Second, "agent of what was reset", func() error { return s.agentGone(t, s.g) })
	within(t, s.w.Boot, "boot", func() error { return s.serves(t, s.g) })
	s.holders(t, s.w.VIP, 0) // it is no part of what a guest boots with
}

func (s *suite) save(t *testing.T) {
	must(t, "save", s.d.Save(slow(t), s.g))
	s.want(t, s.g, cluster.GuestSaved)
	s.silent(t, s.g)
	there := s.g.On(s.w.Other)
	must(t, "restore", s.d.Restore(slow(t), there))
	s.want(t, there, cluster.GuestRunning)
	s.gone(t, s.g)
	must(t, "clock", s.d.SetClock(quick(t), there))
	within(t, 10*time.Second, "service", func() error { return s.serves(t, there) })
	if s.d.Restore(slow(t), s.g) == nil {
		t.Error("the same image was restored twice")
	}
}

func (s *suite) migrate(t *testing.T) {
	there := s.g.On(s.w.Other)
	must(t, "migrate", s.d.Migrate(slow(t), there, s.g.Real))
	s.want(t, s.g, cluster.GuestRunning)
	s.gone(t, there)
	within(t, 10*time.Second, "service", func() error { return s.serves(t, s.g) })
}

// gone fails unless g is not where g says, or off there.
func (s *suite) gone(t *testing.T, g cluster.Guest) {
	t.Helper()
	if got, err := s.d.GuestState(quick(t), g); err != nil || !got.Dead() {
		t.Errorf("on %v it is still %q, %v", g.Real, got, err)
	}
}

func (s *suite) crash(t *testing.T) {
	must(t, "crash", s.w.Crash())
	within(t, 5*time.Second, "crashed", func() error {
		got, err := s.d.GuestState(quick(t), s.g)
		if err == nil && got != cluster.GuestCrashed {
			err = fmt.Errorf("it is %q", got)
		}
		return err
	})
	must(t, "agent of what has crashed", s.agentGone(t, s.g))
	s.silent(t, s.g)
	must(t, "start", s.d.Start(quick(t), s.g))
	within(t, s.w.Boot, "boot", func() error { return s.serves(t, s.g) })
}

func (s *suite) destroy(t *testing.T) {
	for range 2 {
		must(t, "destroy", s.d.Destroy(slow(t), s.g))
	}
	s.gone(t, s.g)
	s.silent(t, s.g)
}

func (s *suite) events(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	events, err := s.d.Events(ctx, s.g.Real)
	must(t, "events", err)
	must(t, "hypervisor", s.d.HypervisorAlive(quick(t), s.g.Real))
	must(t, "start", s.d.Start(quick(t), s.g))
	s.await(t, events, cluster.EventStarted)
	s.await(t, events, cluster.EventAgentUp)
	must(t, "reset", s.d.Reset(quick(t), s.g))
	s.await(t, events, cluster.EventRebooted)
	s.await(t, events, cluster.EventAgentUp)
	must(t, "pause", s.d.Pause(slow(t), s.g))
	s.await(t, events, cluster.EventPaused)
	must(t, "resume", s.d.Resume(slow(t), s.g))
	s.await(t, events, cluster.EventResumed)
	must(t, "destroy", s.d.Destroy(slow(t), s.g))
	s.await(t, events, cluster.EventShutdown)
	cancel()
	limit := time.After(10 * time.Second)
	for open := true; open; {
		select {
		case _, open = <-events:
		case <-limit:
			t.Fatal("the stream does not end with its context")
		}
	}
}

// await passes over other events.
func (s *suite) await(t *testing.T, events <-chan cluster.Event, kind cluster.EventKind) {
	t.Helper()
	limit := time.After(s.w.Boot)
	for {
		select {
		case e, open := <-events:
			if !open {
				t.Fatalf("the events end before %q", kind)
			}
			if e.Host == s.g.Host && e.Kind == kind && e.Real == s.g.Real {
				return
			}
		case <-limit:
			t.Fatalf("no event %q", kind)
		}
	}
}
