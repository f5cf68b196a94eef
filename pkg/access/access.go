// Package access counts client accesses: TCP connections opened to virtual
// addresses (paper, section 2.6), seen on a local interface or in the pcap
// stream of a command.
package access

import (
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
	err  error // why counting ended
}

// source is where packets come from.
type source interface {
	ZeroCopyReadPacketData() ([]byte, gopacket.CaptureInfo, error)
}

// Counts are the SYNs seen to each address since the counter began, all ports
// together; an error where nothing counts any more.
func (c *Counter) Counts() (map[netip.Addr]uint64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return nil, fmt.Errorf("cannot count accesses: %v", c.err)
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
	c.err = err
}

// decoder reads as much of a packet as an access needs; its layers are reused.
type decoder struct {
	eth     layers.Ethernet
	vlan    layers.Dot1Q
	sll     layers.LinuxSLL
	ip4     layers.IPv4
	ip6     layers.IPv6
	tcp     layers.TCP
	parser  *gopacket.DecodingLayerParser
	decoded []gopacket.LayerType
}

func newDecoder(link layers.LinkType) (*decoder, error) {
	d := &decoder{}
	var first gopacket.LayerType
	switch link {
	case layers.LinkTypeEthernet:
		first = layers.LayerTypeEthernet
	case layers.LinkTypeLinuxSLL: // tcpdump -i any
		first = layers.LayerTypeLinuxSLL
	case layers.LinkTypeRaw, layers.LinkTypeIPv4:
		first = layers.LayerTypeIPv4
	default:
		return nil, fmt.Errorf("link type %v is not known", link)
	}
	d.parser = gopacket.NewDecodingLayerParser(first, &d.eth, &d.vlan, &d.sll, &d.ip4, &d.ip6, &d.tcp)
	d.parser.IgnoreUnsupported = true
	return d, nil
}

// opened is the address to which packet opens a TCP connection.
func (d *decoder) opened(packet []byte) (netip.Addr, bool) {
	// A decoding error is a cut-off payload; what was decoded before it counts.
	_ = d.parser.DecodeLayers(packet, &d.decoded)
	var to netip.Addr
	for _, l := range d.decoded {
		switch l {
		case layers.LayerTypeIPv4:
			to, _ = netip.AddrFromSlice(d.ip4.DstIP)
		case layers.LayerTypeIPv6:
			to, _ = netip.AddrFromSlice(d.ip6.DstIP)
		case layers.LayerTypeTCP:
			return to.Unmap(), to.IsValid() && d.tcp.SYN && !d.tcp.ACK
		}
	}
	return netip.Addr{}, false
}

// count reads packets until the source ends or ctx does.
func (c *Counter) count(ctx context.Context, s source, link layers.LinkType) error {
	d, err := newDecoder(link)
	if err != nil {
		return err
	}
	for ctx.Err() == nil {
		packet, _, err := s.ZeroCopyReadPacketData()
		if err != nil {
			return err
		}
		if to, ok := d.opened(packet); ok {
			c.add(to)
		}
	}
	return ctx.Err()
}
