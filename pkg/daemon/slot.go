package daemon

import (
	"context"
	"fmt"
	"path/filepath"
	"time"
)

// Work is what all programs together do only so often at once: each kind has
// its slots, lock files in the run directory.
type Work string

// The kinds of work that have slots.
const (
	Boot      Work = "boot"      // of a virtual server
	Migration Work = "migration" // of a backup
	Waking    Work = "wake"      // of a real server
)

// slotPoll is how often one that waits looks for a free slot.
const slotPoll = 100 * time.Millisecond

// Slot waits for one of n slots for a kind of work. release gives it back, which
// who has it does once what was begun has answered, or has had its time. Clients
// never wait for a slot: what brings a service back (a takeover) takes none.
func (e Env) Slot(ctx context.Context, kind Work, n int) (release func(), err error) {
	for {
		if release, err := e.TrySlot(kind, n); release != nil || err != nil {
			return release, err
		}
		if err := e.Clock.Sleep(ctx, slotPoll); err != nil {
			return nil, fmt.Errorf("cannot take a %s slot: all %d are taken: %w", kind, n, err)
		}
	}
}

// TrySlot implements Kernel.
func (o OS) TrySlot(kind Work, n int) (release func(), err error) {
	for i := 1; i <= n; i++ {
		f, err := openLock(filepath.Join(o.Dirs.Run, fmt.Sprintf("%s-%d.lock", kind, i)))
		if err != nil {
			return nil, fmt.Errorf("cannot take a %s slot: %v", kind, err)
		}
		if tryLock(f) {
			return func() { f.Close() }, nil
		}
		f.Close()
	}
	return nil, nil
}

// Slots is Slot for those who wait for one and the same kind.
func (e Env) Slots(kind Work, n int) func(context.Context) (release func(), err error) {
	return func(ctx context.Context) (func(), error) { return e.Slot(ctx, kind, n) }
}
