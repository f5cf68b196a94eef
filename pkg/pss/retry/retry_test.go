package retry_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"pss-msbs/pkg/clock"
	"pss-msbs/pkg/pss/retry"
)

var errNot = errors.New("not yet")

// What comes up in the middle of an attempt is seen soon; a slow answer is
// waited for.
func TestUntil(t *testing.T) {
	for _, c := range []struct {
		name       string
		up, answer time.Duration // when it comes up, how long it takes to answer
		latest     time.Duration
	}{
		{"at once", 0, time.Millisecond, 10 * time.Millisecond},
		{"soon", 8 * time.Second, time.Millisecond, 12 * time.Second},
		{"slow", 0, 2 * time.Second, 8 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begun := time.Now()
				err := retry.Until(t.Context(), clock.Clock{}, func(ctx context.Context) error {
					if time.Since(begun) < c.up {
						<-ctx.Done()
						return ctx.Err()
					}
					return clock.Clock{}.Sleep(ctx, c.answer)
				})
				if took := time.Since(begun); err != nil || took > c.latest {
					t.Errorf("%v after %v", err, took)
				}
			})
		})
	}
}

// The error is what the other side said, not that time ran out.
func TestUntilSaysWhy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if err := retry.Until(ctx, clock.Clock{}, func(context.Context) error { return errNot }); !errors.Is(err, errNot) {
			t.Errorf("%v", err)
		}
	})
}

func TestDetached(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	d, stop := retry.Detached(ctx, clock.Clock{}, time.Minute)
	defer stop()
	if d.Err() != nil {
		t.Errorf("ended with its cause: %v", d.Err())
	}
}

func TestPauses(t *testing.T) {
	var p retry.Pauses
	now := time.Date(2026, 11, 22, 14, 0, 0, 0, time.UTC)
	for _, long := range []time.Duration{10, 20, 40, 80, 160, 320, 600, 600} {
		p.Failed("RS3", now, 10*time.Second, 10*time.Minute)
		long *= time.Second
		if !p.Waits("RS3", now.Add(long-1)) || p.Waits("RS3", now.Add(long)) || p.Waits("RS2", now) {
			t.Fatalf("the pause is not %v, or not of RS3 alone", long)
		}
		now = now.Add(long)
	}
	p.Clear("RS3")
	if p.Failed("RS3", now, 10*time.Second, 10*time.Minute); p.Waits("RS3", now.Add(10*time.Second)) {
		t.Error("a success does not end the row of failures")
	}
}
