// Package wake sends the magic packets that wake real servers (paper, section 2.7).
package wake

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"

	"github.com/mdlayher/wol"

	"pss-msbs/pkg/cluster"
)

// broadcast is where unprivileged magic packets go; port 9 is discard.
const broadcast = "255.255.255.255:9"

// Send sends one magic packet for mac: as an Ethernet frame on the interface
// that has the address from, or on every one where from is not valid. Without
// the right to send frames it goes out as a broadcast UDP packet.
func Send(from netip.Addr, mac cluster.MAC) error {
	all, err := net.Interfaces()
	if err != nil {
		return fmt.Errorf("cannot wake %v: %v", mac, err)
	}
	sent, failed := 0, errors.New("no network interface that could carry it")
	for _, ifi := range all {
		if !carries(ifi, from) {
			continue
		}
		if err := sendFrame(&ifi, mac); err != nil {
			failed = err
			continue
		}
		sent++
	}
	if sent == 0 && errors.Is(failed, os.ErrPermission) {
		failed = sendUDP(mac)
	}
	if sent == 0 && failed != nil {
		return fmt.Errorf("cannot wake %v: %v", mac, failed)
	}
	return nil
}

// carries reports whether a magic packet from the address from goes out on ifi.
func carries(ifi net.Interface, from netip.Addr) bool {
	const want = net.FlagUp | net.FlagBroadcast
	if ifi.Flags&want != want || len(ifi.HardwareAddr) != 6 {
		return false
	}
	if !from.IsValid() {
		return true
	}
	addrs, err := ifi.Addrs()
	if err != nil {
		return false // it went away just now
	}
	for _, a := range addrs {
		if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr() == from {
			return true
		}
	}
	return false
}

func sendFrame(ifi *net.Interface, mac cluster.MAC) error {
	c, err := wol.NewRawClient(ifi)
	if err != nil {
		return err
	}
	defer c.Close()
	return c.Wake(mac[:])
}

func sendUDP(mac cluster.MAC) error {
	c, err := wol.NewClient()
	if err != nil {
		return err
	}
	defer c.Close()
	return c.Wake(broadcast, mac[:])
}
