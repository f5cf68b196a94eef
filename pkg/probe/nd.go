package probe

import (
	"net"
	"net/netip"
	"os"
	"time"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv6"

	"pss-msbs/pkg/cluster"
)

// nd asks by neighbour solicitation (RFC 4861).
type nd struct {
	conn *icmp.PacketConn
	ifi  *net.Interface
	ip   netip.Addr
}

// The options that carry an Ethernet address.
const (
	sourceLinkLayer = 1
	targetLinkLayer = 2
	hopLimit        = 255 // of neighbour discovery, so that it cannot come from afar
)

func openND(ifi *net.Interface, local, ip netip.Addr) (asker, error) {
	if local.IsLinkLocalUnicast() {
		local = local.WithZone(ifi.Name)
	}
	conn, err := icmp.ListenPacket("ip6:ipv6-icmp", local.String())
	if err != nil {
		return nil, err
	}
	p := conn.IPv6PacketConn()
	var filter ipv6.ICMPFilter
	filter.SetAll(true)
	filter.Accept(ipv6.ICMPTypeNeighborAdvertisement)
	for _, set := range []func() error{
		func() error { return p.SetMulticastHopLimit(hopLimit) },
		func() error { return p.SetMulticastInterface(ifi) },
		func() error { return p.SetControlMessage(ipv6.FlagHopLimit, true) },
		func() error { return p.SetICMPFilter(&filter) },
	} {
		if err := set(); err != nil {
			_ = conn.Close()
			return nil, err
		}
	}
	return &nd{conn: conn, ifi: ifi, ip: ip.WithZone("")}, nil
}

// solicitation is the body of the question who has ip.
func solicitation(mac net.HardwareAddr, ip netip.Addr) []byte {
	b := append(make([]byte, 4), ip.AsSlice()...)
	return append(append(b, sourceLinkLayer, 1), mac...)
}

// advertiser is who says in the body of a neighbour advertisement that it has ip.
func advertiser(body []byte, ip netip.Addr) (cluster.MAC, bool) {
	if len(body) < 20 || netip.AddrFrom16([16]byte(body[4:20])) != ip {
		return cluster.MAC{}, false
	}
	for o := body[20:]; len(o) >= 8; {
		size := 8 * int(o[1])
		if size == 0 || size > len(o) {
			break
		}
		if o[0] == targetLinkLayer {
			return cluster.MAC(o[2:8]), true
		}
		o = o[size:]
	}
	return cluster.MAC{}, false
}

func (n *nd) ask() error {
	m := icmp.Message{Type: ipv6.ICMPTypeNeighborSolicitation, Body: &icmp.RawBody{Data: solicitation(n.ifi.HardwareAddr, n.ip)}}
	b, err := m.Marshal(nil) // the kernel fills in the checksum
	if err != nil {
		return err
	}
	group := netip.MustParseAddr("ff02::1:ff00:0").As16() // solicited-node multicast
	last := n.ip.As16()
	copy(group[13:], last[13:])
	_, err = n.conn.WriteTo(b, &net.IPAddr{IP: group[:], Zone: n.ifi.Name})
	return err
}

func (n *nd) answer(t time.Time) (cluster.MAC, error) {
	buf := make([]byte, 512)
	for {
		if err := n.conn.SetReadDeadline(t); err != nil {
			return cluster.MAC{}, err
		}
		size, control, _, err := n.conn.IPv6PacketConn().ReadFrom(buf)
		if os.IsTimeout(err) {
			return cluster.MAC{}, errNobody
		}
		if err != nil {
			return cluster.MAC{}, err
		}
		if size < 4 || control == nil || control.HopLimit != hopLimit || buf[0] != byte(ipv6.ICMPTypeNeighborAdvertisement) {
			continue
		}
		if mac, ok := advertiser(buf[4:size], n.ip); ok {
			return mac, nil
		}
	}
}

// Close closes the socket.
func (n *nd) Close() error { return n.conn.Close() }
