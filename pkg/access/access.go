// Package access counts client accesses: TCP connections opened to virtual
// addresses (paper, section 2.6), seen on a local interface or in the pcap
// stream of a command.
package access

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/netip"
	"sync"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
)

// maxAddresses bounds the addresses counted: whoever floods the network with
// packets to invented ones cannot fill the memory.
const maxAddresses = 4096

// Counter counts the SYNs to each address.
type Counter struct {
	mu   sync.Mutex
	seen map[netip.Addr]uint64
	err  error // why nothing is counted
	gap  error // why nothing was counted for a while that nobody has heard of yet
}

// source is where packets come from.
type source interface {
	ZeroCopyReadPacketData() ([]byte, gopacket.CaptureInfo, error)
}

// Counts are the SYNs seen to each address since the counter began, all ports
// together; an error where nothing counts any more, or, once, where nothing did
// for a while since the last call.
func (c *Counter) Counts() (map[netip.Addr]uint64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	why := cmp.Or(c.err, c.gap)
	c.gap = nil
	if why != nil {
		return nil, fmt.Errorf("cannot count accesses: %v", why)
	}
	return maps.Clone(c.seen), nil
}

func (c *Counter) add(a netip.Addr) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, known := c.seen[a]; known || len(c.seen) < maxAddresses {
		c.seen[a]++
	}
}

// set records that counting goes on (nil), or why it does not.
func (c *Counter) set(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err = err; err != nil {
		c.gap = err
	}
}

// linkTypeSLL2 is what tcpdump of today writes for -i any (LINKTYPE_LINUX_SLL2).
const (
	linkTypeSLL2 = layers.LinkType(276 & 0xff) // gopacket keeps an octet of it
	sll2Header   = 20
)

// decoder reads as much of a packet as an access needs; its layers are reused.
type decoder struct {
	link    layers.LinkType
	eth     layers.Ethernet
	vlan    layers.Dot1Q
	sll     layers.LinuxSLL
	ip4     layers.IPv4
	ip6     layers.IPv6
	ext     extension
	tcp     segment
	framed  *gopacket.DecodingLayerParser // from the link layer on
	v4, v6  *gopacket.DecodingLayerParser // from the network layer on
	decoded []gopacket.LayerType
}

func newDecoder(link layers.LinkType) (*decoder, error) {
	d := &decoder{link: link}
	parser := func(first gopacket.LayerType) *gopacket.DecodingLayerParser {
		p := gopacket.NewDecodingLayerParser(first, &d.eth, &d.vlan, &d.sll, &d.ip4, &d.ip6, &d.ext, &d.tcp)
		p.IgnoreUnsupported = true
		return p
	}
	d.v4, d.v6 = parser(layers.LayerTypeIPv4), parser(layers.LayerTypeIPv6)
	switch link {
	case layers.LinkTypeEthernet:
		d.framed = parser(layers.LayerTypeEthernet)
	case layers.LinkTypeLinuxSLL:
		d.framed = parser(layers.LayerTypeLinuxSLL)
	case linkTypeSLL2, layers.LinkTypeRaw, layers.LinkTypeIPv4, layers.LinkTypeIPv6:
	default:
		return nil, fmt.Errorf("link type %v is not known", link)
	}
	return d, nil
}

// parser is the one for packet, and the part of it that it takes.
func (d *decoder) parser(packet []byte) (*gopacket.DecodingLayerParser, []byte) {
	if d.framed != nil {
		return d.framed, packet
	}
	if d.link == linkTypeSLL2 {
		packet = packet[min(sll2Header, len(packet)):]
	}
	if len(packet) > 0 && packet[0]>>4 == 6 {
		return d.v6, packet
	}
	return d.v4, packet
}

// opened is the TCP connection that packet opens.
func (d *decoder) opened(packet []byte) (opening, bool) {
	// A decoding error is a cut-off payload; what was decoded before it counts.
	parser, packet := d.parser(packet)
	_ = parser.DecodeLayers(packet, &d.decoded)
	var from, to netip.Addr
	for _, l := range d.decoded {
		switch l {
		case layers.LayerTypeIPv4:
			from, _ = netip.AddrFromSlice(d.ip4.SrcIP)
			to, _ = netip.AddrFromSlice(d.ip4.DstIP)
		case layers.LayerTypeIPv6:
			from, _ = netip.AddrFromSlice(d.ip6.SrcIP)
			to, _ = netip.AddrFromSlice(d.ip6.DstIP)
		case layers.LayerTypeTCP:
			o := opening{from.Unmap(), to.Unmap(), d.tcp.from, d.tcp.to, d.tcp.sequence}
			return o, to.IsValid() && d.tcp.flags&(flagSYN|flagACK) == flagSYN
		}
	}
	return opening{}, false
}

// count reads packets until the source ends or ctx does.
func (c *Counter) count(ctx context.Context, s source, link layers.LinkType) error {
	d, err := newDecoder(link)
	if err != nil {
		return err
	}
	var known recent
	for ctx.Err() == nil {
		packet, _, err := s.ZeroCopyReadPacketData()
		if err != nil {
			return err
		}
		if o, ok := d.opened(packet); ok && !known.again(o) {
			c.add(o.to)
		}
	}
	return ctx.Err()
}
