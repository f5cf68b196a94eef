// Package fleet opens the fleet that settings.toml names: real servers behind
// libvirt, or the emulated fleet. Programs own small interfaces of their own;
// Driver is their union and says what each method means for both drivers.
package fleet

import (
	"context"
	"net/netip"

	"pss-msbs/pkg/cluster"
)

// Driver is everything a fleet can do. Every call honours its context's
// deadline, also where the other side hangs. Errors wrap cluster.ErrHostSilent,
// cluster.ErrAgentSilent or cluster.ErrNoAnswer where that is the reason, and
// cluster.ErrUnknown where a command was under way, which may still come true; one
// that failed otherwise was not done.
type Driver interface {
	// Domains, through the hypervisor of g.Real.

	// GuestState is the hypervisor's word, booting told from running.
	GuestState(ctx context.Context, g cluster.Guest) (cluster.GuestState, error)
	// Start boots a guest that is off (or defines and boots it there); it
	// returns once the hypervisor has started it, not once it answers. A
	// guest that already runs is no error.
	Start(ctx context.Context, g cluster.Guest) error
	Resume(ctx context.Context, g cluster.Guest) error // of a paused guest
	Pause(ctx context.Context, g cluster.Guest) error
	Reset(ctx context.Context, g cluster.Guest) error                  // as the reset button
	Destroy(ctx context.Context, g cluster.Guest) error                // as pulling the plug; no error if it is off
	Save(ctx context.Context, g cluster.Guest) error                   // to shared storage; the guest is then absent everywhere, GuestSaved
	Restore(ctx context.Context, g cluster.Guest) error                // from shared storage onto g.Real, running
	Migrate(ctx context.Context, g cluster.Guest, to netip.Addr) error // live
	SetLink(ctx context.Context, g cluster.Guest, up bool) error       // the fence: cuts the guest off while its agent still answers
	Guests(ctx context.Context, real netip.Addr) ([]cluster.GuestInfo, error)
	FreeMemoryKB(ctx context.Context, real netip.Addr) (int64, error)
	// Work is what the processors of g and of its host have done so far. A guest
	// that is off has used nothing.
	Work(ctx context.Context, g cluster.Guest) (cluster.Work, error)
	// HypervisorAlive is nil when the virtualization software answers.
	HypervisorAlive(ctx context.Context, real netip.Addr) error
	// Events streams the hypervisor's reports about its guests until ctx ends
	// (then the channel is closed). A lost connection is itself an event; the
	// driver reconnects.
	Events(ctx context.Context, real netip.Addr) (<-chan cluster.Event, error)

	// Inside a guest, through its agent (or ssh).

	Addrs(ctx context.Context, g cluster.Guest) ([]netip.Addr, error)
	AddVIP(ctx context.Context, g cluster.Guest, vip netip.Addr) error // and gratuitous ARP; present already: only ARP
	DelVIP(ctx context.Context, g cluster.Guest, vip netip.Addr) error // absent already: no error
	Announce(ctx context.Context, g cluster.Guest, vip netip.Addr) error
	SetClock(ctx context.Context, g cluster.Guest) error // to now
	RestartDaemon(ctx context.Context, g cluster.Guest, daemon string) error
	// Run runs a measuring command (free -k, sar ...) and returns its output.
	Run(ctx context.Context, g cluster.Guest, argv []string) ([]byte, error)

	// From the network.

	Ping(ctx context.Context, ip netip.Addr) error
	// Greet is nil when the daemon answers its protocol at ip; a process that
	// is stopped still accepts TCP, so a greeting is required.
	Greet(ctx context.Context, ip netip.Addr, daemon string) error
	// WhoHas asks by ARP/ND and returns every MAC that answers for ip (none:
	// empty, no error). A holder is the guest whose own IP has the same MAC.
	WhoHas(ctx context.Context, ip netip.Addr) ([]cluster.MAC, error)
	// Accesses are the TCP SYNs seen to each VIP since the driver started to
	// count, all ports together, never decreasing; error where nothing counts.
	Accesses(ctx context.Context) (map[netip.Addr]uint64, error)

	// Real servers.

	SuspendReal(ctx context.Context, real netip.Addr) error // returns once it is silent
	WakeReal(ctx context.Context, mac cluster.MAC) error    // sends one magic packet
	RestartHypervisor(ctx context.Context, real netip.Addr) error

	Close() error
}
