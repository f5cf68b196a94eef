package wake

import (
	"net"
	"net/netip"
	"testing"
)

func TestCarries(t *testing.T) {
	up := net.Interface{Name: "nosuchif0", Flags: net.FlagUp | net.FlagBroadcast, HardwareAddr: net.HardwareAddr{2, 0, 0, 0, 0, 1}}
	down, point, odd := up, up, up
	down.Flags = net.FlagBroadcast
	point.Flags = net.FlagUp | net.FlagPointToPoint
	odd.HardwareAddr = nil
	anywhere := netip.Addr{}
	for _, c := range []struct {
		name string
		ifi  net.Interface
		from netip.Addr
		want bool
	}{
		{"up", up, anywhere, true},
		{"not the named address", up, netip.MustParseAddr("192.0.2.1"), false},
		{"down", down, anywhere, false},
		{"point to point", point, anywhere, false},
		{"no Ethernet", odd, anywhere, false},
	} {
		if got := carries(c.ifi, c.from); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

func TestSendFromNowhere(t *testing.T) {
	if err := Send(netip.MustParseAddr("192.0.2.1"), [6]byte{2, 0, 0, 0, 0, 1}); err == nil {
		t.Error("a magic packet left from an address that nobody has")
	}
}
