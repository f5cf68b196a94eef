package cluster

import (
	"fmt"
	"net/netip"
)

const maxName = 63

func alnum(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z'
}

func validName(s, extra string) bool {
	if s == "" || len(s) > maxName || !alnum(s[0]) {
		return false
	}
	for i := 1; i < len(s); i++ {
		ok := alnum(s[i])
		for j := 0; j < len(extra) && !ok; j++ {
			ok = s[i] == extra[j]
		}
		if !ok {
			return false
		}
	}
	return true
}

// CheckName accepts the name of a server or a group: [A-Za-z0-9][A-Za-z0-9-]{0,62}.
func CheckName(s string) error {
	if !validName(s, "-") {
		return fmt.Errorf("bad name %q: want letters, digits and -, at most %d", s, maxName)
	}
	return nil
}

// CheckDaemon accepts the name of a daemon: [A-Za-z0-9][A-Za-z0-9@._-]{0,62}.
func CheckDaemon(s string) error {
	if !validName(s, "@._-") {
		return fmt.Errorf("bad daemon name %q: want letters, digits and @ . _ -, at most %d", s, maxName)
	}
	return nil
}

// ParseAddr reads an IPv4 or IPv6 address without a zone.
func ParseAddr(s string) (netip.Addr, error) {
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" {
		return netip.Addr{}, fmt.Errorf("bad IP address %q", s)
	}
	return a.Unmap(), nil
}
