//go:build lab && libvirt_dlopen

package lab

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"pss-msbs/pkg/clock"
	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/fleet"
	"pss-msbs/pkg/fleet/fleettest"
	"pss-msbs/pkg/guest"
	"pss-msbs/pkg/settings"
)

var (
	mgmt = netip.MustParseAddr("172.21.14.200")
	rs1  = netip.MustParseAddr("172.21.14.201")
	vip1 = netip.MustParseAddr("172.21.14.101")
	m1   = cluster.Guest{Host: "M1", IP: netip.MustParseAddr("172.21.14.1"), Real: rs1}
)

func attach(t *testing.T) *Attached {
	t.Helper()
	l, err := Attach(os.Getenv(inLab))
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// labSettings are the settings under which the programs find the lab.
func labSettings(l *Attached) settings.Settings {
	s := settings.Default()
	s.Management.IP = mgmt
	s.Network.References = []netip.Addr{l.plan.Switch}
	s.Libvirt.URI, s.Libvirt.ManagementURI = l.URI(), "qemu+tcp://172.21.14.200/system"
	s.Libvirt.Definition, s.Libvirt.SavePath = l.Definition(), l.SavePath()
	s.Guest.RestartCommand = []string{"lab-daemon", "restart", "{daemon}"}
	return s
}

func openFleet(t *testing.T) fleet.Driver {
	t.Helper()
	d, err := fleet.Open(t.Context(), labSettings(attach(t)), t.TempDir(), clock.Clock{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

// quick bounds one call as the programs do.
func quick(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), cluster.CallLimit)
	t.Cleanup(cancel)
	return ctx
}

// within waits until ok, and fails the test with what it saw last.
func within(t *testing.T, limit time.Duration, what string, ok func() error) {
	t.Helper()
	end := time.Now().Add(limit)
	for {
		err := ok()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s: not within %v: %v", what, limit, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func timed(t *testing.T, what string, f func() error) {
	t.Helper()
	begin := time.Now()
	if err := f(); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	t.Logf("%-28s %6.2f s", what, time.Since(begin).Seconds())
}

// boot starts g and waits until its agent and its daemon answer. A guest under
// TCG now and then hangs in its boot; dbss resets such a one, and so does this,
// twice and not in silence.
func boot(t *testing.T, d fleet.Driver, g cluster.Guest) {
	t.Helper()
	for resets := 0; ; resets++ {
		timed(t, "start "+g.Host, func() error { return d.Start(quick(t), g) })
		begin := time.Now()
		err := awaitService(t.Context(), d, g)
		t.Logf("%-28s %6.2f s, %v", "boot "+g.Host, time.Since(begin).Seconds(), err)
		if err == nil {
			return
		}
		if resets == 2 {
			t.Fatalf("%s does not boot: %v", g.Host, err)
		}
		timed(t, "destroy "+g.Host, func() error { return d.Destroy(quick(t), g) })
	}
}

func awaitService(ctx context.Context, d fleet.Driver, g cluster.Guest) error {
	ctx, cancel := context.WithTimeout(ctx, 60*time.Second)
	defer cancel()
	for {
		short, cancel := context.WithTimeout(ctx, time.Second)
		err := d.Greet(short, g.IP, "httpd")
		if err == nil {
			_, err = d.Addrs(short, g)
		}
		cancel()
		if err == nil || ctx.Err() != nil {
			return err
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// TestDriver: libvirt does what every fleet must.
func TestDriver(t *testing.T) {
	l, d := attach(t), openFleet(t)
	fleettest.Conformance(t, d, fleettest.World{
		Guest: m1, Other: mgmt, VIP: vip1, Daemon: "httpd", Boot: 2 * time.Minute,
		Crash: func() error { return l.signal("M1", syscall.SIGKILL) },
		Hold: func(hold bool) error {
			if hold {
				return l.signal("M1", syscall.SIGSTOP)
			}
			return l.signal("M1", syscall.SIGCONT)
		},
		Busy: func(busy bool) error {
			command := "kill $(cat /tmp/busy)"
			if busy {
				command = "(while :; do :; done) </dev/null >/dev/null 2>&1 & echo $! >/tmp/busy"
			}
			_, err := d.Run(quick(t), m1, []string{"sh", "-c", command})
			return err
		},
	})
}

// TestArguments: what stands in an argument stays there, through agent and all.
func TestArguments(t *testing.T) {
	d := openFleet(t)
	boot(t, d, m1)
	t.Cleanup(func() {
		if err := d.Destroy(context.Background(), m1); err != nil {
			t.Error(err)
		}
	})
	if out, err := d.Run(quick(t), m1, []string{"echo", "$(reboot); 'x"}); string(out) != "$(reboot); 'x\n" || err != nil {
		t.Errorf("an argument became %q, %v", out, err)
	}
	if _, err := d.Run(quick(t), m1, []string{"false"}); err == nil {
		t.Error("a failing command is no error")
	}
	got, err := guest.Measure(quick(t), d, m1)
	if err != nil || got.MemoryKB < 5000 || got.MaxMemoryKB < 100_000 || got.MemoryKB > got.MaxMemoryKB/2 {
		t.Errorf("measured %+v, %v", got, err)
	}
	if _, err := d.Run(quick(t), m1, []string{"fill-memory", "70"}); err != nil {
		t.Fatal(err)
	}
	within(t, 10*time.Second, "its memory is filled", func() error {
		got, err = guest.Measure(quick(t), d, m1)
		if share := 100 * got.MemoryKB / max(1, got.MaxMemoryKB); err == nil && (share < 65 || share > 80) {
			err = fmt.Errorf("%d%% of its memory is used", share)
		}
		return err
	})
}

// TestNeighbourDiscovery asks by ND, which guests without IPv6 leave untested.
func TestNeighbourDiscovery(t *testing.T) {
	sw := attach(t).Namespace("switch")
	if err := runAll(t.Context(), "ip -6 addr add fd14::200/64 dev br0 nodad", "ip -n "+sw+" -6 addr add fd14::210/64 dev sw0 nodad"); err != nil {
		t.Fatal(err)
	}
	link, err := run(t.Context(), "ip", "-n", sw, "-o", "link", "show", "sw0")
	if err != nil {
		t.Fatal(err)
	}
	d := openFleet(t)
	macs, err := d.WhoHas(quick(t), netip.MustParseAddr("fd14::210"))
	if err != nil || len(macs) != 1 || !strings.Contains(link, macs[0].String()) {
		t.Errorf("it is at %v, %v; the switch is %s", macs, err, link)
	}
	if macs, err := d.WhoHas(quick(t), netip.MustParseAddr("fd14::99")); err != nil || len(macs) != 0 {
		t.Errorf("an address that nobody has is at %v, %v", macs, err)
	}
	if err := d.Ping(quick(t), netip.MustParseAddr("fd14::210")); err != nil {
		t.Error(err)
	}
}

// TestMagicPacket hears on the wire what WakeReal sends.
func TestMagicPacket(t *testing.T) {
	const wakeOnLAN = 0x0842
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, wakeOnLAN>>8|wakeOnLAN&0xff<<8)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 10}); err != nil {
		t.Fatal(err)
	}
	mac := cluster.MAC{2, 0, 0, 0, 14, 202}
	// It is heard where it arrives: on the other end of a cable of our own.
	if err := runAll(t.Context(), "ip link add wol0 type veth peer name wol1", "ip addr add 10.77.0.1/24 dev wol0", "ip link set wol0 up", "ip link set wol1 up"); err != nil {
		t.Fatal(err)
	}
	carries(t, "wol0")
	s := labSettings(attach(t))
	s.Management.IP = netip.MustParseAddr("10.77.0.1")
	d, err := fleet.Open(t.Context(), s, t.TempDir(), clock.Clock{})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if err := d.WakeReal(quick(t), mac); err != nil {
		t.Fatal(err)
	}
	frame := make([]byte, 256)
	n, _, err := unix.Recvfrom(fd, frame, 0)
	if err != nil {
		t.Fatalf("nothing was heard: %v", err)
	}
	if want := bytes.Repeat(mac[:], 16); !bytes.Contains(frame[:n], append(bytes.Repeat([]byte{0xff}, 6), want...)) {
		t.Errorf("heard %x", frame[:n])
	}
}

// carries waits until the kernel has found the interface's carrier: until then it
// drops what is sent.
func carries(t *testing.T, name string) {
	t.Helper()
	within(t, 5*time.Second, name+" has a carrier", func() error {
		i, err := net.InterfaceByName(name)
		if err == nil && i.Flags&net.FlagRunning == 0 {
			err = fmt.Errorf("it is %s", i.Flags)
		}
		return err
	})
}

func wantState(t *testing.T, d fleet.Driver, g cluster.Guest, want cluster.GuestState) {
	t.Helper()
	if s, err := d.GuestState(quick(t), g); s != want || err != nil {
		t.Errorf("%s is %q, %v; want %q", g.Host, s, err, want)
	}
}
