package power

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/pss/ops"
	"pss-msbs/pkg/pss/record"
	"pss-msbs/pkg/settings"
)

var rs3 = cluster.RealRow{IP: netip.MustParseAddr("172.21.14.203"), MAC: cluster.MAC{5: 3}}

// host is one real server that takes its time to fall asleep and to wake.
type host struct {
	mu     sync.Mutex
	asleep bool
	deaf   bool // no magic packet wakes it
	log    []string
}

func (h *host) Ping(context.Context, netip.Addr) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.asleep {
		return errors.New("no answer")
	}
	return nil
}

func (h *host) HypervisorAlive(ctx context.Context, ip netip.Addr) error { return h.Ping(ctx, ip) }

func (h *host) WhoHas(context.Context, netip.Addr) ([]cluster.MAC, error) { return nil, nil }

func (h *host) Guests(context.Context, netip.Addr) ([]cluster.GuestInfo, error) { return nil, nil }

func (h *host) SuspendReal(context.Context, netip.Addr) error {
	time.Sleep(2 * time.Second)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.asleep = true
	h.log = append(h.log, "asleep")
	return nil
}

func (h *host) WakeReal(context.Context, cluster.MAC) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.log = append(h.log, "packet")
	if !h.deaf && h.asleep {
		h.asleep = false
	}
	return nil
}

// files are the two real files in memory.
type files struct{ t cluster.Tables }

func (f *files) View(context.Context) (cluster.Tables, error) { return f.t, nil }
func (f *files) Update(_ context.Context, change func(*cluster.Tables) error) error {
	return change(&f.t)
}
func (f *files) Hold(context.Context) (ops.Held, error)          { return f, nil }
func (f *files) Tables() cluster.Tables                          { return f.t }
func (f *files) Commit(change func(*cluster.Tables) error) error { return change(&f.t) }
func (f *files) Close()                                          {}

func newPower(t *testing.T, h *host, f *files) *Power {
	return &Power{Fleet: h, Files: f, Settings: settings.Default(), Log: zerolog.Nop(), Wakes: record.Wakes{Dir: t.TempDir()}}
}

// A host that is wanted while it falls asleep still answers; it is woken once
// it sleeps, and its row says so.
func TestWantedWhileItFallsAsleep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, f := &host{}, &files{t: cluster.Tables{Real: []cluster.RealRow{rs3}}}
		p := newPower(t, h, f)
		slept := make(chan error, 1)
		go func() { slept <- p.Suspend(t.Context(), rs3.IP) }()
		time.Sleep(time.Second)
		if err := p.Wake(t.Context(), rs3.IP); err != nil {
			t.Error(err)
		}
		if err := <-slept; err != nil {
			t.Error(err)
		}
		if h.asleep || len(f.t.Real) != 1 || len(f.t.Suspended) != 0 {
			t.Errorf("asleep %t, real %v, suspended %v, log %v", h.asleep, f.t.Real, f.t.Suspended, h.log)
		}
	})
}

// killed is the memory of a pss that does not live to see a host asleep.
type killed struct{ record.Wakes }

func (killed) Asleep(netip.Addr) error { return nil }

// pss is killed while a host falls asleep, and the next one wants it at once: it
// still answers, and is woken all the same.
func TestWantedByTheNextPSSWhileItFallsAsleep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, f := &host{}, &files{t: cluster.Tables{Real: []cluster.RealRow{rs3}}}
		p := newPower(t, h, f)
		memory := record.Wakes{Dir: t.TempDir()}
		p.Wakes = killed{memory}
		go func() { _ = p.Suspend(t.Context(), rs3.IP) }()
		time.Sleep(time.Second)
		next := newPower(t, h, f)
		next.Wakes = memory
		if slept, err := next.SleepAgain(t.Context(), rs3.IP); slept || err != nil {
			t.Errorf("put to sleep again: %t, %v", slept, err)
		}
		if err := next.Wake(t.Context(), rs3.IP); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Minute)
		if h.asleep || len(f.t.Real) != 1 {
			t.Errorf("asleep %t, real %v, log %v", h.asleep, f.t.Real, h.log)
		}
	})
}

// Who waits for somebody else's wake gives up with his own context.
func TestSecondWakeEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, f := &host{asleep: true, deaf: true}, &files{t: cluster.Tables{Suspended: []cluster.RealRow{rs3}}}
		p := newPower(t, h, f)
		first := make(chan error, 1)
		go func() { first <- p.Wake(t.Context(), rs3.IP) }()
		time.Sleep(time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begun := time.Now()
		if err := p.Wake(ctx, rs3.IP); !errors.Is(err, context.DeadlineExceeded) || time.Since(begun) != time.Second {
			t.Errorf("after %v: %v", time.Since(begun), err)
		}
		if err := <-first; err == nil {
			t.Error("a host that does not wake was woken")
		}
	})
}

// Who waited for somebody else's wake is not told that the host is awake when
// that failed.
func TestSecondWakeFailsWithTheFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, f := &host{asleep: true, deaf: true}, &files{t: cluster.Tables{Suspended: []cluster.RealRow{rs3}}}
		p := newPower(t, h, f)
		done := make(chan error, 2)
		for range cap(done) {
			go func() { done <- p.Wake(t.Context(), rs3.IP) }()
		}
		for range cap(done) {
			if err := <-done; err == nil {
				t.Error("a host that does not wake was woken")
			}
		}
	})
}

// mute is a host whose waker never hears whether a packet was sent.
type mute struct{ host }

func (m *mute) WakeReal(ctx context.Context, mac cluster.MAC) error {
	_ = m.host.WakeReal(ctx, mac)
	<-ctx.Done()
	return ctx.Err()
}

// A packet whose sender never answers keeps nobody from seeing that the host is awake.
func TestWakeWithoutWordOfThePacket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, f := &mute{host{asleep: true}}, &files{t: cluster.Tables{Suspended: []cluster.RealRow{rs3}}}
		p := newPower(t, &h.host, f)
		p.Fleet = h
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		begun := time.Now()
		if err := p.Wake(ctx, rs3.IP); err != nil || time.Since(begun) > 2*cluster.CallLimit || len(f.t.Real) != 1 {
			t.Errorf("after %v: %v; real %v", time.Since(begun), err, f.t.Real)
		}
	})
}

// A wake waits for those of others before it takes the host's turn, so that a
// rescue, for which clients wait, passes by.
func TestRescueWaitsForNoSlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, f := &host{asleep: true}, &files{t: cluster.Tables{Suspended: []cluster.RealRow{rs3}}}
		p := newPower(t, h, f)
		free, given := make(chan struct{}), 0
		p.Slot = func(ctx context.Context) (func(), error) {
			select {
			case <-free:
				return func() { given++ }, nil
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := p.Wake(ctx, rs3.IP); !errors.Is(err, context.DeadlineExceeded) || len(h.log) != 0 {
			t.Errorf("woken without a slot: %v, %v", err, h.log)
		}
		shift := make(chan error, 1)
		go func() { shift <- p.Wake(t.Context(), rs3.IP) }()
		time.Sleep(time.Second)
		begun := time.Now()
		if err := p.WakeNow(t.Context(), rs3.IP); err != nil || time.Since(begun) > time.Second || len(f.t.Real) != 1 {
			t.Errorf("the rescue waited %v: %v", time.Since(begun), err)
		}
		close(free)
		if err := <-shift; err != nil || given != 1 {
			t.Errorf("the shift's wake: %v; slot given back %d times", err, given)
		}
	})
}
