package probe

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"pss-msbs/pkg/cluster"
)

// arp asks over an AF_PACKET socket of its own (RFC 826).
type arp struct {
	fd      int
	ifi     *net.Interface
	request []byte
	ip      netip.Addr
}

// The ARP packet of IPv4 over Ethernet.
const (
	arpSize    = 28
	arpRequest = 1
	arpReply   = 2
)

func openARP(ifi *net.Interface, local, ip netip.Addr) (asker, error) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	// Bound only after it is made for no protocol: it hears this interface alone.
	if err := unix.Bind(fd, linkAddr(ifi, nil)); err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	return &arp{fd: fd, ifi: ifi, ip: ip, request: arpRequestFor(ifi.HardwareAddr, local, ip)}, nil
}

func linkAddr(ifi *net.Interface, to net.HardwareAddr) *unix.SockaddrLinklayer {
	a := &unix.SockaddrLinklayer{Protocol: networkOrder(unix.ETH_P_ARP), Ifindex: ifi.Index, Halen: uint8(len(to))}
	copy(a.Addr[:], to)
	return a
}

// networkOrder is htons.
func networkOrder(v uint16) uint16 {
	return binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, v))
}

// arpRequestFor is the packet that asks, from mac and local, who has ip.
func arpRequestFor(mac net.HardwareAddr, local, ip netip.Addr) []byte {
	b := make([]byte, 8, arpSize)
	binary.BigEndian.PutUint16(b[0:], 1) // Ethernet
	binary.BigEndian.PutUint16(b[2:], unix.ETH_P_IP)
	b[4], b[5] = 6, 4
	binary.BigEndian.PutUint16(b[6:], arpRequest)
	b = append(append(b, mac...), local.AsSlice()...)
	return append(append(b, make([]byte, 6)...), ip.AsSlice()...)
}

// arpSender is who says in packet b that it has ip: in an answer, or in a
// gratuitous request.
func arpSender(b []byte, ip netip.Addr) (cluster.MAC, bool) {
	if len(b) < arpSize || binary.BigEndian.Uint16(b[0:]) != 1 || binary.BigEndian.Uint16(b[2:]) != unix.ETH_P_IP || b[4] != 6 || b[5] != 4 {
		return cluster.MAC{}, false
	}
	op := binary.BigEndian.Uint16(b[6:])
	sender := netip.AddrFrom4([4]byte(b[14:18]))
	return cluster.MAC(b[8:14]), (op == arpReply || op == arpRequest) && sender == ip
}

func (a *arp) ask() error {
	everybody := net.HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	return unix.Sendto(a.fd, a.request, 0, linkAddr(a.ifi, everybody))
}

func (a *arp) answer(t time.Time) (cluster.MAC, error) {
	buf := make([]byte, 128)
	for {
		left := time.Until(t)
		if left <= 0 {
			return cluster.MAC{}, errNobody
		}
		// A millisecond more than is left: poll counts in whole ones.
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(a.fd), Events: unix.POLLIN}}, int(left.Milliseconds())+1)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return cluster.MAC{}, err
		}
		if n <= 0 {
			continue
		}
		size, _, err := unix.Recvfrom(a.fd, buf, 0)
		if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return cluster.MAC{}, err
		}
		if mac, ok := arpSender(buf[:size], a.ip); ok {
			return mac, nil
		}
	}
}

// Close closes the socket.
func (a *arp) Close() error { return unix.Close(a.fd) }
