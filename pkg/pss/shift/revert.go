package shift

import (
	"context"
	"errors"
	"sync"
)

// revert is a stack of undo functions: what has to be undone of a group beside
// its Change, which undoes itself.
type revert struct {
	mu    sync.Mutex
	steps []func(context.Context) error
}

func (r *revert) push(step func(context.Context) error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.steps = append(r.steps, step)
}

// run undoes in reverse; one failure does not keep the others from being undone.
func (r *revert) run(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all error
	for i := len(r.steps) - 1; i >= 0; i-- {
		all = errors.Join(all, r.steps[i](ctx))
	}
	r.steps = nil
	return all
}
