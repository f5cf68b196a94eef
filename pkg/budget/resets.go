package budget

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"pss-msbs/pkg/clock"
	"pss-msbs/pkg/notes"
)

// Reset is one reset of a server, which destroyed what it had in memory.
type Reset struct {
	Target   string    `json:"target"`
	Group    string    `json:"group"`
	At       time.Time `json:"at"`
	Answered time.Time `json:"answered,omitzero"` // when it was sound again
}

// Resets is the ledger of the resets of all programs (resets.json in the state
// directory, under a lock of its own): a judgement that is wrong about many
// servers at once destroys few of them (SPEC 5).
type Resets struct {
	Dir    string     // the state directory
	Disk   notes.Disk // where that is; nil: of the operating system
	Clock  clock.Clock
	Limit  int           // resets ...
	Window time.Duration // ... within so long
	// Pause is how long a group's second reset waits for the first to answer.
	Pause time.Duration
}

// ledger is the content of the file, the oldest first.
type ledger struct {
	Resets []Reset `json:"resets"`
}

// Permit asks whether target may be reset now. The answer is zero if it may
// (that is recorded, whether or not the reset is then done), else when it may
// at the latest: never more than Limit within Window, and none while another
// server of the group was reset and has not Answered, for Pause at most. An
// error means no: without a ledger nobody knows how many there were.
func (r Resets) Permit(ctx context.Context, target, group string) (due time.Time, err error) {
	err = r.change(ctx, func(l *ledger, now time.Time) bool {
		if due = r.due(*l, target, group, now); !due.IsZero() {
			return false
		}
		l.Resets = append(l.Resets, Reset{Target: target, Group: group, At: now})
		return true
	})
	return due, err
}

// due is when target may be reset, zero for now.
func (r Resets) due(l ledger, target, group string, now time.Time) time.Time {
	var due time.Time
	later := func(t time.Time) {
		if t.After(now) && t.After(due) {
			due = t
		}
	}
	if _, free := r.left(l, now); !free.IsZero() {
		later(free)
	}
	for _, one := range l.Resets {
		if one.Group == group && one.Target != target && one.Answered.IsZero() {
			later(one.At.Add(r.Pause))
		}
	}
	return due
}

// Answered notes that target is sound again. Where it was not reset nothing is
// written, and no lock is taken where nobody ever was.
func (r Resets) Answered(ctx context.Context, target string) error {
	if !notes.On(r.Disk).Has(r.file()) {
		return nil
	}
	return r.change(ctx, func(l *ledger, now time.Time) (changed bool) {
		for i, one := range l.Resets {
			if one.Target == target && one.Answered.IsZero() {
				l.Resets[i].Answered, changed = now, true
			}
		}
		return changed
	})
}

// Left is how many resets are left in the window and, where none is, when the
// next one is. It takes no lock: the file is replaced as a whole.
func (r Resets) Left() (left int, due time.Time, err error) {
	var l ledger
	if err := load(r.Disk, r.file(), &l); err != nil {
		return 0, time.Time{}, fmt.Errorf("cannot read the ledger of resets: %v", err)
	}
	left, due = r.left(l, r.Clock.Now())
	return left, due, nil
}

func (r Resets) left(l ledger, now time.Time) (left int, due time.Time) {
	counted := within(l.Resets, began, r.Window, now)
	n := len(counted)
	if n < r.Limit || n == 0 {
		return r.Limit - n, time.Time{}
	}
	return 0, counted[n-r.Limit].At.Add(r.Window)
}

func began(one *Reset) *time.Time { return &one.At }

// current is l without what neither limit looks at any more.
func (r Resets) current(l ledger, now time.Time) ledger {
	return ledger{within(l.Resets, began, max(r.Window, r.Pause), now)}
}

// change edits the ledger under its lock, if edit says that it changed. A file
// that cannot be understood is put aside, with one error: the next call counts anew.
func (r Resets) change(ctx context.Context, edit func(l *ledger, now time.Time) bool) error {
	unlock, err := r.lock(ctx)
	if err != nil {
		return fmt.Errorf("cannot use the ledger of resets: %w", err)
	}
	defer unlock()
	var l ledger
	if err := load(r.Disk, r.file(), &l); err != nil {
		_ = notes.On(r.Disk).Rename(r.file(), r.file()+".rejected")
		return fmt.Errorf("cannot use the ledger of resets: %v", err)
	}
	now := r.Clock.Now()
	wrong := slices.ContainsFunc(l.Resets, func(one Reset) bool { return one.At.After(now) }) // to be put right once
	if l = r.current(l, now); !edit(&l, now) && !wrong {
		return nil
	}
	if err := store(r.Disk, r.file(), l); err != nil {
		return fmt.Errorf("cannot use the ledger of resets: %v", err)
	}
	return nil
}

func (r Resets) file() string { return filepath.Join(r.Dir, "resets.json") }

// The ledger's lock is held for one small write. A holder that has been stopped
// must not stop the monitors of others.
const (
	lockPoll = 5 * time.Millisecond
	lockWait = time.Second
)

var errLocked = errors.New("somebody holds its lock")

func (r Resets) lock(ctx context.Context) (unlock func(), err error) {
	wall := clock.Clock{} // a lock is of this machine, whatever time the fleet has
	ctx, cancel := wall.Timeout(ctx, lockWait)
	defer cancel()
	late := wall.Poll(ctx, lockPoll, func() bool {
		unlock, err = notes.On(r.Disk).TryLock(filepath.Join(r.Dir, "resets.lock"))
		return unlock != nil || err != nil
	})
	if late != nil {
		return nil, errLocked
	}
	return unlock, err
}
