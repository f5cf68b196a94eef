package dbss

import "context"

// task is a goroutine with an owner: whoever starts it also stops it and
// thereby waits for it. A nil task has ended long ago.
type task struct {
	cancel context.CancelFunc
	done   chan struct{}
	err    error // valid once done is closed
}

func startTask(ctx context.Context, f func(context.Context) error) *task {
	ctx, cancel := context.WithCancel(ctx)
	t := &task{cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(t.done)
		defer cancel()
		t.err = f(ctx)
	}()
	return t
}

// stop ends the task and waits for it.
func (t *task) stop() {
	if t != nil {
		t.cancel()
		<-t.done
	}
}

// running reports whether the task has not ended yet.
func (t *task) running() bool {
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

// wait waits for the task's own end and returns its error.
func (t *task) wait(ctx context.Context) error {
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

// ended is closed when the task has ended; nil (never) for a nil task.
func (t *task) ended() <-chan struct{} {
	if t == nil {
		return nil
	}
	return t.done
}
