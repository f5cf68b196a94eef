package access

import (
	"encoding/binary"
	"errors"
	"net/netip"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
)

// The TCP flags that tell who opens a connection.
const (
	flagSYN = 0x02
	flagACK = 0x10
)

// segmentHead is how much of a TCP header is read, up to the flags.
const segmentHead = 14

// segment is the beginning of a TCP header. Gopacket's own wants the options
// too, which a capture of short lengths (tcpdump -s 64) has cut off.
type segment struct {
	from, to uint16
	sequence uint32
	flags    byte
}

var errCut = errors.New("a TCP header is cut off")

// DecodeFromBytes implements gopacket.DecodingLayer.
func (s *segment) DecodeFromBytes(b []byte, _ gopacket.DecodeFeedback) error {
	if len(b) < segmentHead {
		return errCut
	}
	s.from, s.to = binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:])
	s.sequence, s.flags = binary.BigEndian.Uint32(b[4:]), b[13]
	return nil
}

// CanDecode implements gopacket.DecodingLayer.
func (*segment) CanDecode() gopacket.LayerClass { return layers.LayerTypeTCP }

// NextLayerType implements gopacket.DecodingLayer: nothing behind it matters.
func (*segment) NextLayerType() gopacket.LayerType { return gopacket.LayerTypeZero }

// LayerPayload implements gopacket.DecodingLayer.
func (*segment) LayerPayload() []byte { return nil }

// extension is an IPv6 extension header that may stand before TCP. Nobody
// opens a connection in fragments.
type extension struct{ layers.IPv6ExtensionSkipper }

// CanDecode implements gopacket.DecodingLayer.
func (*extension) CanDecode() gopacket.LayerClass {
	return gopacket.NewLayerClass([]gopacket.LayerType{layers.LayerTypeIPv6Routing, layers.LayerTypeIPv6Destination})
}

// opening is what the first segment of a TCP connection says.
type opening struct {
	from, to         netip.Addr
	fromPort, toPort uint16
	sequence         uint32
}

// memory is how many openings are remembered: at 100 a second for longer than
// most clients go on trying.
const memory = 4096

// recent remembers openings: one seen again, because its client got no answer
// and sent it once more, or because it passes several interfaces, is one access.
type recent struct {
	known map[opening]struct{}
	ring  []opening
	next  int
}

// again reports whether o was seen lately, and remembers it.
func (r *recent) again(o opening) bool {
	if _, known := r.known[o]; known {
		return true
	}
	if r.known == nil {
		r.known = make(map[opening]struct{}, memory)
	}
	if len(r.ring) < memory {
		r.ring = append(r.ring, o)
	} else {
		delete(r.known, r.ring[r.next])
		r.ring[r.next] = o
		r.next = (r.next + 1) % memory
	}
	r.known[o] = struct{}{}
	return false
}
