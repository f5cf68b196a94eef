// Package ops does the single steps of a shift on the fleet and in the files:
// move a VIP, start and stop a spare, wake and suspend a real server, put a VIP
// where the files have it (SPEC 4, "Execute"). Each step re-checks
// the files under the lock before it touches anything, so a takeover, a hand
// edit or a second worker that changed them meanwhile stops the step and no
// address moves twice.
package ops

import (
	"context"
	"net/netip"
	"time"

	"github.com/rs/zerolog"

	"pss-msbs/pkg/clock"
	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/ipc"
	"pss-msbs/pkg/pending"
	"pss-msbs/pkg/pss/record"
	"pss-msbs/pkg/settings"
)

// Network is what anybody on the network can see.
type Network interface {
	Greet(ctx context.Context, ip netip.Addr, daemon string) error
	WhoHas(ctx context.Context, ip netip.Addr) ([]cluster.MAC, error)
}

// Reals are the real servers.
type Reals interface {
	Guests(ctx context.Context, real netip.Addr) ([]cluster.GuestInfo, error)
}

// Fleet is all of them; a fleet driver satisfies it.
type Fleet interface {
	pending.Guests
	SetClock(ctx context.Context, g cluster.Guest) error
	Work(ctx context.Context, g cluster.Guest) (cluster.Work, error)
	Network
	Reals
}

// Guarded is a fleet that gives no VIP to a server while another may get it by a
// command that comes true late, or while this one may be stopped by one.
type Guarded struct {
	*pending.Book
	others
}

type others struct{ Fleet }

// Guard keeps account of what is done on a fleet.
func Guard(f Fleet, clk clock.Clock) Guarded { return Guarded{pending.New(f, clk), others{f}} }

// Files are the seven PSS files; every change is one transaction.
type Files interface {
	View(ctx context.Context) (cluster.Tables, error)
	Update(ctx context.Context, change func(*cluster.Tables) error) error
	// Hold takes the exclusive lock until Close.
	Hold(ctx context.Context) (Held, error)
}

// Held is the exclusive lock over the files.
type Held interface {
	Tables() cluster.Tables
	Commit(change func(*cluster.Tables) error) error
	Close()
}

// Monitors runs the sif and dbss of a spare, or of a serving backup whose own
// dbss has gone (paper, Fig. 10(b)).
type Monitors interface {
	// Ensure returns once sif and dbss of the server run; those that run
	// already are adopted.
	Ensure(ctx context.Context, dat ServerData) error
	// Stop ends both; none running is no error.
	Stop(ctx context.Context, host string) error
	// Running reports whether somebody monitors host.
	Running(host string) (bool, error)
}

// Ops does the steps. Its methods may run in parallel.
type Ops struct {
	Fleet    Guarded
	Files    Files
	Rescue   Files // the same, as taking a failed server's VIPs sees them
	Monitors Monitors
	Clock    clock.Clock
	Settings settings.Settings
	Log      zerolog.Logger
	// Data is the management data (the .dat files) as it stands now.
	Data func() Data
	// Abandoned names the servers in separation whose VIPs are pss's: fenced, and
	// no backup takes them (SPEC 4).
	Abandoned func() ([]string, error)
	// Forget takes a server out of that set.
	Forget func(host string) error
	// Moving marks the VIPs whose addresses are being changed.
	Moving ipc.Moves
	// Starts are on record for the next pss, should this one be killed.
	Starts record.Starts
	// Slot waits for one of the boot slots that all programs share; Spare for
	// one of those that are not kept for recoveries.
	Slot, Spare func(ctx context.Context) (release func(), err error)

	queue  queue
	starts starts
}

// lockTime bounds one step under the lock, undoTime each of the two steps of its
// undoing; together they stay below the five seconds that nobody may exceed (SPEC 3).
const (
	lockTime = 3 * time.Second
	undoTime = 900 * time.Millisecond
	// quietTime bounds the wait for what a hypervisor may still do.
	quietTime = cluster.CallLimit + cluster.AddressLimit
)

// silentLooks in a row show that a real server has fallen silent.
const silentLooks = 3

// fine is the resolution of durations in the log, that of its times.
const fine = 10 * time.Millisecond

// Took is how long something has lasted since begun, as the log says it.
func (h *Ops) Took(begun time.Time) time.Duration { return h.Clock.Since(begun).Round(fine) }
