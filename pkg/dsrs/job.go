package dsrs

import (
	"context"
)

// job is one piece of work beside the monitoring; whoever started it ends it.
type job struct {
	cancel context.CancelFunc
	done   chan struct{}
}

func startJob(ctx context.Context, work func(context.Context)) *job {
	ctx, cancel := context.WithCancel(ctx)
	j := &job{cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(j.done)
		defer cancel()
		work(ctx)
	}()
	return j
}

// end cancels the job and waits for it.
func (j *job) end() {
	if j == nil {
		return
	}
	j.cancel()
	<-j.done
}

// running reports whether the job still works.
func (j *job) running() bool {
	if j == nil {
		return false
	}
	select {
	case <-j.done:
		return false
	default:
		return true
	}
}

// wait waits for the job's own end, or until ctx ends.
func (j *job) wait(ctx context.Context) {
	if j == nil {
		return
	}
	select {
	case <-j.done:
	case <-ctx.Done():
	}
}
