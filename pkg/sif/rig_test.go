package sif

import (
	"context"
	"errors"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/conffile"
	"pss-msbs/pkg/ipc"
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
func (r *rig) refused(ctx context.Context, req ipc.Request, state cluster.Standing, why string) {
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
