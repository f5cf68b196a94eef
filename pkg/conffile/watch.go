package conffile

import (
	"context"
	"path/filepath"
	"slices"
	"time"

	"github.com/fsnotify/fsnotify"

	"pss-msbs/pkg/lockedfile"
)

const (
	// quiet is how long the files must have been left alone before a change is
	// told: an editor that writes in place does so in several steps.
	quiet = 20 * time.Millisecond
	// rest is the least time between two tellings: when many servers are taken
	// over at once, hundreds of monitors must not look at every single change.
	rest = 500 * time.Millisecond
	// handover is how long, on the wall clock, the kernel's events are taken.
	handover = time.Millisecond
)

// Watch tells of changes to the seven files until ctx ends; then the channel is
// closed. Changes that come while nobody receives, or within half a second of
// the last one told, are told once. Where inotify is off or cannot be had, the
// poll alone sees them.
func (d *Dir) Watch(ctx context.Context) <-chan struct{} {
	out := make(chan struct{}, 1)
	w := &watcher{d: d, seen: d.stamps(), out: out}
	n, own := d.store.Disk().(lockedfile.Notifier)
	switch {
	case d.opt.NoNotify:
	case own:
		w.told, w.cancel = n.Subscribe()
		w.seen = d.stamps()
	default:
		w.subscribe()
	}
	go w.run(ctx)
	return out
}

type watcher struct {
	d      *Dir
	seen   stamps
	out    chan struct{}
	notify *fsnotify.Watcher // nil: not by inotify
	told   <-chan struct{}   // of a disk that tells by itself
	cancel func()            // of that
}

func (w *watcher) subscribe() {
	n, err := fsnotify.NewWatcher()
	if err != nil {
		return
	}
	if err := n.Add(w.d.path); err != nil {
		_ = n.Close()
		return
	}
	w.notify, w.seen = n, w.d.stamps()
}

func (w *watcher) run(ctx context.Context) {
	defer close(w.out)
	if w.notify != nil {
		defer w.notify.Close()
	}
	if w.cancel != nil {
		defer w.cancel()
	}
	clk := w.d.opt.Clock
	for {
		poll := clk.NewTimer(w.d.opt.Poll) // a new one: a timer that expired in the rest crashes Go 1.26, see clock.Sleep
		select {
		case <-ctx.Done():
			poll.Stop()
			return
		case <-poll.C:
			if w.seen == w.d.stamps() {
				continue
			}
		case <-w.events():
		case <-w.lost():
		case <-w.told:
		}
		poll.Stop()
		w.settle(ctx)
		if w.look() {
			_ = clk.Sleep(ctx, rest)
		}
	}
}

func (w *watcher) events() <-chan fsnotify.Event {
	if w.notify == nil {
		return nil
	}
	return w.notify.Events
}

// lost tells that events were dropped.
func (w *watcher) lost() <-chan error {
	if w.notify == nil {
		return nil
	}
	return w.notify.Errors
}

// settle waits until the files have been left alone for a moment. What comes
// meanwhile waits in the kernel: a transaction makes some twenty events, and
// hundreds of watchers that woke at each would keep it from getting on.
func (w *watcher) settle(ctx context.Context) {
	for w.d.opt.Clock.Sleep(ctx, quiet) == nil && w.drain() {
		continue
	}
}

// drain takes the events that have come and reports whether one is about the seven files.
func (w *watcher) drain() (ours bool) {
	for end := time.After(handover); ; {
		select {
		case e := <-w.events():
			ours = ours || slices.Contains(Names(), filepath.Base(e.Name))
		case <-w.lost():
			ours = true
		case <-w.told:
			ours = true
		case <-end:
			return ours
		}
	}
}

// look tells of a change since the last look.
func (w *watcher) look() bool {
	now := w.d.stamps()
	if w.seen == now {
		return false
	}
	w.seen = now
	select {
	case w.out <- struct{}{}:
	default:
	}
	return true
}
