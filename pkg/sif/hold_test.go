package sif

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/edits"
	"pss-msbs/pkg/ipc"
)

func TestHoldExcludesOthersUntilA5(t *testing.T) {
	inBubble(t, func(ctx context.Context, r *rig) {
		r.call(ctx, ask(ipc.A3, "M1"))
		r.call(ctx, a4For("M1"))
		h := r.hold(ctx)
		if rows := h.Reply.Rows; len(rows.TargetSeparation) != 1 || len(rows.BackupOperation) != 1 ||
			len(rows.Operation) != 1 || rows.Operation[0].Host != "Mb" || rows.Real != full("201") {
			t.Fatalf("hold: %+v", rows)
		}
		waited := make(chan time.Duration)
		go func() {
			start := time.Now()
			_, err := r.client.Call(ctx, ask(ipc.A3, "W1"))
			if err != nil {
				t.Errorf("A3 behind the hold: %v", err)
			}
			waited <- time.Since(start)
		}()
		time.Sleep(time.Second)
		if look, err := h.Call(ctx, ask(ipc.A1, "M1")); err != nil || look.State != cluster.Separated {
			t.Fatalf("A1 within the hold: %+v, %v", look, err)
		}
		if _, err := h.Call(ctx, a5(ipc.Recovered)); err != nil {
			t.Fatal(err)
		}
		if w := <-waited; w < time.Second || w > 1500*time.Millisecond {
			t.Fatalf("the other waited %s, want about the 1 s of the hold", w)
		}
		h.Close()
		r.wantRows(ctx, "op: Mail 201 101 M1 1", "M1", "Mb")
	})
}

func (r *rig) hold(ctx context.Context) *ipc.Session {
	r.t.Helper()
	h, err := r.client.Hold(ctx, ipc.Request{Host: "M1", Backup: &mb})
	if err != nil {
		r.t.Fatal(err)
	}
	return h
}

func TestHoldEndsByItself(t *testing.T) {
	for _, tc := range []struct {
		name string
		end  func(ctx context.Context, h *ipc.Session)
		free time.Duration // when the lock is free again
	}{
		{"release", func(ctx context.Context, h *ipc.Session) { _ = h.Release(ctx) }, 0},
		{"closed connection", func(_ context.Context, h *ipc.Session) { h.Close() }, 0},
		{"3 s", func(context.Context, *ipc.Session) {}, DefaultHold},
	} {
		t.Run(tc.name, func(t *testing.T) {
			inBubble(t, func(ctx context.Context, r *rig) {
				r.call(ctx, ask(ipc.A3, "M1"))
				h := r.hold(ctx)
				defer h.Close()
				start := time.Now()
				tc.end(ctx, h)
				r.wantRows(ctx, "sep: Mail 201 101 M1 1", "M1", "Mb") // waits for the lock
				if took := time.Since(start); took < tc.free || took > tc.free+200*time.Millisecond {
					t.Fatalf("the lock was free after %s, want %s", took, tc.free)
				}
			})
		})
	}
}

func TestA5AfterTheHoldRanOutIsRefused(t *testing.T) {
	inBubble(t, func(ctx context.Context, r *rig) {
		r.call(ctx, ask(ipc.A3, "M1"))
		h := r.hold(ctx)
		defer h.Close()
		time.Sleep(DefaultHold + time.Second)
		_, err := h.Call(ctx, a5(ipc.Recovered))
		var no *ipc.RefusedError
		if !errors.As(err, &no) || !strings.Contains(no.Why, "took too long") {
			t.Fatalf("A5 after the hold ran out: %v", err)
		}
		r.wantRows(ctx, "sep: Mail 201 101 M1 1", "M1", "Mb")
	})
}

func TestRefusedA5KeepsTheHold(t *testing.T) {
	inBubble(t, func(ctx context.Context, r *rig) {
		h := r.hold(ctx) // M1 operates
		defer h.Close()
		if _, err := h.Call(ctx, a5(ipc.Moving)); err == nil {
			t.Fatal("A5 moving of a target in operation was done")
		}
		short, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		if err := r.files.Update(short, func(*cluster.Tables) error { return nil }); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("another took the lock after a refused A5: %v", err)
		}
	})
}

// 1. dbss holds, moves the VIPs; 2. its sif is killed and started again;
// 3. dbss's A5 comes on a new connection.
func TestA5AfterSifDiedWithinTheHold(t *testing.T) {
	for _, tc := range []struct {
		name    string
		between func(*cluster.Tables)
		refused bool
	}{
		{"nothing changed", func(*cluster.Tables) {}, false},
		{"the backup moved", func(t *cluster.Tables) {
			for i, row := range t.Operation {
				if row.Host == "Mb" {
					t.Operation[i].Real = ip("202")
				}
			}
		}, true},
		{"another did the A5 already", func(t *cluster.Tables) {
			_ = edits.GiveBack(t, edits.Target{Host: "M1", Kind: edits.HomeKind, Home: ip("101")}, "Mb")
		}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			inBubble(t, func(ctx context.Context, r *rig) {
				stop := r.serve(ctx)
				r.call(ctx, ask(ipc.A3, "M1"))
				r.call(ctx, a4For("M1"))
				h := r.hold(ctx)
				defer h.Close()
				stop()
				r.edit(ctx, tc.between)
				r.serve(ctx)
				_, err := h.Call(ctx, a5(ipc.Recovered))
				if tc.refused != (err != nil) {
					t.Fatalf("A5: %v, want refused %v", err, tc.refused)
				}
			})
		})
	}
}

func TestCallOutlivesARestartOfTheSif(t *testing.T) {
	inBubble(t, func(ctx context.Context, r *rig) {
		stop := r.serve(ctx)
		stop()
		go func() {
			time.Sleep(2 * time.Second)
			r.serve(ctx)
		}()
		r.call(ctx, ask(ipc.A3, "M1"))
		r.wantRows(ctx, "sep: Mail 201 101 M1 1", "M1")
	})
}

func TestRequestOfAClosedConnectionIsDropped(t *testing.T) {
	inBubble(t, func(ctx context.Context, r *rig) {
		held, err := r.files.Hold(ctx)
		if err != nil {
			t.Fatal(err)
		}
		short, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		var no *ipc.RefusedError
		if _, err := r.client.Call(short, ask(ipc.A3, "M1")); err == nil || errors.As(err, &no) {
			t.Fatalf("A3 behind the lock: %v", err)
		}
		held.Close()
		time.Sleep(5 * time.Second)
		r.wantRows(ctx, "op: Mail 201 101 M1 1", "M1")
	})
}

// However late the reply of a hold is read, calls under it end before it does.
func TestCallsEndBeforeTheHold(t *testing.T) {
	inBubble(t, func(ctx context.Context, r *rig) {
		s, err := r.client.Hold(ctx, ipc.Request{Host: "M1"})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		time.Sleep(2 * time.Second)
		calls, cancel := s.Within(ctx, DefaultHold)
		defer cancel()
		whole, end := s.Whole(ctx)
		defer end()
		<-calls.Done()
		if s.Over() {
			t.Error("calls may last longer than the hold")
		}
		<-whole.Done()
		if !s.Over() {
			t.Error("the hold is not over at its end")
		}
	})
}

// What a holder may have left behind who did not say that he was through is
// marked; one who released the hold has left nothing.
func TestHoldThatIsCutOffIsMarked(t *testing.T) {
	for name, c := range map[string]struct {
		end    func(ctx context.Context, h *ipc.Session)
		marked bool
	}{
		"release":           {func(ctx context.Context, h *ipc.Session) { _ = h.Release(ctx) }, false},
		"A5":                {func(ctx context.Context, h *ipc.Session) { _, _ = h.Call(ctx, a5(ipc.Recovered)) }, false},
		"closed connection": {func(_ context.Context, h *ipc.Session) { h.Close() }, true},
		"it takes too long": {func(context.Context, *ipc.Session) { time.Sleep(DefaultHold + time.Second) }, true},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(ctx context.Context, r *rig) {
				r.opt.Moving = ipc.Moves{Dir: t.TempDir()}
				r.serve(ctx)
				r.call(ctx, ask(ipc.A3, "M1"))
				r.call(ctx, a4For("M1"))
				h := r.hold(ctx)
				defer h.Close()
				c.end(ctx, h)
				look := r.call(ctx, ask(ipc.A1, "M1"))
				move, marked := r.opt.Moving.Get(look.VIPs[0])
				if marked != c.marked {
					t.Fatalf("marked %t: %+v", marked, move)
				}
				if marked && (len(move.On) != 1 || move.On[0].Host != "M1" || !move.On[0].Real.IsValid()) {
					t.Errorf("marked as on %+v", move.On)
				}
			})
		})
	}
}
