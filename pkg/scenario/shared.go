package scenario

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"pss-msbs/pkg/budget"
	"pss-msbs/pkg/daemon"
	"pss-msbs/pkg/doubt"
	"pss-msbs/pkg/ipc"
	"pss-msbs/pkg/startup"
)

// failed are the servers whose VIPs are pss's, moves the VIPs that it is moving.
func (w *World) failed() ipc.Failed { return ipc.Failed{Dir: w.dirs.Run, Disk: &w.notes} }

func (w *World) moves() ipc.Moves { return ipc.Moves{Dir: w.dirs.State, Disk: &w.notes} }

// slot is one of the slots that all programs share.
type slot struct {
	kind daemon.Work
	n    int
}

// slotPoll is how often one that waits looks for a free slot.
const slotPoll = 100 * time.Millisecond

// bootSlot is daemon.BootSlot in this world: one of the first n slots.
func (p *Proc) bootSlot(n int) func(context.Context) (func(), error) { return p.slot(daemon.Boot, n) }

// slot is daemon.Slot in this world.
func (p *Proc) slot(kind daemon.Work, n int) func(context.Context) (func(), error) {
	return func(ctx context.Context) (func(), error) {
		for {
			if release := p.trySlot(kind, n); release != nil {
				return release, nil
			}
			if err := p.clock().Sleep(ctx, slotPoll); err != nil {
				return nil, fmt.Errorf("cannot take a %s slot: %w", kind, err)
			}
		}
	}
}

// trySlot is daemon.TrySlot in this world.
func (p *Proc) trySlot(kind daemon.Work, n int) func() {
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	for i := range n {
		s := slot{kind, i}
		if p.w.slots[s] == nil && !p.isDead() {
			p.w.slots[s] = p
			return sync.OnceFunc(func() { p.w.giveSlot(p, s) })
		}
	}
	return nil
}

func (w *World) giveSlot(p *Proc, s slot) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.slots[s] == p {
		delete(w.slots, s)
	}
}

// resets is the ledger of resets, which the dead do not write.
type resets struct {
	p *Proc
	budget.Resets
}

func (p *Proc) resets() resets {
	r := startup.Resets(p.w.dirs, p.w.Settings, p.clock())
	r.Disk = &p.w.notes
	return resets{p, r}
}

// Permit implements dsrs.Resets.
func (r resets) Permit(ctx context.Context, target, group string) (time.Time, error) {
	if !r.p.runs() {
		return time.Time{}, errKilled
	}
	return r.Resets.Permit(ctx, target, group)
}

// Answered implements dsrs.Resets.
func (r resets) Answered(ctx context.Context, target string) error {
	if !r.p.runs() {
		return errKilled
	}
	return r.Resets.Answered(ctx, target)
}

// board is the board of doubts as p sees it.
func (p *Proc) board() *doubt.Board {
	b := startup.Board(p.w.dirs, p.w.Settings, p.clock())
	b.PID, b.Alive, b.Disk = p.pid, p.w.lives, &p.w.notes
	return b
}

// doubts is the board of doubts, on which the dead do not post.
type doubts struct {
	p *Proc
	*doubt.Board
}

// Post implements dbss.Doubts.
func (d doubts) Post(what doubt.Doubt) error {
	if !d.p.runs() {
		return errKilled
	}
	return d.Board.Post(what)
}

// Clear implements dbss.Doubts.
func (d doubts) Clear(target string) error {
	if !d.p.runs() {
		return errKilled
	}
	return d.Board.Clear(target)
}

// lives reports whether the program with this pid runs.
func (w *World) lives(pid int) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.ContainsFunc(w.procs, func(p *Proc) bool { return p.pid == pid })
}
