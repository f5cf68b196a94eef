package access

import (
	"bytes"
	"context"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"
	"golang.org/x/net/bpf"
)

var (
	client = net.IPv4(172, 21, 14, 220)
	vip    = net.IPv4(172, 21, 14, 101)
	vip6   = net.ParseIP("fd14::101")
)

// packet is an Ethernet frame with one TCP segment.
func packet(t testing.TB, to net.IP, vlan bool, flags func(*layers.TCP)) []byte {
	t.Helper()
	tcp := &layers.TCP{SrcPort: 40000, DstPort: 80, Window: 1000}
	flags(tcp)
	eth := &layers.Ethernet{SrcMAC: make(net.HardwareAddr, 6), DstMAC: make(net.HardwareAddr, 6), EthernetType: layers.EthernetTypeIPv4}
	stack := []gopacket.SerializableLayer{eth}
	var network interface {
		gopacket.NetworkLayer
		gopacket.SerializableLayer
	} = &layers.IPv4{Version: 4, TTL: 64, Protocol: layers.IPProtocolTCP, SrcIP: client, DstIP: to}
	if to.To4() == nil {
		network = &layers.IPv6{Version: 6, HopLimit: 64, NextHeader: layers.IPProtocolTCP, SrcIP: net.ParseIP("fd14::220"), DstIP: to}
		eth.EthernetType = layers.EthernetTypeIPv6
	}
	if vlan {
		stack = append(stack, &layers.Dot1Q{VLANIdentifier: 7, Type: eth.EthernetType})
		eth.EthernetType = layers.EthernetTypeDot1Q
	}
	if err := tcp.SetNetworkLayerForChecksum(network); err != nil {
		t.Fatal(err)
	}
	b := gopacket.NewSerializeBuffer()
	if err := gopacket.SerializeLayers(b, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true},
		append(stack, network, tcp)...); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func syn(p *layers.TCP)    { p.SYN = true }
func synAck(p *layers.TCP) { p.SYN, p.ACK = true, true }
func ack(p *layers.TCP)    { p.ACK = true }

func TestOpened(t *testing.T) {
	d, err := newDecoder(layers.LinkTypeEthernet)
	if err != nil {
		t.Fatal(err)
	}
	fragment := packet(t, vip, false, syn)
	fragment[21] = 1 // fragment offset
	for _, c := range []struct {
		name string
		p    []byte
		to   string
	}{
		{"SYN", packet(t, vip, false, syn), "172.21.14.101"},
		{"SYN over IPv6", packet(t, vip6, false, syn), "fd14::101"},
		{"SYN in a VLAN", packet(t, vip, true, syn), "172.21.14.101"},
		{"SYN ACK", packet(t, vip, false, synAck), ""},
		{"ACK", packet(t, vip, false, ack), ""},
		{"fragment", fragment, ""},
		{"cut off", packet(t, vip, false, syn)[:40], ""},
		{"nothing", nil, ""},
	} {
		to, ok := d.opened(c.p)
		if ok != (c.to != "") || (ok && to != netip.MustParseAddr(c.to)) {
			t.Errorf("%s: %v, %v", c.name, to, ok)
		}
	}
}

// The filter in the kernel and the decoder agree.
func TestFilterAgreesWithDecoder(t *testing.T) {
	d, err := newDecoder(layers.LinkTypeEthernet)
	if err != nil {
		t.Fatal(err)
	}
	// The VM has no packet types; the instruction that loads one stands aside.
	vm, err := bpf.NewVM(synFilter(false)[2:])
	if err != nil {
		t.Fatal(err)
	}
	fragment := packet(t, vip, false, syn)
	fragment[21] = 1
	for i, p := range [][]byte{
		packet(t, vip, false, syn), packet(t, vip6, false, syn), packet(t, vip, false, synAck), packet(t, vip6, false, ack), fragment,
		bytes.Repeat([]byte{0}, 60),
	} {
		n, err := vm.Run(p)
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := d.opened(p); ok != (n > 0) {
			t.Errorf("packet %d: the filter says %d, the decoder %v", i, n, ok)
		}
	}
	if _, err := bpf.Assemble(synFilter(true)); err != nil {
		t.Error(err)
	}
}

// pcapFile is a capture of packets as tcpdump -w writes it.
func pcapFile(t *testing.T, link layers.LinkType, packets ...[]byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "capture.pcap")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w := pcapgo.NewWriter(f)
	if err := w.WriteFileHeader(65536, link); err != nil {
		t.Fatal(err)
	}
	for _, p := range packets {
		if err := w.WritePacket(gopacket.CaptureInfo{Timestamp: time.Unix(1, 0), CaptureLength: len(p), Length: len(p)}, p); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

// await waits until r's counts are good.
func await(t *testing.T, r *Running, ok func(map[netip.Addr]uint64, error) bool) {
	t.Helper()
	end := time.Now().Add(20 * time.Second)
	for {
		counts, err := r.Counts()
		if ok(counts, err) {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("counts are %v, %v", counts, err)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func TestCommand(t *testing.T) {
	file := pcapFile(t, layers.LinkTypeEthernet,
		packet(t, vip, false, syn), packet(t, vip, false, synAck), packet(t, vip, false, syn), packet(t, vip6, false, syn))
	r := Command(t.Context(), []string{"sh", "-c", `cat "$0"; exec sleep 60`, file})
	await(t, r, func(c map[netip.Addr]uint64, err error) bool {
		return err == nil && c[netip.MustParseAddr("172.21.14.101")] == 2 && c[netip.MustParseAddr("fd14::101")] == 1
	})
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if counts, err := r.Counts(); err == nil {
		t.Errorf("counts %v after it was closed", counts)
	}
}

func TestLinkTypes(t *testing.T) {
	v4, v6 := packet(t, vip, false, syn)[14:], packet(t, vip6, false, syn)[14:]
	sll2 := make([]byte, sll2Header)
	sll := append(make([]byte, 14), 8, 0) // its last two octets are the protocol
	for _, c := range []struct {
		name    string
		link    layers.LinkType
		packets [][]byte
		want    int
	}{
		{"raw", layers.LinkTypeRaw, [][]byte{v4, v6}, 2},
		{"cooked", layers.LinkTypeLinuxSLL, [][]byte{append(sll, v4...)}, 1},
		{"cooked, version 2", linkTypeSLL2, [][]byte{append(sll2, v4...), append(sll2, v6...), sll2[:3]}, 2},
	} {
		r := Command(t.Context(), []string{"sh", "-c", `cat "$0"; exec sleep 60`, pcapFile(t, c.link, c.packets...)})
		await(t, r, func(got map[netip.Addr]uint64, err error) bool { return err == nil && len(got) == c.want })
		_ = r.Close()
	}
}

// A command that fails is told, and started again.
func TestCommandFails(t *testing.T) {
	flag := filepath.Join(t.TempDir(), "second")
	file := pcapFile(t, layers.LinkTypeEthernet, packet(t, vip, false, syn))
	r := Command(t.Context(), []string{"sh", "-c", `[ -e "$1" ] || { touch "$1"; echo no such device >&2; exit 1; }; cat "$0"; exec sleep 60`, file, flag})
	await(t, r, func(_ map[netip.Addr]uint64, err error) bool {
		return err != nil && bytes.Contains([]byte(err.Error()), []byte("no such device"))
	})
	await(t, r, func(c map[netip.Addr]uint64, err error) bool { return err == nil && len(c) == 1 })
	_ = r.Close()
	unknown := Command(t.Context(), []string{"sh", "-c", `cat "$0"; exec sleep 60`, pcapFile(t, layers.LinkTypePPP)})
	await(t, unknown, func(_ map[netip.Addr]uint64, err error) bool {
		return err != nil && bytes.Contains([]byte(err.Error()), []byte("link type"))
	})
	_ = unknown.Close()
}

func TestBoundedAddresses(t *testing.T) {
	c := Counter{seen: map[netip.Addr]uint64{}}
	known := netip.MustParseAddr("10.0.0.0")
	for a := known; len(c.seen) < maxAddresses; a = a.Next() {
		c.add(a)
	}
	c.add(netip.MustParseAddr("192.0.2.1"))
	c.add(known)
	if counts, _ := c.Counts(); len(counts) != maxAddresses || counts[known] != 2 {
		t.Errorf("%d addresses, %d", len(counts), counts[known])
	}
}

// On the loopback interface every packet passes twice and counts once.
func TestInterface(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("capturing packets needs root")
	}
	l, err := net.Listen("tcp", "127.0.0.77:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r := Interface(ctx, "lo")
	await(t, r, func(_ map[netip.Addr]uint64, err error) bool { return err == nil })
	for range 3 {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_ = c.Close()
	}
	to := netip.MustParseAddr("127.0.0.77")
	await(t, r, func(c map[netip.Addr]uint64, _ error) bool { return c[to] >= 3 })
	if counts, err := r.Counts(); err != nil || counts[to] != 3 {
		t.Errorf("%v, %v", counts, err)
	}
	begin := time.Now()
	_ = r.Close()
	if took := time.Since(begin); took > 2*time.Second {
		t.Errorf("closing took %v", took)
	}
	gone := Interface(ctx, "nosuchif0")
	await(t, gone, func(_ map[netip.Addr]uint64, err error) bool {
		return err != nil && strings.Contains(err.Error(), "nosuchif0") || err != nil && strings.Contains(err.Error(), "no such")
	})
	_ = gone.Close()
}

func FuzzOpened(f *testing.F) {
	f.Add(packet(f, vip, false, syn))
	f.Add(packet(f, vip6, true, syn))
	d, err := newDecoder(layers.LinkTypeEthernet)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		if to, ok := d.opened(p); ok && !to.IsValid() {
			t.Error("an access to nowhere")
		}
	})
}
