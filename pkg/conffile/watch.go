package conffile

import (
	"context"
	"path/filepath"
	"slices"
	"time"

	"github.com/fsnotify/fsnotify"

	"pss-msbs/pkg/lockedfile"
)

// quiet is how long the files must have been left alone before a change is
// told: an editor that writes in place does so in several steps.
const quiet = 20 * time.Millisecond

// Watch tells of changes to the seven files until ctx ends; then the channel is
// closed. Changes that come while nobody receives are told once. Where inotify
// is off or cannot be had, the poll alone sees them.
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
	var events chan fsnotify.Event
	var lost chan error
	if w.notify != nil {
		defer w.notify.Close()
		events, lost = w.notify.Events, w.notify.Errors
	}
	if w.cancel != nil {
		defer w.cancel()
	}
	clk := w.d.opt.Clock
	poll := clk.After(w.d.opt.Poll)
	var settle <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case e := <-events:
			if slices.Contains(Names(), filepath.Base(e.Name)) {
				settle = clk.After(quiet)
			}
		case <-w.told:
			settle = clk.After(quiet)
		case <-lost: // events were dropped: look
			settle = clk.After(quiet)
		case <-settle:
			settle = nil
			w.look()
		case <-poll:
			poll = clk.After(w.d.opt.Poll)
			w.look()
		}
	}
}

// look tells of a change since the last look.
func (w *watcher) look() {
	now := w.d.stamps()
	if sameStamps(w.seen, now) {
		return
	}
	w.seen = now
	select {
	case w.out <- struct{}{}:
	default:
	}
}
