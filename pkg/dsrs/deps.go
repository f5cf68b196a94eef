package dsrs

import (
	"context"
	"net/netip"
	"time"

	"github.com/rs/zerolog"

	"pss-msbs/pkg/clock"
	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/ipc"
	"pss-msbs/pkg/mgmtdata"
	"pss-msbs/pkg/pending"
	"pss-msbs/pkg/settings"
)

// Companion is the sif of this dsrs (SPEC 7); ipc.Client is one.
type Companion interface {
	Call(ctx context.Context, req ipc.Request) (ipc.Reply, error)
	Hold(ctx context.Context, req ipc.Request) (*ipc.Session, error)
	Watch(ctx context.Context) <-chan struct{}
}

// Host is the real server itself.
type Host interface {
	HypervisorAlive(ctx context.Context, real netip.Addr) error
	RestartHypervisor(ctx context.Context, real netip.Addr) error
	WakeReal(ctx context.Context, mac cluster.MAC) error
	Guests(ctx context.Context, real netip.Addr) ([]cluster.GuestInfo, error)
	FreeMemoryKB(ctx context.Context, real netip.Addr) (int64, error)
}

// Processors says what the processors of a guest and of its host have done.
type Processors interface {
	Work(ctx context.Context, g cluster.Guest) (cluster.Work, error)
}

// Guests are the guests of real servers.
type Guests interface {
	pending.Guests
	Migrate(ctx context.Context, g cluster.Guest, to netip.Addr) error
	SetClock(ctx context.Context, g cluster.Guest) error
}

// Network asks from outside.
type Network interface {
	Greet(ctx context.Context, ip netip.Addr, daemon string) error
	WhoHas(ctx context.Context, ip netip.Addr) ([]cluster.MAC, error)
}

// Fleet is everything that a dsrs needs outside itself; every fleet.Driver is one.
type Fleet interface {
	Host
	Processors
	Guests
	Network
}

// guarded is a fleet that gives no VIP to a server while another may get it by a
// command that comes true late, or while this one may be stopped by one.
type guarded struct {
	*pending.Book
	others
}

type others struct{ Fleet }

func guard(f Fleet, clk clock.Clock) guarded { return guarded{pending.New(f, clk), others{f}} }

// Owner is the monitor lock of one server in our hands: only its holder
// touches a separated server.
type Owner interface {
	// Start starts the server's dbss, which takes the lock over, and returns
	// when it monitors. The owner is spent afterwards, also on an error.
	Start(ctx context.Context) error
	Release()
}

// Monitors are the dbss of this management server.
type Monitors interface {
	Own(host string) (Owner, error)              // an error while another process has the lock
	Held(host string) bool                       // whether anybody has it
	Stop(ctx context.Context, host string) error // ends host's dbss; none runs: no error
}

// Data is the management data of virtual servers, by name: those of the
// configuration directory and the serving spares'.
type Data interface {
	Server(host string) (mgmtdata.Server, error)
}

// Limits are the bounds that all programs share.
type Limits interface {
	BootSlot(ctx context.Context) (release func(), err error)
	// WakeSlot is one of the slots for wakes, nil where all are taken.
	WakeSlot() (release func(), err error)
	MigrationSlot(ctx context.Context) (release func(), err error)
	// BeginRecovery counts one more recovery of host, or continues the one
	// that was cut off. Where the restart budget (SPEC 5) is used up it counts
	// nothing and returns when the next one is due.
	BeginRecovery(host string) (due time.Time, err error)
	EndRecovery(host, outcome string) error
}

// Resets is the ledger of the resets of all programs (SPEC 5).
type Resets interface {
	// Permit is zero where target may be reset now, which is then counted, else
	// when it may at the latest. An error means no.
	Permit(ctx context.Context, target, group string) (due time.Time, err error)
	// Answered says that target is sound again.
	Answered(ctx context.Context, target string) error
}

// Deps are what a dsrs is made of.
type Deps struct {
	Data     mgmtdata.Real // RS1.dat
	Settings settings.Settings
	Clock    clock.Clock
	Log      zerolog.Logger

	Sif      Companion
	Fleet    Fleet
	Monitors Monitors
	Servers  Data
	Limits   Limits
	Resets   Resets
	Ready    func() error // called once, after the first B1; nil: nobody waits
}
