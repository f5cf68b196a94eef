package sif

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/conffile"
	"pss-msbs/pkg/ipc"
	"pss-msbs/pkg/lockedfile"
)

// rig is a sif over a copy of the paper's system, in a synctest bubble.
type rig struct {
	t      *testing.T
	dir    string
	run    string
	files  *conffile.Dir
	client *ipc.Client
	log    *logBuffer
	opt    Options

	mu sync.Mutex
	l  *ipc.MemListener
}

type logBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// inBubble runs f with a rig whose sif serves until f returns.
func inBubble(t *testing.T, f func(ctx context.Context, r *rig)) {
	dir, run := paperCopy(t), t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		r := &rig{t: t, dir: dir, run: run, log: &logBuffer{}}
		r.files = conffile.Open(dir, conffile.Options{Holder: "test", NoNotify: true})
		r.opt = Options{
			Files:  conffile.Open(dir, conffile.Options{Holder: "sif", NoNotify: true}),
			DatDir: dir, Management: mgmt, Failed: ipc.Failed{Dir: run}, Log: zerolog.New(r.log),
		}
		r.client = ipc.NewClient(r.dial, "test", r.opt.Clock)
		r.serve(ctx)
		f(ctx, r)
		cancel()
		synctest.Wait()
	})
}

// serve starts a sif, in place of one that ended.
func (r *rig) serve(ctx context.Context) (stop func()) {
	l := ipc.NewMemListener()
	r.mu.Lock()
	r.l = l
	r.mu.Unlock()
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	s := New(r.opt)
	go func() {
		defer close(done)
		if err := s.Serve(ctx, l); err != nil {
			r.t.Errorf("Serve: %v", err)
		}
	}()
	return func() { cancel(); <-done }
}

func (r *rig) dial(ctx context.Context) (net.Conn, error) {
	r.mu.Lock()
	l := r.l
	r.mu.Unlock()
	return l.Dial(ctx)
}

func paperCopy(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("../../testdata/paper")); err != nil {
		t.Fatal(err)
	}
	return dir
}

// call is a call that must succeed.
func (r *rig) call(ctx context.Context, req ipc.Request) ipc.Reply {
	r.t.Helper()
	reply, err := r.client.Call(ctx, req)
	if err != nil {
		r.t.Fatalf("%s: %v", req.Verb, err)
	}
	return reply
}

// refused is a call that must be refused, in the given state.
func (r *rig) refused(ctx context.Context, req ipc.Request, state ipc.State, why string) {
	r.t.Helper()
	_, err := r.client.Call(ctx, req)
	var no *ipc.RefusedError
	if !errors.As(err, &no) || no.State != state || !strings.Contains(no.Why, why) {
		r.t.Fatalf("%s: got %v, want a refusal %q in state %q", req.Verb, err, why, state)
	}
}

// rows is what the files say of the named servers, in the form of tables().
func (r *rig) rows(ctx context.Context, hosts ...string) string {
	r.t.Helper()
	t, err := r.files.View(ctx)
	if err != nil {
		r.t.Fatal(err)
	}
	var out strings.Builder
	for line := range strings.Lines(text(t)) {
		for _, h := range hosts {
			if strings.Contains(line, " "+h+" ") {
				out.WriteString(line)
			}
		}
	}
	return out.String()
}

func (r *rig) wantRows(ctx context.Context, want string, hosts ...string) {
	r.t.Helper()
	if d := cmp.Diff(clean(want), r.rows(ctx, hosts...)); d != "" {
		r.t.Fatalf("rows of %v (-want +got)\n%s", hosts, d)
	}
}

func (r *rig) edit(ctx context.Context, f func(*cluster.Tables)) {
	r.t.Helper()
	if err := r.files.Update(ctx, func(t *cluster.Tables) error { f(t); return nil }); err != nil {
		r.t.Fatal(err)
	}
}

func ask(v ipc.Verb, host string) ipc.Request { return ipc.Request{Verb: v, Host: host} }

func a4For(host string) ipc.Request {
	return ipc.Request{Verb: ipc.A4, Host: host, Backup: &mb, Real: mgmt}
}

func a5(outcome ipc.Outcome) ipc.Request {
	return ipc.Request{Verb: ipc.A5, Host: "M1", Backup: &mb, Outcome: outcome, Real: ip("202")}
}

func TestTakeoverAndReturn(t *testing.T) {
	inBubble(t, func(ctx context.Context, r *rig) {
		look := r.call(ctx, ask(ipc.A1, "M1"))
		if look.State != ipc.Operating || look.Real != full("201") || len(look.AllVIPs) != 6 ||
			len(look.VIPs) != 1 || look.VIPs[0] != ip("101") || look.Serving[0].Host != "M1" {
			t.Fatalf("A1: %+v", look)
		}
		a3 := r.call(ctx, ask(ipc.A3, "M1"))
		if a3.State != ipc.Separated || a3.Real != full("201") || len(a3.Active) != 3 {
			t.Fatalf("A3: %+v", a3)
		}
		if look := r.call(ctx, ask(ipc.A2, "M1")); look.State != ipc.Separated || look.Serving[0].Host != "" || look.Failed {
			t.Fatalf("A2: %+v", look)
		}
		r.call(ctx, a4For("M1"))
		r.wantRows(ctx, "op: Mail 200 101 Mb 61\n sep: Mail 201 101 M1 1", "M1", "Mb")
		if look := r.call(ctx, ask(ipc.A1, "Mb")); look.State != ipc.Operating || look.Real != full("200") {
			t.Fatalf("A1 of the backup: %+v", look)
		}
		r.call(ctx, a5(ipc.Moving))
		r.wantRows(ctx, "op: Mail 202 101 Mb 61", "Mb")
		moved := a5(ipc.Moved)
		moved.Real = mgmt
		r.call(ctx, moved) // the migration failed
		r.wantRows(ctx, "op: Mail 200 101 Mb 61", "Mb")
		for range 2 {
			if done := r.call(ctx, a5(ipc.Recovered)); done.State != ipc.Operating {
				t.Fatalf("A5: %+v", done)
			}
		}
		r.wantRows(ctx, "op: Mail 201 101 M1 1", "M1", "Mb")
		r.refused(ctx, a5(ipc.Moving), ipc.Operating, "no separation row left")
	})
}

func full(octet string) string { return subnet + octet }

func TestMovingNeedsAnActiveRealServer(t *testing.T) {
	inBubble(t, func(ctx context.Context, r *rig) {
		r.call(ctx, ask(ipc.A3, "M1"))
		r.call(ctx, a4For("M1"))
		req := a5(ipc.Moving)
		req.Real = ip("209")
		r.refused(ctx, req, ipc.RealOutside, "no active real server")
	})
}

func TestFailedBackupLeavesItsVIPsToPSS(t *testing.T) {
	inBubble(t, func(ctx context.Context, r *rig) {
		failed := ipc.Request{Verb: ipc.A4Failed, Host: "M1", Backup: &mb}
		r.refused(ctx, failed, ipc.Operating, "no separation row")
		r.call(ctx, ask(ipc.A3, "M1"))
		r.call(ctx, a4For("M1"))
		for range 2 {
			r.call(ctx, failed)
		}
		r.wantRows(ctx, "sep: Mail 201 101 M1 1", "M1", "Mb")
		if hosts, err := ipc.FailedBackups(r.run); err != nil || len(hosts) != 1 || hosts[0] != "M1" {
			t.Fatalf("failed backups: %v, %v", hosts, err)
		}
		if look := r.call(ctx, ask(ipc.A1, "M1")); !look.Failed {
			t.Fatalf("A1 does not say that the VIPs are pss's: %+v", look)
		}
		r.call(ctx, ask(ipc.A3, "M1")) // a repeat forgets nothing
		r.refused(ctx, a4For("M1"), ipc.Separated, "are pss's")
		r.edit(ctx, func(t *cluster.Tables) { // pss gives the VIP to M2
			t.Operation = append(t.Operation, cluster.ServerRow{Group: "Mail", Real: ip("202"), VIP: ip("101"), Host: "M2", IP: ip("4")})
		})
		if done := r.call(ctx, a5(ipc.Recovered)); done.State != ipc.AccessStop || done.Serving[0].Host != "M2" {
			t.Fatalf("A5: %+v", done)
		}
		r.wantRows(ctx, "stop: Mail 201 101 M1 1", "M1", "Mb")
		if hosts, _ := ipc.FailedBackups(r.run); len(hosts) != 0 {
			t.Fatalf("failed backups after A5: %v", hosts)
		}
	})
}

func TestRealServerOutAndBack(t *testing.T) {
	inBubble(t, func(ctx context.Context, r *rig) {
		b := ipc.Request{Verb: ipc.B1, Host: "RS1", Real: ip("201")}
		if look := r.call(ctx, b); look.State != ipc.RealActive || len(look.Placed) != 6 || len(look.Orphans) != 0 {
			t.Fatalf("B1: %+v", look)
		}
		for _, h := range []string{"M1", "W1"} {
			r.call(ctx, ask(ipc.A3, h))
		}
		r.call(ctx, a4For("M1"))
		b.Verb = ipc.B3
		for range 2 {
			if out := r.call(ctx, b); out.State != ipc.RealOutside || len(out.Active) != 2 {
				t.Fatalf("B3: %+v", out)
			}
		}
		if look := r.call(ctx, ask(ipc.A1, "M1")); look.Real != "out" {
			t.Fatalf("A1: real %q, want out", look.Real)
		}
		b.Verb = ipc.B2
		if look := r.call(ctx, b); cmp.Diff([]string{"M1", "W1"}, look.Orphans) != "" {
			t.Fatalf("B2: %+v", look)
		}
		b.Verb = ipc.B4
		b.Servers = []ipc.Restored{
			{Target: ipc.Server{Host: "M1", IP: ip("1")}, Backup: &mb},
			{Target: ipc.Server{Host: "X9", IP: ip("9")}},
		}
		r.refused(ctx, b, ipc.NotInFiles, "X9 has no separation row left")
		r.wantRows(ctx, "op: Mail 200 101 Mb 61\n sep: Mail 201 101 M1 1", "M1", "Mb") // all or nothing
		b.Servers[1].Target = ipc.Server{Host: "W1", IP: ip("2")}
		for range 2 {
			if back := r.call(ctx, b); back.State != ipc.RealActive || len(back.Active) != 3 {
				t.Fatalf("B4: %+v", back)
			}
		}
		r.wantRows(ctx, "op: Mail 201 101 M1 1\n op: Web 201 102 W1 2", "M1", "W1", "Mb")
		tab, err := r.files.View(ctx)
		if err != nil || tab.Real[2].MAC.String() != "00:00:00:00:00:01" {
			t.Fatalf("the MAC did not come back from the .dat: %v, %v", tab.Real, err)
		}
	})
}

func TestSuspendedRealServerIsLeftAlone(t *testing.T) {
	inBubble(t, func(ctx context.Context, r *rig) {
		r.edit(ctx, func(t *cluster.Tables) {
			t.Suspended, t.Real = t.Real[2:], t.Real[:2]
		})
		for _, v := range []ipc.Verb{ipc.B3, ipc.B4} {
			r.refused(ctx, ipc.Request{Verb: v, Host: "RS3", Real: ip("203")}, ipc.RealAsleep, "is suspended")
		}
	})
}

func TestOwnedServersAreNoOrphans(t *testing.T) {
	inBubble(t, func(ctx context.Context, r *rig) {
		r.opt.Monitored = func(host string) (bool, error) {
			if host == "W1" {
				return false, errors.New("the lock file cannot be read")
			}
			return host == "M1", nil
		}
		r.serve(ctx)
		for _, h := range []string{"M1", "W1"} {
			r.call(ctx, ask(ipc.A3, h))
		}
		if look := r.call(ctx, ipc.Request{Verb: ipc.B1, Real: ip("201")}); len(look.Orphans) != 0 {
			t.Fatalf("orphans %v: M1 has an owner, and nobody knows of W1's", look.Orphans)
		}
	})
}

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
		if look, err := h.Call(ctx, ask(ipc.A1, "M1")); err != nil || look.State != ipc.Separated {
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
		{"another did the A5 already", func(t *cluster.Tables) { _ = giveBack(t, homeM1(), "Mb") }, false},
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
		if _, err := r.client.Call(short, ask(ipc.A3, "M1")); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("A3 behind the lock: %v", err)
		}
		held.Close()
		time.Sleep(5 * time.Second)
		r.wantRows(ctx, "op: Mail 201 101 M1 1", "M1")
	})
}

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
			if look := r.call(ctx, ask(ipc.A1, "M1")); look.State != ipc.Operating {
				t.Fatalf("A1 over a faulty file: %+v", look)
			}
		}
		if n := strings.Count(r.log.String(), "answering from its last good copy"); n != 1 {
			t.Fatalf("%d alarms for one faulty file, want 1:\n%s", n, r.log)
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
