package probe

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"pss-msbs/pkg/cluster"
)

// serve plays a daemon on a local port: it says hello, reads a line if it
// should, and answers.
func serve(t *testing.T, play func(net.Conn)) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				play(c)
			}()
		}
	}()
	return l.Addr().(*net.TCPAddr).Port
}

func says(text string) func(net.Conn) { return func(c net.Conn) { fmt.Fprint(c, text) } }

// repliesTo answers the first line of a request.
func repliesTo(prefix, text string) func(net.Conn) {
	return func(c net.Conn) {
		if line, err := bufio.NewReader(c).ReadString('\n'); err == nil && strings.HasPrefix(line, prefix) {
			fmt.Fprint(c, text)
		}
	}
}

// stopped accepts and says nothing, as a stopped process does.
func stopped(c net.Conn) { _, _ = io.Copy(io.Discard, c) }

var local = netip.MustParseAddr("127.0.0.1")

func TestGreetings(t *testing.T) {
	for _, c := range []struct {
		name, daemon string
		play         func(net.Conn)
		ok           bool
	}{
		{"smtp", "postfix", says("220 M1 ESMTP Postfix\r\n"), true},
		{"smtp busy", "postfix", says("421 too many\r\n"), false},
		{"imap", "dovecot", says("* OK ready\r\n"), true},
		{"pop3 on the wrong port", "dovecot", says("+OK ready\r\n"), false},
		{"ftp", "vsftpd", says("220 (vsFTPd 3.0.3)\r\n"), true},
		{"http", "httpd", repliesTo("HEAD / HTTP/1.", "HTTP/1.1 200 OK\r\n\r\n"), true},
		{"http not found", "apache2", repliesTo("HEAD", "HTTP/1.0 404 Not Found\r\n"), true},
		{"http broken", "nginx", repliesTo("HEAD", "HTTP/1.1 503 Service Unavailable\r\n"), false},
		{"no http", "nginx", repliesTo("HEAD", "220 hello\r\n"), false},
		{"no number", "nginx", repliesTo("HEAD", "HTTP/1.1 fine\r\n"), false},
		{"unit names", "apache2@www.service", repliesTo("HEAD", "HTTP/1.1 200 OK\r\n"), true},
		{"closes at once", "postfix", func(net.Conn) {}, false},
		{"endless", "postfix", says(strings.Repeat("2", 5000)), false},
		{"without end of line", "postfix", says("220 hello"), true},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			check := checkersOf(c.daemon)[0]
			check.port = serve(t, c.play)
			if err := greetOne(ctx, local, check); (err == nil) != c.ok {
				t.Error(err)
			}
		})
	}
}

// Only where nobody listens has a daemon stopped. One that is too busy is not
// restarted for that.
func TestRefusals(t *testing.T) {
	for _, c := range []struct {
		name    string
		port    int
		refused bool
	}{
		{"nobody listens", closedPort(t), true},
		{"busy", serve(t, says("421 too many connections\r\n")), false},
		{"hangs up", serve(t, func(net.Conn) {}), false},
		{"resets", serve(t, func(c net.Conn) { _ = c.(*net.TCPConn).SetLinger(0) }), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			check := checkersOf("postfix")[0]
			check.port = c.port
			err := greetOne(ctx, local, check)
			if got := meaning([]error{err}); err == nil || errors.Is(got, cluster.ErrRefused) != c.refused || !errors.Is(got, cluster.ErrNoAnswer) {
				t.Errorf("%v means %v", err, got)
			}
		})
	}
}

func TestGreetAsksForMoreThanAConnection(t *testing.T) {
	check := checkersOf("postfix")[0]
	check.port = serve(t, stopped)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := greetOne(ctx, local, check); err == nil || ctx.Err() == nil {
		t.Errorf("a stopped process answered: %v, %v", err, ctx.Err())
	}
}

func TestGreetUnknownDaemon(t *testing.T) {
	p := Prober{Ports: map[string]int{"mydaemon": serve(t, stopped), "gone": closedPort(t)}}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := p.Greet(ctx, local, "mydaemon"); err != nil {
		t.Error(err)
	}
	if err := p.Greet(ctx, local, "gone"); !errors.Is(err, cluster.ErrNoAnswer) || ctx.Err() != nil {
		t.Errorf("nobody listens: %v", err)
	}
	if err := p.Greet(ctx, local, "nosuchdaemon"); err == nil || !strings.Contains(err.Error(), "port is not known") {
		t.Error(err)
	}
}

func closedPort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// A caller tells silence from refusal by whether its own deadline has passed,
// also where nobody answers the attempt to connect.
func TestSilenceOutlastsTheDeadline(t *testing.T) {
	full := fullPort(t)
	for range 20 {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		err := Prober{Ports: map[string]int{"full": full}}.Greet(ctx, local, "full")
		if err == nil || ctx.Err() == nil {
			t.Fatalf("%v, while the context says %v", err, ctx.Err())
		}
		cancel()
	}
}

// fullPort is the port of a stopped process whose queue is full: attempts to
// connect are not even refused.
func fullPort(t *testing.T) int {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	if err := errors.Join(unix.Bind(fd, &unix.SockaddrInet4{Addr: local.As4()}), unix.Listen(fd, 0)); err != nil {
		t.Fatal(err)
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	port := name.(*unix.SockaddrInet4).Port
	for range 10 {
		c, err := net.DialTimeout("tcp", netip.AddrPortFrom(local, uint16(port)).String(), 50*time.Millisecond)
		if err != nil {
			return port
		}
		t.Cleanup(func() { _ = c.Close() })
	}
	t.Fatal("the queue does not fill up")
	return 0
}

// The deadline that a caller compares with is the one that counts.
func TestGreetKeepsTheDeadline(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	short, end := withDeadline(ctx, time.Millisecond)
	defer end()
	a, _ := ctx.Deadline()
	if b, ok := short.Deadline(); !ok || !a.Equal(b) {
		t.Errorf("deadline %v became %v", a, b)
	}
	long, end := withDeadline(context.Background(), time.Hour)
	defer end()
	if _, ok := long.Deadline(); !ok {
		t.Error("no deadline was given")
	}
}

func TestPing(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	err := Prober{}.Ping(ctx, local)
	if err != nil && strings.Contains(err.Error(), "permi") {
		t.Skipf("this machine lets nobody ping: %v", err)
	}
	if err != nil {
		t.Error(err)
	}
	if err := (Prober{}).Ping(ctx, netip.MustParseAddr("::1")); err != nil {
		t.Error(err)
	}
}

func TestPingSilence(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	begin := time.Now()
	err := Prober{}.Ping(ctx, netip.MustParseAddr("192.0.2.123")) // no such host (RFC 5737)
	if !errors.Is(err, cluster.ErrNoAnswer) || time.Since(begin) > 3*time.Second {
		t.Errorf("after %v: %v", time.Since(begin), err)
	}
}
