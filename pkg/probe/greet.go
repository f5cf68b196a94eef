package probe

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"pss-msbs/pkg/cluster"
)

// checker says whether a daemon greets on a connection to one of its ports.
type checker struct {
	port  int
	greet func(net.Conn) error
}

// checkersOf are the ports a daemon must answer on; one good answer is enough,
// since an operator may serve IMAP without POP3 or HTTPS without HTTP.
// An unknown daemon has none.
func checkersOf(daemon string) []checker {
	smtp := checker{25, banner("220")}
	imap := checker{143, banner("* OK", "* PREAUTH")}
	pop3 := checker{110, banner("+OK")}
	ftp := checker{21, banner("220")}
	http := checker{80, httpStatus}
	name, _, _ := strings.Cut(strings.ToLower(daemon), "@")
	switch strings.TrimSuffix(name, ".service") {
	case "postfix", "exim4", "exim", "sendmail", "opensmtpd":
		return []checker{smtp}
	case "dovecot", "cyrus-imapd", "courier-imap":
		return []checker{imap, pop3}
	case "dovecot-pop3", "courier-pop":
		return []checker{pop3}
	case "vsftpd", "proftpd", "pure-ftpd", "ftpd":
		return []checker{ftp}
	case "httpd", "apache2", "apache", "nginx", "lighttpd":
		return []checker{http}
	case "sshd", "ssh":
		return []checker{{22, banner("SSH-")}}
	}
	return nil
}

// Greet is nil when the daemon answers its protocol at ip before ctx's
// deadline (two seconds where it has none). A stopped process still accepts
// connections, so a daemon must say something; of one that this package does
// not know only a connection can be asked for.
func (p Prober) Greet(ctx context.Context, ip netip.Addr, daemon string) error {
	checks, err := p.checkers(daemon)
	if err != nil {
		return err
	}
	ctx, cancel := withDeadline(ctx, 2*time.Second)
	defer cancel()
	results := make(chan error, len(checks))
	for _, c := range checks {
		go func() { results <- greetOne(ctx, ip, c) }()
	}
	var failed []error
	for range checks {
		if err := <-results; err != nil {
			failed = append(failed, err)
			continue
		}
		cancel() // the other checks end at once
	}
	if len(failed) == len(checks) {
		return fmt.Errorf("cannot greet %s at %v: %v: %w", daemon, ip, failed[0], meaning(failed))
	}
	return nil
}

// meaning tells a server on which nobody listens, on every port, from one that
// gave no greeting for any other reason: a daemon that is too busy to greet, and
// says so or hangs up, has not stopped.
func meaning(failed []error) error {
	for _, err := range failed {
		if !errors.Is(err, syscall.ECONNREFUSED) {
			return cluster.ErrNoAnswer
		}
	}
	return cluster.ErrRefused
}

// checkers are the checks of a daemon: its protocol, or its port alone.
func (p Prober) checkers(daemon string) ([]checker, error) {
	if c := checkersOf(daemon); c != nil {
		return c, nil
	}
	port, ok := p.Ports[daemon]
	if !ok {
		var err error
		if port, err = net.LookupPort("tcp", daemon); err != nil {
			return nil, fmt.Errorf("cannot greet %s: its port is not known", daemon)
		}
	}
	return []checker{{port, func(net.Conn) error { return nil }}}, nil
}

func greetOne(ctx context.Context, ip netip.Addr, c checker) error {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", netip.AddrPortFrom(ip, uint16(c.port)).String())
	if err != nil {
		if os.IsTimeout(err) {
			<-ctx.Done() // a dialer may find its deadline passed a moment before ctx does
		}
		return err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	return c.greet(conn)
}

// banner wants a first line that begins with one of the prefixes.
func banner(prefixes ...string) func(net.Conn) error {
	return func(c net.Conn) error {
		line, err := firstLine(c)
		if err != nil {
			return err
		}
		for _, p := range prefixes {
			if strings.HasPrefix(line, p) {
				return nil
			}
		}
		return fmt.Errorf("it says %q", line)
	}
}

// httpStatus wants any status line of HTTP but a server error: 404 is an
// answer too.
func httpStatus(c net.Conn) error {
	if _, err := fmt.Fprintf(c, "HEAD / HTTP/1.0\r\nHost: %s\r\nUser-Agent: pss-msbs\r\n\r\n", host(c.RemoteAddr())); err != nil {
		return err
	}
	line, err := firstLine(c)
	if err != nil {
		return err
	}
	version, rest, _ := strings.Cut(line, " ")
	code, _, _ := strings.Cut(rest, " ")
	if n, err := strconv.Atoi(code); !strings.HasPrefix(version, "HTTP/") || err != nil || n < 100 || n >= 500 {
		return fmt.Errorf("it says %q", line)
	}
	return nil
}

// host is the address part of a, in brackets for IPv6 as a URL has it.
func host(a net.Addr) string {
	h, _, err := net.SplitHostPort(a.String())
	if err == nil && strings.Contains(h, ":") {
		return "[" + h + "]"
	}
	return h
}

// maxLine bounds what is read of a greeting.
const maxLine = 1024

func firstLine(c net.Conn) (string, error) {
	line, err := bufio.NewReader(io.LimitReader(c, maxLine)).ReadString('\n')
	if err != nil && (line == "" || !errors.Is(err, io.EOF)) {
		return "", fmt.Errorf("no greeting: %v", err)
	}
	return strings.TrimRight(line, "\r\n"), nil
}
