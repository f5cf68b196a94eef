package lab

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"golang.org/x/sys/unix"
)

// watchRound is the time between two questions for every VIP.
const watchRound = 200 * time.Millisecond

// Double is a time during which two servers answered for one VIP, in questions
// that followed each other. A single question that two answered may have been
// asked while the VIP moved, and proves nothing.
type Double struct {
	VIP         netip.Addr
	MACs        []string
	First, Last time.Time
}

// For is how long both answered, at least.
func (d Double) For() time.Duration { return d.Last.Sub(d.First) }

// Seen is what a watcher of the switch saw.
type Seen struct {
	Rounds  int
	Once    int // single questions that two answered
	Doubles []Double
	// Gaps are the longest times between two pings of the management server, by the server pinged.
	Gaps map[string]time.Duration
}

// Watch asks by ARP, on the switch, who holds each VIP, and watches what else
// passes there, until ctx ends. It runs in the switch's network namespace.
func Watch(ctx context.Context) (Seen, error) {
	ifi, err := net.InterfaceByName("sw0")
	if err != nil {
		return Seen{}, fmt.Errorf("cannot watch the switch: %v", err)
	}
	fd, err := packetSocket(unix.ETH_P_ALL)
	if err != nil {
		return Seen{}, fmt.Errorf("cannot watch the switch: %v", err)
	}
	defer unix.Close(fd)
	w := newWatcher()
	var reading sync.WaitGroup
	reading.Go(func() { w.read(ctx, fd, ifi.Index) })
	err = w.ask(ctx, func(frame []byte) error {
		return unix.Sendto(fd, frame, 0, &unix.SockaddrLinklayer{Ifindex: ifi.Index})
	}, ifi.HardwareAddr)
	reading.Wait()
	w.endRound(time.Now())
	for _, vip := range vips() {
		w.close(vip)
	}
	return w.seen, err
}

type watcher struct {
	mu      sync.Mutex
	seen    Seen
	answers map[netip.Addr]map[string]bool // who answered in this round
	before  map[netip.Addr][]string        // where two did in the round before
	open    map[netip.Addr]*Double
	pinged  map[netip.Addr]time.Time
}

func newWatcher() *watcher {
	return &watcher{
		seen:    Seen{Gaps: map[string]time.Duration{}},
		answers: map[netip.Addr]map[string]bool{}, before: map[netip.Addr][]string{},
		open: map[netip.Addr]*Double{}, pinged: map[netip.Addr]time.Time{},
	}
}

// vips are the six of the paper's system.
func vips() (all []netip.Addr) {
	for _, s := range services {
		for _, home := range s.homes {
			all = append(all, address(100+home))
		}
	}
	return all
}

// ask asks for every VIP again and again.
func (w *watcher) ask(ctx context.Context, send func([]byte) error, from net.HardwareAddr) error {
	tick := time.NewTicker(watchRound)
	defer tick.Stop()
	for {
		for _, vip := range vips() {
			if err := send(question(from, vip)); err != nil {
				return fmt.Errorf("cannot ask for %v: %v", vip, err)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case now := <-tick.C:
			w.endRound(now)
		}
	}
}

// question is an ARP probe (RFC 5227): it names no address of ours.
func question(from net.HardwareAddr, ip netip.Addr) []byte {
	b := gopacket.NewSerializeBuffer()
	all := net.HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	target := ip.As4()
	_ = gopacket.SerializeLayers(b, gopacket.SerializeOptions{}, // fixed layers of fixed lengths: it cannot fail
		&layers.Ethernet{SrcMAC: from, DstMAC: all, EthernetType: layers.EthernetTypeARP},
		&layers.ARP{
			AddrType: layers.LinkTypeEthernet, Protocol: layers.EthernetTypeIPv4, HwAddressSize: 6, ProtAddressSize: 4,
			Operation: layers.ARPRequest, SourceHwAddress: from, SourceProtAddress: make([]byte, 4),
			DstHwAddress: make([]byte, 6), DstProtAddress: target[:],
		})
	return b.Bytes()
}

// read notes what passes through the switch until ctx ends. The other interfaces
// of its namespace are the switch's ports, which have all of it once more.
func (w *watcher) read(ctx context.Context, fd, ifi int) {
	frame := make([]byte, 2048)
	for ctx.Err() == nil {
		n, from, err := unix.Recvfrom(fd, frame, 0)
		if ll, ok := from.(*unix.SockaddrLinklayer); err != nil || !ok || ll.Ifindex != ifi || ll.Pkttype == unix.PACKET_OUTGOING {
			continue
		}
		w.note(gopacket.NewPacket(frame[:n], layers.LayerTypeEthernet, gopacket.DecodeOptions{Lazy: true, NoCopy: true}), time.Now())
	}
}

func (w *watcher) note(p gopacket.Packet, at time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if a, ok := p.Layer(layers.LayerTypeARP).(*layers.ARP); ok {
		w.claim(a)
		return
	}
	icmp, ok := p.Layer(layers.LayerTypeICMPv4).(*layers.ICMPv4)
	ip, isIP := p.Layer(layers.LayerTypeIPv4).(*layers.IPv4)
	if !ok || !isIP || icmp.TypeCode.Type() != layers.ICMPv4TypeEchoRequest || !ip.SrcIP.Equal(net.IP(address(200).AsSlice())) {
		return
	}
	to, _ := netip.AddrFromSlice(ip.DstIP.To4())
	if last, ok := w.pinged[to]; ok {
		w.seen.Gaps[to.String()] = max(w.seen.Gaps[to.String()], at.Sub(last))
	}
	w.pinged[to] = at
}

// claim notes whoever says that a VIP is his, asked or not.
func (w *watcher) claim(a *layers.ARP) {
	ip, ok := netip.AddrFromSlice(a.SourceProtAddress)
	if !ok || !slices.Contains(vips(), ip) {
		return
	}
	if w.answers[ip] == nil {
		w.answers[ip] = map[string]bool{}
	}
	w.answers[ip][net.HardwareAddr(a.SourceHwAddress).String()] = true
}

// endRound judges the answers to the last question.
func (w *watcher) endRound(now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen.Rounds++
	for _, vip := range vips() {
		who := slices.Sorted(maps.Keys(w.answers[vip]))
		delete(w.answers, vip)
		if len(who) < 2 {
			delete(w.before, vip)
			w.close(vip)
			continue
		}
		w.seen.Once++
		if slices.Equal(w.before[vip], who) {
			if w.open[vip] == nil {
				w.open[vip] = &Double{VIP: vip, MACs: who, First: now.Add(-watchRound)}
			}
			w.open[vip].Last = now
		}
		w.before[vip] = who
	}
}

func (w *watcher) close(vip netip.Addr) {
	if d := w.open[vip]; d != nil {
		w.seen.Doubles = append(w.seen.Doubles, *d)
		delete(w.open, vip)
	}
}
