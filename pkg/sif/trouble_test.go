package sif

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/conffile"
	"pss-msbs/pkg/ipc"
	"pss-msbs/pkg/lockedfile"
)

// A full disk is no refusal: dbss asks again instead of giving its takeover up.
func TestWhatCannotBeWrittenIsNoRefusal(t *testing.T) {
	inBubble(t, func(ctx context.Context, r *rig) {
		r.opt.Files = conffile.Open(r.dir, conffile.Options{NoNotify: true, Step: func(s lockedfile.Step) error {
			return syscall.ENOSPC
		}})
		r.serve(ctx)
		_, err := r.client.Call(ctx, ask(ipc.A3, "M1"))
		var no *ipc.RefusedError
		if err == nil || errors.As(err, &no) || !strings.Contains(err.Error(), "no space left") {
			t.Fatalf("A3 on a full disk: %v", err)
		}
		r.wantRows(ctx, "op: Mail 201 101 M1 1", "M1")
	})
}

// A full disk refuses one file at one try and another one at the next.
func TestFullDiskIsSaidOnce(t *testing.T) {
	inBubble(t, func(ctx context.Context, r *rig) {
		var n atomic.Int64 // sif's own renewals count too
		r.opt.Files = conffile.Open(r.dir, conffile.Options{NoNotify: true, Step: func(s lockedfile.Step) error {
			if s.Op != lockedfile.OpCreate {
				return nil
			}
			if n.Add(1)%2 == 1 {
				return &fs.PathError{Op: "create", Path: "odd", Err: syscall.ENOSPC}
			}
			return syscall.ENOSPC
		}})
		r.serve(ctx)
		for range 6 {
			if _, err := r.client.Call(ctx, ask(ipc.A3, "M1")); err == nil {
				t.Fatal("A3 on a full disk was done")
			}
		}
		if n := strings.Count(r.log.String(), "not carried out"); n != 1 {
			t.Errorf("%d notes of one full disk, want 1:\n%s", n, r.log)
		}
	})
}

func TestFaultyFileStopsNoTakeover(t *testing.T) {
	inBubble(t, func(ctx context.Context, r *rig) {
		r.call(ctx, ask(ipc.A3, "W1")) // makes the last good copies
		path := filepath.Join(r.dir, conffile.Operation)
		good, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, append(good, "Mail 172.21.14.201 typo\n"...), 0o600); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if look := r.call(ctx, ask(ipc.A1, "M1")); look.State != cluster.Operating {
				t.Fatalf("A1 over a faulty file: %+v", look)
			}
		}
		if n := strings.Count(r.log.String(), "answering from its last good copy"); n != 1 {
			t.Fatalf("%d notes of one faulty file, want 1:\n%s", n, r.log)
		}
		if strings.Contains(r.log.String(), "alarm") {
			t.Errorf("the alarm over a typo is pss's:\n%s", r.log)
		}
		r.call(ctx, ask(ipc.A3, "M1"))
		r.wantRows(ctx, "sep: Mail 201 101 M1 1", "M1")
		kept, err := filepath.Glob(path + ".rejected-*")
		if err != nil || len(kept) != 1 {
			t.Fatalf("rejected files: %v, %v", kept, err)
		}
		if !strings.Contains(r.log.String(), filepath.Base(kept[0])) {
			t.Errorf("the alarm does not name %s:\n%s", kept[0], r.log)
		}
	})
}

func TestWatchTellsOfChanges(t *testing.T) {
	inBubble(t, func(ctx context.Context, r *rig) {
		stop := r.serve(ctx)
		wctx, cancel := context.WithCancel(ctx)
		changes := r.client.Watch(wctx)
		<-changes // at once
		synctest.Wait()
		r.edit(ctx, func(t *cluster.Tables) { t.State[0].Condition = cluster.PS1 })
		<-changes
		stop()
		r.serve(ctx)
		<-changes // the sif was restarted: look again
		cancel()
		for range changes {
		}
	})
}

func TestHundredConnectionsAtOnce(t *testing.T) {
	inBubble(t, func(ctx context.Context, r *rig) {
		var wg sync.WaitGroup
		for i := range 100 {
			wg.Go(func() {
				v := ipc.A1
				if i%10 == 0 {
					v = ipc.A3
				}
				if _, err := r.client.Call(ctx, ask(v, "M1")); err != nil {
					t.Errorf("call %d: %v", i, err)
				}
			})
		}
		wg.Wait()
		r.wantRows(ctx, "sep: Mail 201 101 M1 1", "M1")
	})
}

func TestUnknownVerbsAndBadLines(t *testing.T) {
	for _, tc := range []struct{ line, want string }{
		{`{"verb":"A9","host":"M1"}`, "unknown verb"},
		{`{"verb":"A1"}`, "lacks host"},
		{`{"verb":"A4","host":"M1"}`, "lacks backup, real"},
		{`{"verb":"A5","host":"M1","outcome":"moving"}`, "lacks real"},
		{`{"verb":"A5","host":"M1","outcome":"sideways","real":"172.21.14.201"}`, "unknown outcome"},
		{`{"verb":"A1","host":"M1; rm -rf /"}`, "bad name"},
		{`{"verb":"A4","host":"M1","real":"172.21.14.200","backup":{"host":"Mb"}}`, "lacks its host or IP"},
		{`hello`, "cannot read the request"},
		{`{"verb":"A1","host":"M1"} {"verb":"A3","host":"M1"}`, "more than one object"},
		{`{"verb":"spare-stop"}`, "not the sif of a spare"},
		{`{"verb":"spare-start","dat":{"host":"Ms","ip":"172.21.14.51"}}`, "not the sif of a spare"},
	} {
		t.Run(tc.line, func(t *testing.T) {
			inBubble(t, func(ctx context.Context, r *rig) {
				c, err := r.dial(ctx)
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				if _, err := io.WriteString(c, tc.line+"\n"); err != nil {
					t.Fatal(err)
				}
				b := make([]byte, 4096)
				n, err := c.Read(b)
				if err != nil || !strings.Contains(string(b[:n]), tc.want) || !strings.HasPrefix(string(b[:n]), `{"ok":false,`) {
					t.Fatalf("answered %q (%v), want an error with %q", b[:n], err, tc.want)
				}
			})
		})
	}
}

// 1. an operator edits a file by hand; 2. later a typo; 3. the rescue knows the first edit.
func TestHandEditReachesTheLastGoodCopy(t *testing.T) {
	inBubble(t, func(ctx context.Context, r *rig) {
		path := filepath.Join(r.dir, conffile.State)
		if err := os.WriteFile(path, []byte("Mail Light(PS1) 172.21.14.201\nWeb Moderate 172.21.14.201\nFTP Moderate 172.21.14.201\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		time.Sleep(11 * time.Second) // the poll sees it
		synctest.Wait()
		if err := os.WriteFile(path, []byte("Mail Ligth(PS1)\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		r.call(ctx, ask(ipc.A3, "M1"))
		tab, err := r.files.View(ctx)
		if err != nil || tab.State[0].Condition != cluster.PS1 {
			t.Fatalf("after the rescue: %+v, %v", tab.State, err)
		}
	})
}

// A commit that takes longer than its hold may last, on a slow disk: the end
// of the hold waits for it, and nobody else waits for both.
func TestHoldEndsWhileItsCommitIsSlow(t *testing.T) {
	inBubble(t, func(ctx context.Context, r *rig) {
		var slow atomic.Int64
		r.opt.Files = conffile.Open(r.dir, conffile.Options{NoNotify: true, Step: func(lockedfile.Step) error {
			time.Sleep(time.Duration(slow.Load()))
			return nil
		}})
		r.serve(ctx)
		r.call(ctx, ask(ipc.A3, "M1"))
		h := r.hold(ctx)
		slow.Store(int64(300 * time.Millisecond)) // of some twenty operations; the hold lasts 3 s
		if _, err := h.Call(ctx, a5(ipc.Recovered)); err != nil {
			t.Fatalf("A5 on a slow disk: %v", err)
		}
		r.wantRows(ctx, "op: Mail 201 101 M1 1", "M1")
	})
}
