package probe

import (
	"bytes"
	"net"
	"testing"
	"time"
)

// said is a connection whose other end has said something and is silent then.
type said struct {
	net.Conn
	in *bytes.Reader
}

func (s said) Read(b []byte) (int, error)  { return s.in.Read(b) }
func (s said) Write(b []byte) (int, error) { return len(b), nil }
func (s said) RemoteAddr() net.Addr        { return &net.TCPAddr{IP: net.IPv6loopback, Port: 80} }

// FuzzGreeting: whatever a server says, a daemon answers only if it says what
// its protocol begins with.
func FuzzGreeting(f *testing.F) {
	for _, s := range []string{"220 m1 ESMTP Postfix\r\n", "* OK ready\r\n", "+OK\n", "HTTP/1.1 404 Not Found\r\n", "HTTP/1.0 503 \n", "SSH-2.0-OpenSSH\n", "", "220", "HTTP/ 99999999999999999999\n"} {
		f.Add([]byte(s))
	}
	begins := map[string][]string{"postfix": {"220"}, "dovecot": {"* OK", "* PREAUTH", "+OK"}, "vsftpd": {"220"}, "httpd": {"HTTP/"}, "sshd": {"SSH-"}}
	f.Fuzz(func(t *testing.T, text []byte) {
		begun := time.Now()
		for daemon, prefixes := range begins {
			for _, c := range checkersOf(daemon) {
				err := c.greet(said{in: bytes.NewReader(text)})
				good := false
				for _, p := range prefixes {
					good = good || bytes.HasPrefix(text, []byte(p))
				}
				if err == nil && !good {
					t.Errorf("%s answers with %q", daemon, text)
				}
				if err != nil && len(err.Error()) > 8*maxLine {
					t.Errorf("an error of %d bytes", len(err.Error()))
				}
			}
		}
		if took := time.Since(begun); took > time.Second {
			t.Errorf("took %v", took)
		}
	})
}
