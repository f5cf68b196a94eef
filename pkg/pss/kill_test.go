package pss_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/pss"
	"pss-msbs/pkg/pss/conf"
	"pss-msbs/pkg/pss/ops"
)

var errKilled = errors.New("killed")

// mortal lets a pss do so many things that change something, and then nothing
// more, not even undoing: kill -9. The last thing is done or not, by after.
type mortal struct {
	pss.Fleet
	pss.Files
	ops.Monitors
	mu    sync.Mutex
	left  int
	after bool
	dead  bool
	die   func()
}

// do is one thing that changes something.
func (m *mortal) do(thing func() error) error {
	m.mu.Lock()
	if m.dead {
		m.mu.Unlock()
		return errKilled
	}
	m.left--
	m.dead = m.left < 0
	dead, after := m.dead, m.after
	m.mu.Unlock()
	if !dead {
		return thing()
	}
	m.die()
	if after {
		_ = thing()
	}
	return errKilled
}

func (m *mortal) killed() bool { m.mu.Lock(); defer m.mu.Unlock(); return m.dead }

func (m *mortal) Start(ctx context.Context, g cluster.Guest) error {
	return m.do(func() error { return m.Fleet.Start(ctx, g) })
}

func (m *mortal) Destroy(ctx context.Context, g cluster.Guest) error {
	return m.do(func() error { return m.Fleet.Destroy(ctx, g) })
}

func (m *mortal) SetLink(ctx context.Context, g cluster.Guest, up bool) error {
	return m.do(func() error { return m.Fleet.SetLink(ctx, g, up) })
}

func (m *mortal) Save(ctx context.Context, g cluster.Guest) error {
	return m.do(func() error { return m.Fleet.Save(context.WithoutCancel(ctx), g) })
}

func (m *mortal) Restore(ctx context.Context, g cluster.Guest) error {
	return m.do(func() error { return m.Fleet.Restore(context.WithoutCancel(ctx), g) })
}

func (m *mortal) AddVIP(ctx context.Context, g cluster.Guest, vip netip.Addr) error {
	return m.do(func() error { return m.Fleet.AddVIP(context.WithoutCancel(ctx), g, vip) })
}

func (m *mortal) DelVIP(ctx context.Context, g cluster.Guest, vip netip.Addr) error {
	return m.do(func() error { return m.Fleet.DelVIP(context.WithoutCancel(ctx), g, vip) })
}

func (m *mortal) SuspendReal(ctx context.Context, real netip.Addr) error {
	return m.do(func() error { return m.Fleet.SuspendReal(context.WithoutCancel(ctx), real) })
}

func (m *mortal) WakeReal(ctx context.Context, mac cluster.MAC) error {
	return m.do(func() error { return m.Fleet.WakeReal(context.WithoutCancel(ctx), mac) })
}

func (m *mortal) Update(ctx context.Context, edit func(*cluster.Tables) error) error {
	return m.do(func() error { return m.Files.Update(context.WithoutCancel(ctx), edit) })
}

func (m *mortal) Hold(ctx context.Context) (ops.Held, error) {
	if m.killed() {
		return nil, errKilled
	}
	held, err := m.Files.Hold(ctx)
	return mortalHeld{held, m}, err
}

type mortalHeld struct {
	ops.Held
	m *mortal
}

func (h mortalHeld) Commit(edit func(*cluster.Tables) error) error {
	return h.m.do(func() error { return h.Held.Commit(edit) })
}

func (m *mortal) Ensure(ctx context.Context, dat ops.ServerData) error {
	return m.do(func() error { return m.Monitors.Ensure(ctx, dat) })
}

func (m *mortal) Stop(ctx context.Context, host string) error {
	return m.do(func() error { return m.Monitors.Stop(ctx, host) })
}

// kill starts a pss that dies after so many things, and waits until it has.
// It reports whether it died before it reached the condition.
func (r *rig) kill(things int, after bool, c cluster.Condition) bool {
	r.Helper()
	m := &mortal{Fleet: r.model, Files: conf.Files{Dir: r.conf}, Monitors: r.mon, left: things, after: after}
	opt := r.options()
	opt.Fleet, opt.Files, opt.Monitors = m, m, m
	r.startWith(opt)
	m.die = r.running
	r.until(3*time.Minute, "killed, or "+string(c), func() bool { return m.killed() || r.in(c) && r.consistent() == nil })
	died := m.killed()
	r.stop()
	return died
}

// Killed at any instant of a round, a new pss goes on: the fleet and the files
// end up alike, and nothing happens that must not.
func TestKilledAnywhere(t *testing.T) {
	for _, after := range []bool{false, true} {
		for things, died := 0, true; died; things++ {
			t.Run(fmt.Sprintf("%d/%v", things, after), func(t *testing.T) {
				play(t, "", noPS2, func(r *rig) {
					r.load(80)
					r.start()
					r.spares()
					r.stop()
					r.load(10)
					died = r.kill(things, after, cluster.PS1)
					r.start()
					r.reach(cluster.PS1, 4*time.Minute)
					r.stop()
					r.load(80)
					died = r.kill(things, after, cluster.Moderate) || died
					r.start()
					r.reach(cluster.Moderate, 4*time.Minute)
					r.spares()
				})
			})
			if t.Failed() || things > 60 {
				return
			}
		}
	}
}
