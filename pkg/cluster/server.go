package cluster

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"
)

// MAC is the Ethernet address that wakes a real server (paper, section 2.7).
type MAC [6]byte

// ParseMAC reads a MAC address of six octets.
func ParseMAC(s string) (MAC, error) {
	hw, err := net.ParseMAC(s)
	if err != nil || len(hw) != 6 {
		return MAC{}, fmt.Errorf("bad MAC address %q", s)
	}
	return MAC(hw), nil
}

// String spells the address as six hex octets with colons.
func (m MAC) String() string { return net.HardwareAddr(m[:]).String() }

// MarshalText implements encoding.TextMarshaler.
func (m MAC) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (m *MAC) UnmarshalText(b []byte) error {
	v, err := ParseMAC(string(b))
	*m = v
	return err
}

// Guest names a virtual, backup or spare server and the real server (or
// management server) it is on.
type Guest struct {
	Host string     `json:"host"`
	IP   netip.Addr `json:"ip"`
	Real netip.Addr `json:"real"`
}

// On is the same guest on another real server.
func (g Guest) On(real netip.Addr) Guest { g.Real = real; return g }

// GuestState is what a hypervisor says of a guest.
type GuestState string

// The states of a guest on one real server.
const (
	GuestAbsent  GuestState = "absent"  // this hypervisor knows no such guest
	GuestOff     GuestState = "off"     // shut off
	GuestCrashed GuestState = "crashed" // stopped by a failure
	GuestBooting GuestState = "booting" // restart state: running, but its agent has not come (back) up since the (re)boot
	GuestRunning GuestState = "running" // running, its agent has been up since the last boot (it may be frozen all the same)
	GuestPaused  GuestState = "paused"
	GuestSaved   GuestState = "saved" // not running here, but a saved image stands on shared storage
)

// Dead reports whether the hypervisor itself proves that the guest cannot serve.
func (s GuestState) Dead() bool { return s == GuestOff || s == GuestCrashed || s == GuestAbsent }

// GuestInfo is one guest in a real server's list.
type GuestInfo struct {
	Host  string     `json:"host"`
	State GuestState `json:"state"`
}

// EventKind says what a hypervisor reported.
type EventKind string

// The events that wake a monitor at once (profile fast).
const (
	EventStarted      EventKind = "started"
	EventShutdown     EventKind = "shutdown"
	EventCrashed      EventKind = "crashed"
	EventRebooted     EventKind = "rebooted"
	EventAgentGone    EventKind = "agent-disconnected"
	EventAgentUp      EventKind = "agent-connected"
	EventDisconnected EventKind = "disconnected" // the hypervisor connection closed
	EventPaused       EventKind = "paused"
	EventResumed      EventKind = "resumed"
)

// Event is one report of a hypervisor about one guest (Host is empty for EventDisconnected).
type Event struct {
	Real netip.Addr `json:"real"`
	Host string     `json:"host"`
	Kind EventKind  `json:"kind"`
	At   time.Time  `json:"at"`
}

// Errors that callers of a fleet driver tell apart with errors.Is.
var (
	ErrHostSilent  = errors.New("the real server does not answer")
	ErrAgentSilent = errors.New("the guest agent does not answer")
	ErrNoAnswer    = errors.New("no answer")

	// ErrRefused is the answer of a server on which nobody listens: it is no
	// service, and a sign of life.
	ErrRefused = fmt.Errorf("connection refused: %w", ErrNoAnswer)

	// ErrAgentGone is the hypervisor's prompt word that the guest agent's
	// channel is closed: the guest is down, reboots or has lost its agent. A
	// guest that is only slow or held up keeps it open and is merely silent.
	ErrAgentGone = fmt.Errorf("the guest agent is not connected: %w", ErrAgentSilent)
)
