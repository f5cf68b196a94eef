package ipc

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pss-msbs/pkg/clock"
	"pss-msbs/pkg/cluster"
)

// handler is a sif of one function.
type handler struct {
	handle func(ctx context.Context, req Request, reply func(Reply) error)
	close  func()
}

func (h handler) Handle(ctx context.Context, req Request, reply func(Reply) error) {
	h.handle(ctx, req, reply)
}

func (h handler) Close() {
	if h.close != nil {
		h.close()
	}
}

func serving(t *testing.T, l net.Listener, h handler) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	e := Endpoint{Open: func() Handler { return h }}
	go func() {
		defer close(done)
		if err := e.Serve(ctx, l); err != nil {
			t.Errorf("Serve: %v", err)
		}
	}()
	return func() { cancel(); <-done }
}

func echo(_ context.Context, req Request, reply func(Reply) error) {
	_ = reply(Reply{OK: true, Real: req.Host})
}

func TestCallAnswersAndRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewMemListener()
		defer serving(t, l, handler{handle: func(ctx context.Context, req Request, reply func(Reply) error) {
			if req.Verb == A3 {
				_ = reply(Reply{Error: "M1 has no operation row", State: cluster.AccessStop})
				return
			}
			echo(ctx, req, reply)
		}})()
		c := NewClient(l.Dial, "test", clock.Clock{})
		if r, err := c.Call(t.Context(), Request{Verb: A1, Host: "M1"}); err != nil || r.Real != "M1" {
			t.Errorf("A1: %+v, %v", r, err)
		}
		r, err := c.Call(t.Context(), Request{Verb: A3, Host: "M1"})
		var no *RefusedError
		if !errors.As(err, &no) || no.State != cluster.AccessStop || r.State != cluster.AccessStop {
			t.Errorf("A3: %+v, %v", r, err)
		}
		if want := "A3 refused: M1 has no operation row (access-stop)"; err.Error() != want {
			t.Errorf("error %q, want %q", err, want)
		}
	})
}

func TestCallGivesUpAtItsDeadline(t *testing.T) {
	for _, tc := range []struct {
		name    string
		dial    func(l *MemListener) DialFunc
		timeout time.Duration // 0: the default
		want    time.Duration
	}{
		{"the sif does not answer", func(l *MemListener) DialFunc { return l.Dial }, 2 * time.Second, 2 * time.Second},
		{"no deadline of its own", func(l *MemListener) DialFunc { return l.Dial }, 0, DefaultTimeout},
		{"no sif", func(*MemListener) DialFunc {
			return func(context.Context) (net.Conn, error) { return nil, errors.New("connection refused") }
		}, time.Second, time.Second},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := NewMemListener()
				defer serving(t, l, handler{handle: func(ctx context.Context, _ Request, _ func(Reply) error) { <-ctx.Done() }})()
				ctx := t.Context()
				if tc.timeout > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, tc.timeout)
					defer cancel()
				}
				start := time.Now()
				_, err := NewClient(tc.dial(l), "test", clock.Clock{}).Call(ctx, Request{Verb: A1, Host: "M1"})
				if took := time.Since(start); err == nil || took < tc.want || took > tc.want+retryPause {
					t.Errorf("gave up after %s with %v, want %s", took, err, tc.want)
				}
			})
		})
	}
}

func TestRequestPastItsDeadlineIsDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewMemListener()
		defer serving(t, l, handler{handle: func(context.Context, Request, func(Reply) error) {
			t.Error("a request past its deadline was done")
		}})()
		c := rawConn(t, l)
		defer c.Close()
		req, err := json.Marshal(Request{Verb: A3, Host: "M1", DeadlineMS: time.Now().Add(-time.Millisecond).UnixMilli()})
		if err != nil {
			t.Fatal(err)
		}
		if got := c.ask(t, string(req)+"\n"); !strings.Contains(got, "deadline of the request passed") {
			t.Errorf("answered %q", got)
		}
	})
}

func TestRequestEndsWithItsConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewMemListener()
		ended := make(chan error, 1)
		closed := make(chan struct{})
		defer serving(t, l, handler{
			handle: func(ctx context.Context, _ Request, _ func(Reply) error) {
				<-ctx.Done()
				ended <- ctx.Err()
			},
			close: func() { close(closed) },
		})()
		c := rawConn(t, l)
		if _, err := io.WriteString(c, `{"verb":"hold","host":"M1"}`+"\n"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		c.Close()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("the request ended with %v", err)
		}
		<-closed
	})
}

func TestSessionIsLostWithItsConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewMemListener()
		stop := serving(t, l, handler{handle: echo})
		c := NewClient(l.Dial, "test", clock.Clock{})
		h, err := c.Hold(t.Context(), Request{Host: "M1"})
		if err != nil {
			t.Fatal(err)
		}
		stop()
		if _, err := h.Call(t.Context(), Request{Verb: A1, Host: "M1"}); !errors.Is(err, ErrSessionLost) {
			t.Errorf("A1 in a lost session: %v", err)
		}
	})
}

func TestOneReplyEachLine(t *testing.T) {
	long := `{"verb":"A1","host":"` + strings.Repeat("x", MaxLine) + `"}` + "\n"
	for _, tc := range []struct{ name, in, want string }{
		{"two requests", `{"verb":"A1","host":"M1"}` + "\n" + `{"verb":"A1","host":"W1"}` + "\n", `"real":"M1"}|"real":"W1"}`},
		{"a bad line, and on", "garbage\n" + `{"verb":"A1","host":"W1"}` + "\n", `cannot read the request|"real":"W1"}`},
		{"an empty line", "\n", "cannot read the request"},
		{"a carriage return", `{"verb":"A1","host":"M1"}` + "\r\n", `"real":"M1"}`},
		{"fields of a later version", `{"verb":"A1","host":"M1","colour":"red"}` + "\n", `"real":"M1"}`},
		{"a line without end", long, "longer than"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := NewMemListener()
				defer serving(t, l, handler{handle: echo})()
				c := rawConn(t, l)
				defer c.Close()
				go func() { _, _ = io.WriteString(c, tc.in) }()
				for _, want := range strings.Split(tc.want, "|") {
					line, err := c.lines.next()
					if err != nil || !strings.Contains(string(line), want) {
						t.Errorf("answered %q (%v), want %q", line, err, want)
					}
				}
			})
		})
	}
}

type testConn struct{ *conn }

func rawConn(t *testing.T, l *MemListener) testConn {
	t.Helper()
	c, err := l.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return testConn{newConn(c, MaxLine)}
}

func (c testConn) ask(t *testing.T, line string) string {
	t.Helper()
	if _, err := io.WriteString(c, line); err != nil {
		t.Fatal(err)
	}
	got, err := c.lines.next()
	if err != nil {
		t.Fatal(err)
	}
	return string(got)
}

func TestFailedIsASet(t *testing.T) {
	f := Failed{Dir: t.TempDir()}
	for _, host := range []string{"W1", "M1", "M1"} {
		if err := f.Add(host); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if err := f.Remove("W1"); err != nil {
			t.Fatal(err)
		}
	}
	hosts, err := f.Hosts()
	if err != nil || len(hosts) != 1 || hosts[0] != "M1" || !f.Has("M1") || f.Has("W1") {
		t.Errorf("hosts %v, %v", hosts, err)
	}
	if _, err := (Failed{Dir: f.Dir + "/nowhere"}).Hosts(); err == nil {
		t.Error("a missing run directory is no empty set")
	}
}

// FuzzLines sends any bytes to an endpoint: each complete line gets exactly one
// JSON reply, and nothing panics.
func FuzzLines(f *testing.F) {
	for _, s := range []string{
		`{"verb":"A1","host":"M1"}` + "\n",
		`{"verb":"A4","host":"M1","real":"172.21.14.200","backup":{"host":"Mb","ip":"172.21.14.61","group":"Mail"}}` + "\n",
		`{"verb":"B4","real":"::1","mac":"00:00:00:00:00:01","servers":[{"target":{"host":"M1","ip":"::2"}}]}` + "\n",
		`{"verb":"spare-start","dat":{"host":"Ms","daemons":["a"]}}` + "\n", "\n\n{}\n[]\nnull\n", "{\"verb\":\"A1\"", "\x00\xff\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		here, there := net.Pipe()
		var wg sync.WaitGroup
		e := Endpoint{Open: func() Handler { return handler{handle: echo} }}
		wg.Go(func() { e.serveConn(t.Context(), newConn(there, MaxRequest)) })
		replies := make(chan int)
		want := bytes.Count(in, []byte("\n"))
		go func() {
			n := 0
			lines := newLineReader(here, MaxLine)
			for n < want {
				b, err := lines.next()
				if err != nil {
					break
				}
				var r Reply
				if json.Unmarshal(b, &r) != nil || !r.OK && r.Error == "" {
					break
				}
				n++
			}
			replies <- n
		}()
		_, _ = here.Write(in)
		if got := <-replies; got != want {
			t.Errorf("%d replies for %d lines of %q", got, want, in)
		}
		here.Close()
		wg.Wait()
	})
}
