// Package task runs work beside its owner, which waits for its end.
package task

import "context"

// Task is a goroutine with an owner: whoever starts it also stops it, or waits
// for its end. A nil Task has ended long ago, without an error.
type Task struct {
	cancel context.CancelFunc
	done   chan struct{}
	err    error // valid once done is closed
}

// Start begins work.
func Start(ctx context.Context, work func(context.Context) error) *Task {
	ctx, cancel := context.WithCancel(ctx)
	t := &Task{cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(t.done)
		defer cancel()
		t.err = work(ctx)
	}()
	return t
}

// Go begins work that has no outcome.
func Go(ctx context.Context, work func(context.Context)) *Task {
	return Start(ctx, func(ctx context.Context) error {
		work(ctx)
		return nil
	})
}

// Cancel tells the task to end.
func (t *Task) Cancel() {
	if t != nil {
		t.cancel()
	}
}

// Stop tells the task to end, and waits for that.
func (t *Task) Stop() {
	t.Cancel()
	_ = t.Result()
}

// Running reports whether the task has not ended yet.
func (t *Task) Running() bool {
	if t == nil {
		return false
	}
	select {
	case <-t.done:
		return false
	default:
		return true
	}
}

// Wait waits for the task's own end, and returns its error, or that of ctx.
func (t *Task) Wait(ctx context.Context) error {
	if t == nil {
		return nil
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.done:
		return t.err
	}
}

// Result waits for the task's own end, however long that takes, and returns its error.
func (t *Task) Result() error {
	if t == nil {
		return nil
	}
	<-t.done
	return t.err
}

// Err is the error of a task that has ended; nil for one that runs.
func (t *Task) Err() error {
	if t.Running() {
		return nil
	}
	return t.Result()
}

// Ended is closed when the task has ended; for a nil Task it is nil, which never is.
func (t *Task) Ended() <-chan struct{} {
	if t == nil {
		return nil
	}
	return t.done
}
