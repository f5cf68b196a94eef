package guest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"pss-msbs/pkg/cluster"
)

// sshd is a real OpenSSH server on the loopback interface of a network
// namespace of its own, which has a veth pair eth0, eth1: a guest.
type sshd struct {
	dir, port string
	cmd       *exec.Cmd
	options   []string // of the client
}

// serve starts one with keys made for the test; it installs nothing.
func serve(t *testing.T) *sshd {
	t.Helper()
	path, err := exec.LookPath("sshd")
	if err != nil {
		path, err = exec.LookPath("/usr/sbin/sshd")
	}
	if err != nil || os.Geteuid() != 0 {
		t.Skipf("a real sshd in its own network namespace needs root and OpenSSH's server: %v", err)
	}
	s := &sshd{dir: t.TempDir(), port: "2222"}
	for _, key := range []string{"host", "other", "user"} {
		s.must(t, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", s.file(key))
	}
	s.privsepDir(t)
	s.write(t, "config", fmt.Sprintf("Port %s\nListenAddress 127.0.0.1\nListenAddress ::1\nHostKey %s\nAuthorizedKeysFile %s\nPidFile none\n"+
		"UsePAM no\nStrictModes no\nPermitRootLogin yes\nPasswordAuthentication no\n", s.port, s.file("host"), s.file("user.pub")))
	s.knows(t, "host")
	s.start(t, path)
	s.options = []string{"-F", "none", "-p", s.port, "-i", s.file("user"), "-o", "BatchMode=yes", "-o", "UserKnownHostsFile=" + s.file("known")}
	return s
}

func (s *sshd) file(name string) string { return filepath.Join(s.dir, name) }

func (s *sshd) write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(s.file(name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (s *sshd) must(t *testing.T, argv ...string) string {
	t.Helper()
	out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%q: %v: %s", argv, err, out)
	}
	return string(out)
}

// privsepDir makes the directory that sshd wants, where nothing else has.
func (s *sshd) privsepDir(t *testing.T) {
	t.Helper()
	if err := os.Mkdir("/run/sshd", 0o755); err == nil {
		t.Cleanup(func() { _ = os.Remove("/run/sshd") })
	} else if !errors.Is(err, os.ErrExist) {
		t.Fatal(err)
	}
}

// knows makes key the one that the client expects of the server.
func (s *sshd) knows(t *testing.T, key string) {
	t.Helper()
	public, err := os.ReadFile(s.file(key + ".pub"))
	if err != nil {
		t.Fatal(err)
	}
	s.write(t, "known", "[127.0.0.1]:"+s.port+",[::1]:"+s.port+" "+string(public))
}

func (s *sshd) start(t *testing.T, path string) {
	t.Helper()
	log, err := os.Create(s.file("log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	s.cmd = exec.Command("sh", "-c", `ip link set lo up && ip link add eth0 type veth peer name eth1 &&
		ip link set eth1 up && ip addr add 172.21.14.1/24 dev eth0 && ip link set eth0 up && exec "$0" -D -e -f "$1"`, path, s.file("config"))
	s.cmd.Stdout, s.cmd.Stderr = log, log
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	switch err := s.cmd.Start(); {
	case errors.Is(err, syscall.EPERM):
		t.Skipf("a network namespace: %v", err)
	case err != nil:
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, pid := range s.processes(s.dir) {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		_ = syscall.Kill(-s.cmd.Process.Pid, syscall.SIGKILL)
		_ = s.cmd.Wait()
	})
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		said, err := os.ReadFile(s.file("log"))
		if err == nil && bytes.Contains(said, []byte("listening on 127.0.0.1")) {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("sshd does not listen: %s", said)
		}
	}
}

// inside is argv in the network namespace of the server.
func (s *sshd) inside(argv ...string) []string {
	return append([]string{"nsenter", "--net=/proc/" + strconv.Itoa(s.cmd.Process.Pid) + "/ns/net"}, argv...)
}

// commands are those of a guest behind s, with more client options.
func (s *sshd) commands(t *testing.T, more ...string) (*Commands, cluster.Guest) {
	t.Helper()
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	template := s.inside(slices.Concat([]string{"ssh"}, s.options, more, []string{me.Username + "@{ip}", "--"})...)
	c := New(SSH{Command: template}, Options{Interface: "eth0", Restart: []string{"printf", "%s|", "restart", "{daemon}"},
		Announce:  []string{"arping", "-U", "-c", "1", "-I", "{interface}", "{vip}"},
		Announce6: []string{"ndptool", "-t", "na", "-U", "-i", "{interface}", "-T", "{vip}", "send"}})
	t.Cleanup(func() { _ = c.Close() })
	return c, cluster.Guest{Host: "M1", IP: netip.MustParseAddr("127.0.0.1")}
}

// processes are those alive with word in their command line, but for this one.
func (s *sshd) processes(word string) []int {
	var out []int
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, d := range dirs {
		pid, _ := strconv.Atoi(filepath.Base(d))
		line, err := os.ReadFile(filepath.Join(d, "cmdline"))
		if err == nil && pid != os.Getpid() && bytes.Contains(line, []byte(word)) {
			out = append(out, pid)
		}
	}
	return out
}

// Nothing that goes through the remote shell is split, joined or expanded.
func TestSSHQuotes(t *testing.T) {
	c, g := serve(t).commands(t)
	words := []string{"a b", "it's", "$(reboot)", `"`, "*", ";", "\\", "a\nb", "", "-n", "~", "{1,2}", "!!", "é", "`id`"}
	out, err := c.Run(t.Context(), g, append([]string{"printf", "%s|"}, words...))
	if want := strings.Join(words, "|") + "|"; string(out) != want || err != nil {
		t.Errorf("%q, %v; want %q", out, err, want)
	}
	if err := c.RestartDaemon(t.Context(), g, "dovecot; reboot"); err != nil {
		t.Error(err)
	}
	over6 := cluster.Guest{Host: "M1", IP: netip.IPv6Loopback()}
	if out, err := c.Run(t.Context(), over6, []string{"echo", "hello"}); string(out) != "hello\n" || err != nil {
		t.Errorf("over IPv6: %q, %v", out, err)
	}
	out, err = c.Run(t.Context(), g, []string{"sh", "-c", `echo "$LC_ALL $PATH"`})
	if want := "C " + strings.TrimPrefix(environment[1], "PATH=") + "\n"; string(out) != want || err != nil {
		t.Errorf("the environment is %q, %v", out, err)
	}
}

func TestSSHErrors(t *testing.T) {
	c, g := serve(t).commands(t)
	_, err := c.Run(t.Context(), g, []string{"sh", "-c", "echo why >&2; exit 4"})
	if err == nil || !strings.Contains(err.Error(), "exit code 4") || !strings.Contains(err.Error(), "why") || errors.Is(err, cluster.ErrAgentSilent) {
		t.Errorf("a command that fails: %v", err)
	}
	if _, err = c.Run(t.Context(), g, []string{"nosuchcommand"}); err == nil || errors.Is(err, cluster.ErrAgentSilent) {
		t.Errorf("a command that is not there: %v", err)
	}
	g.IP = netip.MustParseAddr("127.0.0.9") // nobody listens there
	if _, err = c.Run(t.Context(), g, []string{"true"}); !errors.Is(err, cluster.ErrAgentSilent) {
		t.Errorf("a guest without sshd: %v", err)
	}
}

// A key that is not the one known, or none known at all, is refused at once.
func TestSSHHostKey(t *testing.T) {
	s := serve(t)
	c, g := s.commands(t)
	s.knows(t, "other")
	if _, err := c.Run(t.Context(), g, []string{"true"}); !errors.Is(err, cluster.ErrAgentSilent) || !strings.Contains(err.Error(), "verification failed") {
		t.Errorf("a changed key: %v", err)
	}
	s.write(t, "known", "")
	if _, err := c.Run(t.Context(), g, []string{"true"}); !errors.Is(err, cluster.ErrAgentSilent) || !strings.Contains(err.Error(), "verification failed") {
		t.Errorf("an unknown key: %v", err)
	}
	s.knows(t, "host")
	if _, err := c.Run(t.Context(), g, []string{"true"}); err != nil {
		t.Error(err)
	}
}

// A guest that hangs accepts connections all the same: the call ends at its
// deadline, names the guest silent and leaves no process behind.
func TestSSHHangs(t *testing.T) {
	s := serve(t)
	c, g := s.commands(t)
	if _, err := c.Run(t.Context(), g, []string{"true"}); err != nil {
		t.Fatal(err)
	}
	s.signal(t, syscall.SIGSTOP)
	defer s.signal(t, syscall.SIGCONT)
	for range 3 {
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		began := time.Now()
		_, err := c.Run(ctx, g, []string{"true"})
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("took %v", took)
		}
		cancel()
		if !errors.Is(err, cluster.ErrAgentSilent) || !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(100*time.Millisecond, cancel)
	if _, err := c.Run(ctx, g, []string{"true"}); !errors.Is(err, context.Canceled) || errors.Is(err, cluster.ErrAgentSilent) {
		t.Errorf("a call that was given up: %v", err)
	}
	s.nothingLeft(t)
}

// The same where the connection stands and the command hangs, behind a proxy
// command, which is a process of its own.
func TestSSHCommandHangs(t *testing.T) {
	s := serve(t)
	c, g := s.commands(t, "-o", "ProxyCommand=nc -w 600 %h %p")
	if _, err := exec.LookPath("nc"); err != nil {
		c, g = s.commands(t)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	began := time.Now()
	_, err := c.Run(ctx, g, []string{"sleep", "600.25"})
	if took := time.Since(began); took > 10*time.Second || !errors.Is(err, cluster.ErrAgentSilent) {
		t.Errorf("after %v: %v", took, err)
	}
	s.nothingLeft(t)
	for end := time.Now().Add(10 * time.Second); len(s.processes("600.25")) > 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the command goes on in the guest")
		}
	}
}

// A shared connection stays behind; that is no failure of the command, and
// nobody waits for it.
func TestSSHSharedConnection(t *testing.T) {
	s := serve(t)
	c, g := s.commands(t, "-o", "ControlMaster=auto", "-o", "ControlPersist=60", "-o", "ControlPath="+s.file("mux"))
	for range 2 {
		if out, err := c.Run(t.Context(), g, []string{"echo", "hello"}); string(out) != "hello\n" || err != nil {
			t.Errorf("%q, %v", out, err)
		}
	}
	if _, err := os.Stat(s.file("mux")); err != nil {
		t.Error(err)
	}
}

func (s *sshd) signal(t *testing.T, sig syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(-s.cmd.Process.Pid, sig); err != nil {
		t.Fatal(err)
	}
}

// nothingLeft waits for the end of every process on our side of the calls.
func (s *sshd) nothingLeft(t *testing.T) {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		left := s.processes("UserKnownHostsFile=" + s.file("known"))
		if len(left) == 0 {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("processes %v are left", left)
		}
	}
}

// The addresses of a real guest, and real gratuitous ARP.
func TestSSHAddresses(t *testing.T) {
	s := serve(t)
	c, g := s.commands(t)
	own, vip6 := netip.MustParseAddr("172.21.14.1"), netip.MustParseAddr("fd14::101")
	has := func(want ...netip.Addr) {
		t.Helper()
		got, err := c.Addrs(t.Context(), g)
		got = slices.DeleteFunc(got, func(a netip.Addr) bool { return a.IsLinkLocalUnicast() })
		slices.SortFunc(got, netip.Addr.Compare)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%v, %v; want %v", got, err, want)
		}
	}
	do := func(err error) {
		t.Helper()
		if err != nil {
			t.Error(err)
		}
	}
	has(own)
	heard := s.listen(t)
	do(c.AddVIP(t.Context(), g, vip))
	do(c.AddVIP(t.Context(), g, vip)) // again: no failure
	has(own, vip)
	if !heard(vip) {
		t.Error("nobody heard a gratuitous ARP")
	}
	do(c.DelVIP(t.Context(), g, vip))
	do(c.DelVIP(t.Context(), g, vip))
	has(own)
	s.must(t, s.inside("ip", "addr", "add", "172.21.14.101/24", "dev", "eth0")...) // by hand, as secondary
	has(own, vip)
	do(c.DelVIP(t.Context(), g, vip))
	has(own)
	if _, err := exec.LookPath("ndptool"); err != nil {
		t.Log("NOT ANNOUNCED over IPv6: no ndptool")
		s.must(t, s.inside("ip", "addr", "add", single(vip6), "dev", "eth0", "nodad")...)
	} else {
		do(c.AddVIP(t.Context(), g, vip6))
		if !heard(vip6) {
			t.Error("nobody heard a neighbour advertisement")
		}
	}
	has(own, vip6)
	do(c.DelVIP(t.Context(), g, vip6))
	has(own)
}

// listen has tcpdump play the network's other end; heard reports whether it saw
// an address announced.
func (s *sshd) listen(t *testing.T) (heard func(netip.Addr) bool) {
	t.Helper()
	if _, err := exec.LookPath("tcpdump"); err != nil {
		t.Log("NOT LISTENED: no tcpdump")
		return func(netip.Addr) bool { return true }
	}
	argv := s.inside("tcpdump", "-l", "-n", "-i", "eth1", "arp or icmp6")
	log, err := os.Create(s.file("tcpdump"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := errors.Join(cmd.Start(), log.Close()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	said := func(words string) bool {
		for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
			if b, err := os.ReadFile(s.file("tcpdump")); err == nil && strings.Contains(string(b), words) {
				return true
			}
		}
		return false
	}
	if !said("listening on eth1") {
		t.Fatal("tcpdump does not listen")
	}
	return func(a netip.Addr) bool {
		if a.Is6() {
			return said(fmt.Sprintf("neighbor advertisement, tgt is %v", a))
		}
		return said(fmt.Sprintf("who-has %v (ff:ff:ff:ff:ff:ff) tell %v", a, a))
	}
}

func TestSSHMeasure(t *testing.T) {
	s := serve(t)
	if _, err := exec.LookPath("sar"); err != nil {
		t.Skipf("needs sar: %v", err)
	}
	t.Setenv("LC_ALL", "de_DE.UTF-8") // ours, which ssh might hand on
	c, g := s.commands(t, "-o", "SendEnv=LC_*")
	r, err := Measure(t.Context(), c, g)
	if err != nil || r.MaxMemoryKB <= 0 || r.MemoryKB <= 0 || r.CPU < 0 || r.CPU > 100 || r.NetworkKBs < 0 {
		t.Errorf("%+v, %v", r, err)
	}
}
