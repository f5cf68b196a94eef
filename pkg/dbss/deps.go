package dbss

import (
	"context"
	"net/netip"
	"time"

	"github.com/rs/zerolog"

	"pss-msbs/pkg/clock"
	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/doubt"
	"pss-msbs/pkg/ipc"
	"pss-msbs/pkg/mgmtdata"
	"pss-msbs/pkg/pending"
	"pss-msbs/pkg/settings"
)

// Companion is the monitor's sif (paper, section 3.3), which alone opens the
// PSS files; *ipc.Client is one.
type Companion interface {
	// Call returns the reply; a refusal is an *ipc.RefusedError.
	Call(ctx context.Context, req ipc.Request) (ipc.Reply, error)
	// Hold takes the exclusive lock over the files and keeps it until A5,
	// its release or its end.
	Hold(ctx context.Context, req ipc.Request) (*ipc.Session, error)
	// Watch reports changes of the files until ctx ends.
	Watch(ctx context.Context) <-chan struct{}
}

// Placement is where guests are.
type Placement interface {
	Migrate(ctx context.Context, g cluster.Guest, to netip.Addr) error
	FreeMemoryKB(ctx context.Context, real netip.Addr) (int64, error)
	Events(ctx context.Context, real netip.Addr) (<-chan cluster.Event, error)
}

// Processors says what the processors of a guest and of its host have done.
type Processors interface {
	Work(ctx context.Context, g cluster.Guest) (cluster.Work, error)
}

// Services is what is done inside a guest besides its addresses.
type Services interface {
	Announce(ctx context.Context, g cluster.Guest, vip netip.Addr) error
	SetClock(ctx context.Context, g cluster.Guest) error
	RestartDaemon(ctx context.Context, g cluster.Guest, daemon string) error
}

// Network is what the monitor sees from outside.
type Network interface {
	Greet(ctx context.Context, ip netip.Addr, daemon string) error
	WhoHas(ctx context.Context, ip netip.Addr) ([]cluster.MAC, error)
}

// Fleet is the servers as this program needs them.
type Fleet interface {
	pending.Guests
	Placement
	Processors
	Services
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

// Monitors are the other monitors on the management server.
type Monitors interface {
	// Running reports whether somebody holds the monitor lock of name.
	Running(name string) (bool, error)
	// Start starts the dbss of name, detached, and returns once it monitors.
	Start(ctx context.Context, name string) error
	// Stop ends the dbss of name; none running is no error.
	Stop(ctx context.Context, name string) error
}

// Budget limits the restarts of the target (SPEC 5).
type Budget interface {
	// Begin records a recovery; else it tells when the next one is due.
	Begin(now time.Time) (due time.Time, err error)
	End(now time.Time, outcome string) error
	// Drop takes back that a recovery began.
	Drop(now time.Time) error
}

// Doubts are the board on which all monitors post what they doubt; *doubt.Board
// is one.
type Doubts interface {
	Post(d doubt.Doubt) error
	Clear(target string) error
	Storm() (doubt.Storm, error)
}

// Resets limits the resets of all programs together; budget.Resets is one.
type Resets interface {
	// Permit is zero when target may be reset now, else when it may at the latest.
	Permit(ctx context.Context, target, group string) (due time.Time, err error)
	// Answered notes that target is sound again.
	Answered(ctx context.Context, target string) error
}

// Options are what a Monitor is made of.
type Options struct {
	Target    mgmtdata.Server
	Settings  settings.Settings
	Companion Companion
	Fleet     Fleet
	Monitors  Monitors
	Budget    Budget
	Doubts    Doubts
	Resets    Resets
	// BootSlot waits for one of the boot slots that all programs share.
	BootSlot func(ctx context.Context) (release func(), err error)
	// MoveSlot is the same for migrations.
	MoveSlot func(ctx context.Context) (release func(), err error)
	Clock    clock.Clock
	Log      zerolog.Logger
	// Ready is called once, when the first A1 was answered; may be nil.
	Ready func()
}
