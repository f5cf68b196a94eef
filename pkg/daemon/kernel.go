package daemon

import (
	"context"
	"errors"
	"net"
	"os"
	"syscall"

	"github.com/rs/zerolog"

	"pss-msbs/pkg/clock"
	"pss-msbs/pkg/ipc"
)

// Kernel is what a program asks of the operating system about the others of this
// management server. OS is the real one; scenarios have a table of programs that
// run in one process.
type Kernel interface {
	PID() int           // of this program
	Alive(pid int) bool // whether that program runs

	// Start starts another program and returns once it is ready.
	Start(ctx context.Context, c Command) (Child, error)
	// Adopt follows the process pid, the monitor of the server name, which
	// another one started; its Err is nil if it left its monitor lock as one who
	// ends by intent does.
	Adopt(name string, pid int) (Child, error)
	// End ends the dbss of name and waits until it has; none is no error.
	End(ctx context.Context, name string) error
	// Ready tells whoever started this program that it does its work.
	Ready() error

	// Lock takes the monitor lock of name, or takes over the one that this
	// program was given; an error wraps ErrMonitored while another has it.
	Lock(name string) (Lock, error)
	// Holder tells who monitors the server name, and whether the lock is held: a
	// pid without held is a monitor that died.
	Holder(name string) (pid int, held bool, err error)
	// TrySlot takes one of n slots for a kind of work; nil where all are taken.
	TrySlot(kind Work, n int) (release func(), err error)

	// Listen listens at a socket of the run directory; one that is served is an error.
	Listen(path string) (net.Listener, error)
	Dial(ctx context.Context, path string) (net.Conn, error)
	// Listening reports whether a program serves the socket.
	Listening(path string) bool
	// Watchdog kills the program that serves a socket whenever it no longer
	// answers, until ctx ends.
	Watchdog(ctx context.Context, path string, clk clock.Clock, log zerolog.Logger)
}

// Child is a running program that this one started or adopted.
type Child interface {
	Done() <-chan struct{} // closed when it has ended
	Err() error            // after Done; nil if it ended as it meant to
	// Stop ends it, by force where it does not follow, and waits until it has ended.
	Stop(ctx context.Context) error
}

// Lock is the right to monitor one server, until Close or the end of the program
// that has it.
type Lock interface {
	Given() bool // by the program that started this one
	Close() error
}

// Env is a program instance among the others.
type Env struct {
	Kernel
	Dirs  Dirs
	Clock clock.Clock
	Log   zerolog.Logger
}

// In is a program in the directories d that logs nothing, on the wall clock.
func In(d Dirs) Env { return Env{Kernel: OS{Dirs: d}, Dirs: d, Log: zerolog.Nop()} }

// Sif is a client of the sif of target; master is the program that asks.
func (e Env) Sif(target, master string) *ipc.Client {
	return ipc.NewClient(func(ctx context.Context) (net.Conn, error) {
		return e.Dial(ctx, e.Dirs.SifSocket(target))
	}, master, e.Clock)
}

// Monitored reports whether anybody monitors the server name.
func (e Env) Monitored(name string) (bool, error) {
	_, held, err := e.Holder(name)
	return held, err
}

// OS is the operating system's Kernel.
type OS struct {
	Dirs    Dirs
	ReadyFD int // see Ready
	LockFD  int // carries the monitor lock that this program was given; 0: none
}

var _ Kernel = OS{}

// PID implements Kernel.
func (OS) PID() int { return os.Getpid() }

// Alive implements Kernel.
func (OS) Alive(pid int) bool {
	err := syscall.Kill(pid, 0)
	return pid > 0 && (err == nil || errors.Is(err, syscall.EPERM))
}

// Start implements Kernel. A program that is to end with this one takes the place
// of any whose master has died: the monitor lock of its server is ours.
func (o OS) Start(ctx context.Context, c Command) (Child, error) {
	c.Dirs = o.Dirs
	if c.Life {
		evict(ctx, o.Dirs.SifSocket(c.Name))
	}
	return Start(ctx, c)
}

// Ready implements Kernel.
func (o OS) Ready() error { return Ready(o.ReadyFD) }

// Listen implements Kernel.
func (OS) Listen(path string) (net.Listener, error) { return Listen(path) }

// Dial implements Kernel.
func (OS) Dial(ctx context.Context, path string) (net.Conn, error) { return ipc.DialUnix(path)(ctx) }

// Listening implements Kernel.
func (OS) Listening(path string) bool { return Listening(path) }

// Watchdog implements Kernel.
func (OS) Watchdog(ctx context.Context, path string, clk clock.Clock, log zerolog.Logger) {
	killHanging(ctx, path, clk, log)
}
