package access

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// inside runs the rest of the test in a network namespace of its own: in a
// child of this process that inherits the test's name. It is false in the parent.
func inside(t *testing.T) bool {
	t.Helper()
	const mark = "ACCESS_TEST_NAMESPACE"
	if os.Getenv(mark) == t.Name() {
		return true
	}
	if os.Geteuid() != 0 {
		t.Skip("a network namespace and capturing packets need root")
	}
	cmd := exec.Command("/proc/self/exe", "-test.run", "^"+t.Name()+"$", "-test.count=1", "-test.v")
	cmd.Env = append(os.Environ(), mark+"="+t.Name())
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	out, err := cmd.CombinedOutput()
	if errors.Is(err, syscall.EPERM) {
		t.Skipf("a network namespace: %v", err)
	}
	if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Errorf("in its namespace: %v\n%s", err, out)
	}
	return false
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// ip runs iproute2, one command a line.
func ip(t *testing.T, commands string) {
	t.Helper()
	for line := range strings.Lines(commands) {
		if argv := strings.Fields(line); len(argv) > 0 {
			out, err := exec.Command("ip", argv...).CombinedOutput()
			if err != nil {
				t.Fatalf("ip %s: %v: %s", line, err, out)
			}
		}
	}
}

// host is a machine beside ours: a network namespace behind a veth pair.
type host struct {
	space *os.File
	do    chan func()
}

// newHost makes one that is plugged into our bridge br0.
func newHost(t *testing.T, name string) *host {
	t.Helper()
	h := &host{do: make(chan func())}
	made := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with its namespace
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err == nil {
			h.space, err = os.Open("/proc/thread-self/ns/net")
		}
		for made <- err; ; {
			f, more := <-h.do
			if !more {
				return
			}
			f()
		}
	}()
	must(t, <-made)
	t.Cleanup(func() { close(h.do); _ = h.space.Close() })
	ip(t, fmt.Sprintf("link add %s type veth peer name eth0 netns /proc/%d/fd/%d\n link set %s master br0 up", name, os.Getpid(), h.space.Fd(), name))
	return h
}

// in runs f in the host's network; t.Fatal must not be called there.
func (h *host) in(f func() error) error {
	done := make(chan error)
	h.do <- func() { done <- f() }
	return <-done
}

func (h *host) ip(t *testing.T, commands string) {
	t.Helper()
	for line := range strings.Lines(commands) {
		if argv := strings.Fields(line); len(argv) > 0 {
			must(t, h.in(func() error {
				out, err := exec.Command("ip", argv...).CombinedOutput()
				if err != nil {
					err = fmt.Errorf("ip %s: %v: %s", line, err, out)
				}
				return err
			}))
		}
	}
}

// serve takes connections until the test ends.
func (h *host) serve(t *testing.T, kind, address string) {
	t.Helper()
	var l net.Listener
	must(t, h.in(func() (err error) { l, err = net.Listen(kind, address); return err }))
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = c.Close()
		}
	}()
}

// connect opens a connection to address and closes it.
func (h *host) connect(address string, limit time.Duration) error {
	return h.in(func() error {
		c, err := (&net.Dialer{Timeout: limit, FallbackDelay: -1}).Dial("tcp", address)
		if err == nil {
			err = c.Close()
		}
		return err
	})
}

// network is a bridge of ours with a client and a server; the frames between
// the two are none of our own.
func network(t *testing.T) (client, server *host) {
	t.Helper()
	ip(t, "link set lo up\n link add br0 type bridge\n link set br0 up")
	client, server = newHost(t, "client"), newHost(t, "server")
	client.ip(t, "link set eth0 up\n addr add 172.21.14.220/24 dev eth0\n addr add fd14::220/64 dev eth0 nodad")
	server.ip(t, "link set eth0 up\n addr add 172.21.14.101/24 dev eth0\n addr add fd14::101/64 dev eth0 nodad")
	server.serve(t, "tcp4", ":80")
	server.serve(t, "tcp6", ":80")
	return client, server
}

// count opens a counter on name and waits until it counts.
func count(t *testing.T, name string) *Running {
	t.Helper()
	r := Interface(t.Context(), name)
	t.Cleanup(func() { _ = r.Close() })
	await(t, r, func(_ map[netip.Addr]uint64, err error) bool { return err == nil })
	return r
}

// counted waits until to was accessed want times, and looks that no more come.
func counted(t *testing.T, r *Running, to string, want uint64) {
	t.Helper()
	a := netip.MustParseAddr(to)
	await(t, r, func(c map[netip.Addr]uint64, _ error) bool { return c[a] >= want })
	if c, err := r.Counts(); err != nil || c[a] != want {
		t.Errorf("%d accesses to %s, %v; want %d", c[a], to, err, want)
	}
}

// Real connections between two others.
func TestInterfaceSeesOthers(t *testing.T) {
	if !inside(t) {
		return
	}
	client, _ := network(t)
	for _, name := range []string{"br0", "server"} {
		r := count(t, name)
		for _, to := range []string{"172.21.14.101", "fd14::101"} {
			for range 5 {
				must(t, client.connect(net.JoinHostPort(to, "80"), 5*time.Second))
			}
			counted(t, r, to, 5)
		}
		for _, from := range []string{"172.21.14.220", "fd14::220"} {
			counted(t, r, from, 0) // SYN and ACK go back there
		}
		_ = r.Close()
	}
}

// The kernel takes one VLAN tag off what it shows; a second one stays.
func TestInterfaceVLAN(t *testing.T) {
	if !inside(t) {
		return
	}
	client, _ := network(t)
	plain := packet(t, vip, false, syn)
	copy(plain, net.HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}) // flooded by the bridge
	plain[6] = 2
	tagged := append(append(bytes.Clone(plain[:12]), 0x81, 0, 0, 7), plain[12:]...)
	twice := append(append(bytes.Clone(tagged[:12]), 0x88, 0xa8, 0, 9), tagged[12:]...)
	for i, frame := range [][]byte{plain, tagged, twice} {
		for _, name := range []string{"br0", "client"} {
			r := count(t, name)
			must(t, client.in(func() error { return sendRaw("eth0", frame) }))
			counted(t, r, "172.21.14.101", 1)
			if t.Failed() {
				t.Fatalf("frame %d on %s", i, name)
			}
			_ = r.Close()
		}
	}
}

func sendRaw(name string, frame []byte) error {
	ifi, err := net.InterfaceByName(name)
	if err != nil {
		return err
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Sendto(fd, frame, 0, &unix.SockaddrLinklayer{Ifindex: ifi.Index})
}

// A client that gets no answer sends its SYN again: one access.
func TestInterfaceRetransmission(t *testing.T) {
	if !inside(t) {
		return
	}
	client, server := network(t)
	var mac string
	must(t, server.in(func() error {
		eth0, err := net.InterfaceByName("eth0")
		mac = eth0.HardwareAddr.String()
		return err
	}))
	client.ip(t, "neigh add 172.21.14.150 lladdr "+mac+" dev eth0")
	r := count(t, "br0")
	if err := client.connect("172.21.14.150:80", 3500*time.Millisecond); !errors.Is(err, context.DeadlineExceeded) && !os.IsTimeout(err) {
		t.Fatalf("a server that drops everything: %v", err)
	}
	if n := retransmitted(t, client); n < 2 {
		t.Fatalf("%d segments were sent again", n)
	}
	counted(t, r, "172.21.14.150", 1)
	if err := client.connect("172.21.14.150:80", 100*time.Millisecond); err == nil {
		t.Error("connected")
	}
	counted(t, r, "172.21.14.150", 2)
}

// retransmitted is what the kernel of h says of it.
func retransmitted(t *testing.T, h *host) (n int) {
	t.Helper()
	must(t, h.in(func() error {
		b, err := os.ReadFile("/proc/thread-self/net/snmp")
		var names, values []string
		for line := range strings.Lines(string(b)) {
			if f := strings.Fields(line); f[0] == "Tcp:" {
				names, values = values, f
			}
		}
		for i, name := range names {
			if name == "RetransSegs" {
				_, err = fmt.Sscan(values[i], &n)
			}
		}
		return err
	}))
	return n
}

// An interface that goes down, or away, is told; back again it counts again.
func TestInterfaceComesAndGoes(t *testing.T) {
	if !inside(t) {
		return
	}
	client, _ := network(t)
	r := count(t, "server")
	failed := func(_ map[netip.Addr]uint64, err error) bool { return err != nil }
	works := func(_ map[netip.Addr]uint64, err error) bool { return err == nil }
	ip(t, "link set server down")
	await(t, r, failed)
	ip(t, "link set server up")
	await(t, r, works)
	must(t, client.connect("172.21.14.101:80", 10*time.Second))
	counted(t, r, "172.21.14.101", 1)
	ip(t, "link add dummy7 type veth peer name dummy8\n link set dummy8 up\n link set dummy7 up")
	gone := count(t, "dummy7")
	ip(t, "link del dummy7")
	await(t, gone, failed)
	ip(t, "link add dummy7 type veth peer name dummy8\n link set dummy8 up\n link set dummy7 up")
	await(t, gone, works)
	ip(t, "link set dummy7 down")
	await(t, gone, failed)
	began := time.Now()
	if _ = gone.Close(); time.Since(began) > 2*time.Second {
		t.Errorf("closing on an interface that is down took %v", time.Since(began))
	}
}

// Where packets do not begin as Ethernet frames nothing would ever be counted.
func TestInterfaceOfAnotherKind(t *testing.T) {
	if !inside(t) {
		return
	}
	ip(t, "tuntap add mode tun name tun7\n link set tun7 up")
	r := Interface(t.Context(), "tun7")
	defer r.Close()
	await(t, r, func(_ map[netip.Addr]uint64, err error) bool {
		return err != nil && strings.Contains(err.Error(), "no Ethernet interface")
	})
}
