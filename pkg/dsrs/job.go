package dsrs

import (
	"context"
	"sync"
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

// running tells whether the job still works.
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

// remarks remembers what was said last about a topic: an outcome is reported
// once, not at every attempt.
type remarks struct {
	mu   sync.Mutex
	last map[string]string
}

// news tells whether text differs from what was said last about topic.
func (r *remarks) news(topic, text string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.last == nil {
		r.last = map[string]string{}
	}
	if r.last[topic] == text {
		return false
	}
	r.last[topic] = text
	return true
}
