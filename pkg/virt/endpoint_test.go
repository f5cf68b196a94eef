package virt

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// wire is a hypervisor as an endpoint sees it; its connections are numbered.
type wire struct {
	mu      sync.Mutex
	opened  int
	closed  []int
	muted   []int
	lost    []func()
	opens   time.Duration // how long an opening takes
	refuses error
	dead    bool // connections are found dead after an error
}

type ear struct {
	w *wire
	n int
}

func (e ear) mute() {
	e.w.mu.Lock()
	defer e.w.mu.Unlock()
	e.w.muted = append(e.w.muted, e.n)
}
func (e ear) end() {}

func (w *wire) endpoint() *endpoint[int] {
	return &endpoint[int]{conn: connector[int]{
		open: func() (int, error) {
			w.mu.Lock()
			takes, err := w.opens, w.refuses
			w.mu.Unlock()
			time.Sleep(takes)
			w.mu.Lock()
			defer w.mu.Unlock()
			if err != nil {
				return 0, err
			}
			w.opened++
			return w.opened, nil
		},
		watch: func(n int, lost func()) (watcher, error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.lost = append(w.lost, lost)
			return ear{w, n}, nil
		},
		close: func(n int) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.closed = append(w.closed, n)
		},
		alive: func(int) bool { return !w.dead },
	}}
}

func (w *wire) closings() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.closed)
}

func (w *wire) openings() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.opened
}

func with(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func number(n *int) func(int) error { return func(c int) error { *n = c; return nil } }

func TestCallsTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wire{opens: time.Second}
		e := w.endpoint()
		for i := range 3 {
			var n int
			if err := e.do(with(t, 2*time.Second), number(&n)); err != nil || n != 1 {
				t.Errorf("call %d on connection %d, %v", i, n, err)
			}
		}
		if err := e.do(t.Context(), func(int) error { return errors.New("no such domain") }); err == nil || errors.Is(err, errLost) {
			t.Error(err)
		}
		if w.openings() != 1 || w.closings() != 0 {
			t.Errorf("%d opened, %v closed", w.openings(), w.closed)
		}
		e.end(time.Second)
		if w.closings() != 1 {
			t.Errorf("%v closed in the end", w.closed)
		}
		if err := e.do(t.Context(), number(new(int))); !errors.Is(err, errClosed) {
			t.Errorf("after the end: %v", err)
		}
	})
}

// Two calls at a time never share a connection (CVE-2024-4418), and more than
// maxIdle connections are not kept.
func TestCallsDoNotShareAConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wire{opens: 10 * time.Millisecond}
		e := w.endpoint()
		var mu sync.Mutex
		used := map[int]int{}
		count := func(c, by int) {
			mu.Lock()
			defer mu.Unlock()
			if used[c] += by; used[c] > 1 {
				t.Errorf("connection %d is used by %d", c, used[c])
			}
		}
		var wg sync.WaitGroup
		for range 3 * maxIdle {
			wg.Go(func() {
				err := e.do(with(t, time.Minute), func(c int) error {
					count(c, 1)
					time.Sleep(time.Second)
					count(c, -1)
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		synctest.Wait()
		if kept := w.openings() - w.closings(); kept != maxIdle {
			t.Errorf("%d connections are kept", kept)
		}
		e.end(time.Second)
	})
}

// A call that hangs is left behind with its connection; others go on.
func TestHangingCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wire{}
		e := w.endpoint()
		release := make(chan struct{})
		slow := make(chan error, 1)
		go func() {
			slow <- e.do(with(t, time.Minute), func(int) error { time.Sleep(10 * time.Second); return nil })
		}()
		synctest.Wait()
		begin := time.Now()
		err := e.do(with(t, 3*time.Second), func(int) error { <-release; return nil })
		if took := time.Since(begin); !errors.Is(err, errSlow) || !errors.Is(err, context.DeadlineExceeded) || took != 3*time.Second {
			t.Errorf("after %v: %v", took, err)
		}
		var n int
		if err := e.do(with(t, time.Second), number(&n)); err != nil || n != 3 {
			t.Errorf("connection %d, %v", n, err)
		}
		if err := <-slow; err != nil {
			t.Errorf("the other call: %v", err)
		}
		if w.closings() != 0 || len(w.muted) != 1 {
			t.Errorf("closed %v, muted %v while a call uses it", w.closed, w.muted)
		}
		close(release)
		synctest.Wait()
		if w.closings() != 1 {
			t.Errorf("closed %v once the call has returned", w.closed)
		}
		e.end(time.Second)
	})
}

// A caller that gave up reckons with the step that hung, and with none after it:
// that one is not begun when the hypervisor goes on.
func TestStepsOfACallerWhoHasGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wire{}
		e := w.endpoint()
		hypervisor, begun := make(chan struct{}), 0
		first := func() error { begun++; <-hypervisor; return nil }
		second := func() error { begun++; return nil }
		ctx := with(t, 3*time.Second)
		err := e.do(ctx, func(int) error { return errors.Join(begin(ctx, first), begin(ctx, second)) })
		if !errors.Is(err, errSlow) {
			t.Error(err)
		}
		time.Sleep(time.Second)
		close(hypervisor)
		synctest.Wait()
		if begun != 1 {
			t.Errorf("%d steps were begun", begun)
		}
		e.end(time.Second)
	})
}

// Nothing is begun for a caller who went while a connection was opened, and the
// connection is kept.
func TestCallOfACallerWhoHasGone(t *testing.T) {
	w := &wire{}
	e := w.endpoint()
	if err := e.do(t.Context(), number(new(int))); err != nil { // opens one
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 20 {
		err := e.do(ctx, func(int) error { t.Error("it was begun"); return nil })
		if !errors.Is(err, errRefuse) || !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		e.calls.Wait()
	}
	if w.openings() != 1 || w.closings() != 0 {
		t.Errorf("%d opened, %v closed", w.openings(), w.closed)
	}
	e.end(time.Second)
}

// A timer may be late, where the program was stopped; the clock is not.
func TestBegin(t *testing.T) {
	var calls int
	call := func() error { calls++; return nil }
	if err := begin(late{t.Context()}, call); !errors.Is(err, context.DeadlineExceeded) || calls != 0 {
		t.Errorf("%v, %d calls", err, calls)
	}
	if err := begin(t.Context(), call); err != nil || calls != 1 {
		t.Errorf("%v, %d calls", err, calls)
	}
}

// late is a context whose deadline has passed and whose timer has not.
type late struct{ context.Context }

func (late) Deadline() (time.Time, bool) { return time.Now().Add(-time.Millisecond), true }

// A call that its caller does not want any more is no sign of a bad connection.
func TestCancelledCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wire{}
		e := w.endpoint()
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		err := e.do(ctx, func(int) error { time.Sleep(10 * time.Second); return nil })
		if !errors.Is(err, context.Canceled) || errors.Is(err, errSlow) {
			t.Error(err)
		}
		var n int
		if err := e.do(t.Context(), number(&n)); err != nil || n != 2 {
			t.Errorf("connection %d, %v", n, err)
		}
		time.Sleep(time.Minute)
		if w.closings() != 0 {
			t.Errorf("closed %v", w.closed)
		}
		e.end(time.Second)
	})
}

// An attempt to connect that hangs does not keep others from trying.
func TestHangingOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wire{opens: 20 * time.Second}
		e := w.endpoint()
		for range 2 {
			if err := e.do(with(t, 3*time.Second), number(new(int))); !errors.Is(err, errRefuse) {
				t.Error(err)
			}
		}
		w.mu.Lock()
		w.opens = 0 // the host is back; the old attempt still hangs
		w.mu.Unlock()
		var n int
		if err := e.do(with(t, time.Second), number(&n)); err != nil || n != 1 {
			t.Errorf("connection %d, %v", n, err)
		}
		time.Sleep(30 * time.Second)
		if w.openings() != 2 || w.closings() != 0 {
			t.Errorf("%d opened, %v closed", w.openings(), w.closed)
		}
		e.end(time.Second)
	})
}

func TestRefused(t *testing.T) {
	w := &wire{refuses: errors.New("connection refused")}
	e := w.endpoint()
	if err := e.do(t.Context(), number(new(int))); !errors.Is(err, errRefuse) {
		t.Error(err)
	}
	w.refuses = nil
	if err := e.do(t.Context(), number(new(int))); err != nil {
		t.Errorf("once it listens: %v", err)
	}
	e.end(time.Second)
}

// A connection that is found dead ends the calls on it.
func TestLostConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wire{}
		e := w.endpoint()
		release := make(chan struct{})
		hanging, staying := make(chan error, 1), make(chan error, 1)
		go func() { hanging <- e.do(with(t, time.Hour), func(int) error { <-release; return nil }) }()
		synctest.Wait()
		go func() { staying <- e.stay(t.Context(), time.Second) }()
		synctest.Wait()
		w.lost[0]()
		w.lost[0]()
		w.lost[1]()
		if err := <-hanging; !errors.Is(err, errLost) {
			t.Error(err)
		}
		if err := <-staying; !errors.Is(err, errLost) {
			t.Error(err)
		}
		var n int
		if err := e.do(t.Context(), number(&n)); err != nil || n != 3 {
			t.Errorf("connection %d, %v", n, err)
		}
		close(release)
		e.end(time.Second)
	})
}

// When the other side is known to be gone, all calls end and no old connection
// is used again.
func TestLoseAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wire{}
		e := w.endpoint()
		release := make(chan struct{})
		hanging := make(chan error, 1)
		go func() { hanging <- e.do(with(t, time.Hour), func(int) error { <-release; return nil }) }()
		synctest.Wait()
		var n int
		if err := e.do(t.Context(), number(&n)); err != nil || n != 2 {
			t.Errorf("connection %d, %v", n, err)
		}
		e.loseAll()
		if err := <-hanging; !errors.Is(err, errLost) {
			t.Error(err)
		}
		if err := e.do(t.Context(), number(&n)); err != nil || n != 3 {
			t.Errorf("connection %d, %v", n, err)
		}
		close(release)
		synctest.Wait()
		if w.closings() != 2 {
			t.Errorf("closed %v", w.closed)
		}
		e.end(time.Second)
	})
}

func TestErrorOnADeadConnection(t *testing.T) {
	w := &wire{dead: true}
	e := w.endpoint()
	if err := e.do(t.Context(), func(int) error { return errors.New("broken pipe") }); !errors.Is(err, errLost) {
		t.Error(err)
	}
	var n int
	if err := e.do(t.Context(), number(&n)); err != nil || n != 2 {
		t.Errorf("connection %d, %v", n, err)
	}
	e.end(time.Second)
}

func TestStay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wire{}
		e := w.endpoint()
		ctx, cancel := context.WithCancel(t.Context())
		stays := make(chan error, 1)
		go func() { stays <- e.stay(ctx, time.Second) }()
		synctest.Wait()
		cancel()
		if err := <-stays; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		synctest.Wait()
		if w.closings() != 1 {
			t.Errorf("closed %v", w.closed)
		}
		w.mu.Lock()
		w.opens = time.Hour
		w.mu.Unlock()
		if err := e.stay(t.Context(), time.Second); !errors.Is(err, errRefuse) {
			t.Errorf("nobody answers: %v", err)
		}
		e.end(2 * time.Hour)
	})
}

// The end does not wait for ever for a call that was left behind.
func TestEndWithAHangingCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := (&wire{}).endpoint()
		release := make(chan struct{})
		_ = e.do(with(t, time.Second), func(int) error { <-release; return nil })
		begin := time.Now()
		e.end(2 * time.Second)
		if took := time.Since(begin); took != 2*time.Second {
			t.Errorf("took %v", took)
		}
		close(release)
	})
}
