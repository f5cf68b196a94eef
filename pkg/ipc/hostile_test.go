package ipc

import (
	"bytes"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// hostile connects by hand to an endpoint in a bubble.
func hostile(t *testing.T, f func(t *testing.T, c net.Conn)) {
	synctest.Test(t, func(t *testing.T) {
		l := NewMemListener()
		stop := serving(t, l, handler{handle: echo})
		defer stop()
		c, err := l.Dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		f(t, c)
	})
}

// A request that comes byte by byte must be whole within DefaultTimeout: then
// there is one clear error, and the connection ends.
func TestHalfARequestIsNotWaitedForForEver(t *testing.T) {
	hostile(t, func(t *testing.T, c net.Conn) {
		begun := time.Now()
		var writing sync.WaitGroup
		defer func() { _ = c.Close(); writing.Wait() }()
		writing.Go(func() {
			for range time.Tick(time.Second) {
				if _, err := c.Write([]byte("{")); err != nil {
					return
				}
			}
		})
		reply, err := io.ReadAll(c)
		if took := time.Since(begun); err != nil || !strings.Contains(string(reply), errHalfLine.Error()) || took > DefaultTimeout+2*time.Second {
			t.Errorf("after %v: %q, %v", took, reply, err)
		}
		if n := bytes.Count(reply, []byte("\n")); n != 1 {
			t.Errorf("%d lines for one error: %q", n, reply)
		}
	})
}

// Who asks and never reads is dropped.
func TestWhoNeverReadsIsDropped(t *testing.T) {
	hostile(t, func(t *testing.T, c net.Conn) {
		begun := time.Now()
		var err error
		for err == nil { // once nothing more fits into the connection the first reply stops everything
			_, err = c.Write([]byte(`{"verb":"A1","host":"M1"}` + "\n"))
		}
		if took := time.Since(begun); took > 2*DefaultTimeout {
			t.Errorf("dropped after %v", took)
		}
	})
}

// A silent connection is no harm: a hold may last, and a watch says nothing more.
func TestSilenceBetweenRequestsIsAllowed(t *testing.T) {
	hostile(t, func(t *testing.T, c net.Conn) {
		in := newConn(c, MaxLine)
		for range 3 {
			time.Sleep(4 * DefaultTimeout)
			if err := in.send(Request{Verb: A1, Host: "M1"}); err != nil {
				t.Fatal(err)
			}
			if r, err := in.receive(); err != nil || !r.OK {
				t.Fatalf("%+v, %v", r, err)
			}
		}
	})
}

// A request is small, and so is what one may cost before it is refused.
func TestHugeRequest(t *testing.T) {
	hostile(t, func(t *testing.T, c net.Conn) {
		go func() {
			_, _ = c.Write([]byte(`{"verb":"B4","servers":[`))
			for part := bytes.Repeat([]byte("{},"), 1000); ; {
				if _, err := c.Write(part); err != nil {
					return
				}
			}
		}()
		reply, err := io.ReadAll(c)
		if err != nil || !strings.Contains(string(reply), "longer than 65536 bytes") || bytes.Count(reply, []byte("\n")) != 1 {
			t.Errorf("%q, %v", reply, err)
		}
	})
}

// An error does not give back all that it is about.
func TestErrorsAreShort(t *testing.T) {
	for _, line := range []string{
		`{"verb":"` + strings.Repeat(`x`, 60000) + `"}`,
		`{"verb":"A1","host":"` + strings.Repeat(`x`, 60000) + `"}`,
		`{"verb":"A1","real":"` + strings.Repeat(`x`, 60000) + `"}`,
		`{"verb":"` + strings.Repeat(`\u0000`, 9000) + `"}`,
	} {
		_, err := parseRequest([]byte(line))
		if err == nil || len(err.Error()) > maxError {
			t.Errorf("%.40s: an error of %d bytes", line, len(err.Error()))
		}
	}
}
