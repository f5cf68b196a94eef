package access

import (
	"bytes"
	"context"
	"encoding/binary"
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

// extended is a SYN over IPv6 behind extension headers of these types.
func extended(t testing.TB, types ...byte) []byte {
	t.Helper()
	const nextHeader, header = 14 + 6, 14 + 40
	p := packet(t, vip6, false, syn)
	before := bytes.Clone(p[:header])
	var headers []byte
	at := &before[nextHeader]
	for _, kind := range types {
		one := []byte{*at, 0, 1, 4, 0, 0, 0, 0} // padding; as a fragment's its offset is not 0
		*at = kind
		headers = append(headers, one...)
		at = &headers[len(headers)-len(one)]
	}
	before[14+5] += byte(len(headers))
	return append(append(before, headers...), p[header:]...)
}

func syn(p *layers.TCP)     { p.SYN = true }
func another(p *layers.TCP) { p.SYN, p.Seq = true, 7 }
func options(p *layers.TCP) {
	p.SYN = true
	p.Options = []layers.TCPOption{{OptionType: layers.TCPOptionKindMSS, OptionLength: 4, OptionData: []byte{5, 180}}}
}
func synAck(p *layers.TCP) { p.SYN, p.ACK = true, true }
func ack(p *layers.TCP)    { p.ACK = true }

func TestOpened(t *testing.T) {
	d, err := newDecoder(layers.LinkTypeEthernet)
	if err != nil {
		t.Fatal(err)
	}
	fragment := packet(t, vip, false, syn)
	fragment[21] = 1 // fragment offset
	once := packet(t, vip, true, syn)
	twice := append(append(bytes.Clone(once[:12]), 0x88, 0xa8, 0, 9), once[12:]...)
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
		{"SYN in two VLANs", twice, "172.21.14.101"},
		{"options cut off", packet(t, vip, false, options)[:14+20+segmentHead], "172.21.14.101"},
		{"flags cut off", packet(t, vip, false, options)[:14+20+segmentHead-1], ""},
		{"cut off", packet(t, vip, false, syn)[:40], ""},
		{"SYN behind extension headers", extended(t, 60, 43), "fd14::101"},
		{"SYN behind hop-by-hop options", extended(t, 0), "fd14::101"},
		{"not the first fragment", extended(t, 44), ""},
		{"nothing", nil, ""},
	} {
		o, ok := d.opened(c.p)
		if ok != (c.to != "") || (ok && o.to != netip.MustParseAddr(c.to)) {
			t.Errorf("%s: %+v, %v", c.name, o, ok)
		}
	}
}

// The filter in the kernel and the decoder agree.
func TestFilterAgreesWithDecoder(t *testing.T) {
	d, err := newDecoder(layers.LinkTypeEthernet)
	if err != nil {
		t.Fatal(err)
	}
	vm, err := bpf.NewVM(synFilter())
	if err != nil {
		t.Fatal(err)
	}
	fragment := packet(t, vip, false, syn)
	fragment[21] = 1
	for i, p := range [][]byte{
		packet(t, vip, false, syn), packet(t, vip6, false, syn), packet(t, vip, false, synAck), packet(t, vip6, false, ack), fragment,
		packet(t, vip, true, syn), packet(t, vip6, true, syn), packet(t, vip, true, ack), extended(t, 0), extended(t, 43), extended(t, 60, 43),
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
}

// pcapFile is a capture of packets as tcpdump -w writes it.
func pcapFile(t testing.TB, link layers.LinkType, packets ...[]byte) string {
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
		packet(t, vip, false, syn), packet(t, vip, false, synAck), packet(t, vip, false, another), packet(t, vip6, false, syn),
		packet(t, vip, true, syn)) // the first one again, on another interface
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

// Streams of machines of the other byte order and with nanoseconds.
func TestPcapKinds(t *testing.T) {
	p := packet(t, vip, false, syn)
	for name, c := range map[string]struct {
		magic uint32
		order binary.AppendByteOrder
	}{
		"little":             {0xa1b2c3d4, binary.LittleEndian},
		"big":                {0xa1b2c3d4, binary.BigEndian},
		"little nanoseconds": {0xa1b23c4d, binary.LittleEndian},
		"big nanoseconds":    {0xa1b23c4d, binary.BigEndian},
	} {
		var b []byte
		for _, n := range []uint32{c.magic, 0, 0, 0, 256, 1} {
			b = c.order.AppendUint32(b, n)
		}
		copy(b[4:], c.order.AppendUint16(c.order.AppendUint16(nil, 2), 4)) // version
		for _, n := range []uint32{1, 999_999, uint32(len(p)), 1500} {     // cut off on the way
			b = c.order.AppendUint32(b, n)
		}
		path := filepath.Join(t.TempDir(), "capture")
		if err := os.WriteFile(path, append(b, p...), 0o600); err != nil {
			t.Fatal(err)
		}
		r := Command(t.Context(), []string{"sh", "-c", `cat "$0"; exec sleep 60`, path})
		await(t, r, func(c map[netip.Addr]uint64, err error) bool {
			return err == nil && c[netip.MustParseAddr("172.21.14.101")] == 1
		})
		if err := r.Close(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What is no pcap stream is told, not waited for; its command is ended.
func TestCommandGarbage(t *testing.T) {
	file := pcapFile(t, layers.LinkTypeEthernet, packet(t, vip, false, syn))
	for name, c := range map[string]struct{ script, want string }{
		"words":             {`echo tcpdump: no such device; exec sleep 60`, "magic"},
		"a stream of zeros": {`exec cat /dev/zero`, "magic"},
		"rubbish behind":    {`cat "$0"; exec cat /dev/urandom`, ""},
		"nothing":           {`exec true`, "EOF"},
		"no such command":   {`exec /nosuchcommand`, "nosuchcommand"},
		"half a header":     {`head -c 12 "$0"`, "EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			r := Command(t.Context(), []string{"sh", "-c", c.script, file})
			await(t, r, func(_ map[netip.Addr]uint64, err error) bool {
				return err != nil && !strings.Contains(err.Error(), errStarting.Error()) && strings.Contains(err.Error(), c.want)
			})
			began := time.Now()
			if _ = r.Close(); time.Since(began) > 5*time.Second {
				t.Errorf("closing took %v", time.Since(began))
			}
		})
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

// Whatever the decoder counts must have passed the kernel's filter.
func FuzzOpened(f *testing.F) {
	f.Add(packet(f, vip, false, syn))
	f.Add(packet(f, vip6, true, syn))
	f.Add(extended(f, 0, 60))
	d, err := newDecoder(layers.LinkTypeEthernet)
	if err != nil {
		f.Fatal(err)
	}
	vm, err := bpf.NewVM(synFilter())
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		o, ok := d.opened(p)
		if !ok {
			return
		}
		if !o.to.IsValid() || !o.from.IsValid() {
			t.Error("an access from or to nowhere")
		}
		n, err := vm.Run(p)
		if layersOf(d, layers.LayerTypeDot1Q) > 1 || layersOf(d, layers.LayerTypeIPv4)+layersOf(d, layers.LayerTypeIPv6) > 1 {
			return // tags in tags and tunnels: only a command's stream may have them
		}
		if n == 0 || err != nil {
			t.Errorf("the filter drops %x: %v", p, err)
		}
	})
}

func layersOf(d *decoder, kind gopacket.LayerType) int {
	n := 0
	for _, l := range d.decoded {
		if l == kind {
			n++
		}
	}
	return n
}

// A segment that is seen again is no other access; what was seen long ago is
// forgotten.
func TestAgain(t *testing.T) {
	var r recent
	o := opening{to: netip.MustParseAddr("172.21.14.101"), toPort: 80}
	for i := range 3 * memory {
		o.sequence = uint32(i)
		if r.again(o) || !r.again(o) {
			t.Fatalf("opening %d", i)
		}
	}
	o.sequence = 2 * memory
	if !r.again(o) {
		t.Error("one was forgotten too early")
	}
	o.sequence--
	if r.again(o) || len(r.known) != memory || len(r.ring) != memory {
		t.Errorf("%d remembered, %d in the ring", len(r.known), len(r.ring))
	}
}

// A gap between two looks is told once.
func TestGap(t *testing.T) {
	c := Counter{seen: map[netip.Addr]uint64{}}
	for i, s := range []struct {
		set  error
		told bool
	}{{nil, false}, {errStarting, true}, {nil, false}} {
		c.set(s.set)
		if _, err := c.Counts(); (err != nil) != s.told {
			t.Errorf("%d: %v", i, err)
		}
	}
	c.set(errStarting)
	c.set(nil)
	_, first := c.Counts()
	_, second := c.Counts()
	if first == nil || second != nil {
		t.Errorf("%v, then %v", first, second)
	}
}
