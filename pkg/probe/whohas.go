package probe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"pss-msbs/pkg/cluster"
)

// The times of a question by ARP or ND. Two holders answer within moments of
// each other, so a first answer is followed by a short wait for a second one.
const (
	askEvery  = 150 * time.Millisecond // the question is repeated until somebody answers
	askWindow = 600 * time.Millisecond // no answer for so long: nobody has it
	askMore   = 100 * time.Millisecond // after the first answer
)

// asker is a socket that can ask who has an address and hear answers.
type asker interface {
	ask() error
	// answer returns the MAC in the next answer for the address, before t.
	answer(t time.Time) (cluster.MAC, error)
	Close() error
}

var errNobody = errors.New("no answer in time") // of asker.answer

// WhoHas asks by ARP (IPv4) or ND (IPv6) on the network of ip and returns the
// MACs of all that answer; none is no error. It needs root, and takes up to
// 600 ms or until ctx's deadline, whichever is sooner.
func (Prober) WhoHas(ctx context.Context, ip netip.Addr) ([]cluster.MAC, error) {
	ifi, local, err := onLink(ip)
	if err != nil {
		return nil, err
	}
	open := openARP
	if ip.Is6() {
		open = openND
	}
	a, err := open(ifi, local, ip)
	if err != nil {
		return nil, fmt.Errorf("cannot ask who has %v: %v", ip, err)
	}
	defer a.Close()
	found, err := collect(ctx, a)
	if err != nil {
		return nil, fmt.Errorf("cannot ask who has %v: %v", ip, err)
	}
	return found, nil
}

// collect asks until somebody answers, then listens a little for others.
func collect(ctx context.Context, a asker) ([]cluster.MAC, error) {
	end := time.Now().Add(min(askWindow, timeLeft(ctx, askWindow)))
	var found []cluster.MAC
	for len(found) == 0 && time.Now().Before(end) && ctx.Err() == nil {
		if err := a.ask(); err != nil {
			return nil, err
		}
		mac, err := a.answer(earlier(end, time.Now().Add(askEvery)))
		if err == nil {
			found = append(found, mac)
		} else if !errors.Is(err, errNobody) {
			return nil, err
		}
	}
	if len(found) == 0 {
		return nil, nil
	}
	for end = earlier(end, time.Now().Add(askMore)); ; {
		mac, err := a.answer(end)
		if errors.Is(err, errNobody) {
			return found, nil
		}
		if err != nil {
			return nil, err
		}
		if !slices.Contains(found, mac) {
			found = append(found, mac)
		}
	}
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// onLink finds the interface on whose network ip lies, and our address there.
func onLink(ip netip.Addr) (*net.Interface, netip.Addr, error) {
	all, err := net.Interfaces()
	if err != nil {
		return nil, netip.Addr{}, fmt.Errorf("cannot list the network interfaces: %v", err)
	}
	for _, ifi := range all {
		if ifi.Flags&net.FlagUp == 0 || len(ifi.HardwareAddr) != 6 {
			continue
		}
		addrs, err := ifi.Addrs()
		if err != nil {
			continue // it went away just now
		}
		for _, a := range addrs {
			p, err := netip.ParsePrefix(a.String())
			if err == nil && p.Contains(ip) && p.Addr() != ip && !p.IsSingleIP() {
				return &ifi, p.Addr(), nil
			}
		}
	}
	return nil, netip.Addr{}, fmt.Errorf("cannot ask who has %v: it is on no network of this machine", ip)
}
