package task

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

var errWork = errors.New("it failed")

// until waits for the end of its context, or for d, and then fails.
func until(d time.Duration) func(context.Context) error {
	return func(ctx context.Context) error {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(d):
			return errWork
		}
	}
}

func TestTask(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := Start(t.Context(), until(time.Minute))
		if !w.Running() || w.Err() != nil {
			t.Errorf("it has ended: %v", w.Err())
		}
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := w.Wait(short); !errors.Is(err, context.DeadlineExceeded) || !w.Running() {
			t.Errorf("a wait that was given up: %v", err)
		}
		if err := w.Result(); !errors.Is(err, errWork) || w.Running() || !errors.Is(w.Err(), errWork) {
			t.Errorf("its own end: %v", err)
		}
		<-w.Ended()
	})
}

// Who stops a task has waited for its end.
func TestStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := false
		w := Go(t.Context(), func(ctx context.Context) {
			<-ctx.Done()
			time.Sleep(time.Second)
			ended = true
		})
		if w.Stop(); !ended || w.Err() != nil {
			t.Errorf("it has ended: %t, %v", ended, w.Err())
		}
	})
}

func TestNil(t *testing.T) {
	var w *Task
	w.Stop()
	if w.Running() || w.Err() != nil || w.Wait(t.Context()) != nil || w.Ended() != nil {
		t.Error("a nil task has not ended well")
	}
}
