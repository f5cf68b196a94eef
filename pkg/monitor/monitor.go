// Package monitor is what a dbss and a dsrs have alike: the command line, the
// start, and the way from the monitor lock over sif and fleet to the end.
package monitor

import (
	"context"
	"errors"
	"fmt"

	"pss-msbs/pkg/daemon"
	"pss-msbs/pkg/fleet"
	"pss-msbs/pkg/ipc"
	"pss-msbs/pkg/startup"
)

// Flags are the command line of a monitor.
type Flags struct {
	daemon.Dirs
	Dat     string `arg:"" optional:"" help:"Management data of the server." placeholder:"NAME.dat"`
	Check   bool   `help:"Parse and print the data; exit 0 or 2."`
	Stop    string `help:"End the running monitor of this server." placeholder:"NAME"`
	ReadyFD int    `name:"ready-fd" hidden:"" help:"Descriptor to write a line to when it monitors."`
	LockFD  int    `name:"lock-fd" hidden:"" help:"Descriptor that carries the monitor lock, from dsrs."`
}

// Place is where a monitor runs.
type Place struct {
	Start startup.Starter
	Fleet fleet.Opener
}

// Real is the place of real processes.
var Real = Place{Start: startup.Start, Fleet: fleet.Open}

// Data are the management data of one kind of server.
type Data[T any] struct {
	Program string
	Read    func(path string) (T, error)
	Format  func(T) []byte
	Host    func(T) string
}

// Main does what f asks for: it ends a running monitor, prints the data, or
// starts and runs one until ctx ends.
func (d Data[T]) Main(ctx context.Context, f Flags, at Place, run func(context.Context, *startup.Base, T) error) error {
	switch {
	case f.Stop != "":
		if err := f.Prepare(); err != nil {
			return err
		}
		return daemon.Stop(ctx, f.Dirs, d.Program, f.Stop)
	case f.Dat == "":
		return daemon.Usage(errors.New("cannot start: want the management data, NAME.dat"))
	}
	data, err := d.Read(f.FindDat(f.Dat))
	if err != nil {
		return daemon.Invalid(err)
	}
	if f.Check {
		fmt.Print(string(d.Format(data)))
		return nil
	}
	base, err := at.Start(daemon.OS{Dirs: f.Dirs, ReadyFD: f.ReadyFD, LockFD: f.LockFD}, d.Program, d.Host(data))
	if err != nil {
		return err
	}
	defer base.Close()
	return run(ctx, base, data)
}

// Program is one running monitor.
type Program struct {
	*startup.Base
	Fleet fleet.Opener
	Spare bool // its sif has started it, and outlives it
	// Work monitors until ctx ends; idle is whether there was nothing for it to do.
	Work func(ctx context.Context, sif *ipc.Client, driver fleet.Driver) (idle bool, err error)
	Idle string // what the log says of that
}

// Run is the program from its lock to its end. One that its launcher started
// again while there is nothing to do waits for its turn.
func (p Program) Run(ctx context.Context) error {
	lock, err := p.Lock(p.Name)
	if err != nil {
		return err
	}
	defer func() { _ = lock.Close() }()
	for said := false; ; said = true {
		idle := false
		err := p.Controlled(ctx, func(ctx context.Context) (err error) {
			idle, err = p.serve(ctx)
			return err
		})
		if err != nil || !idle || lock.Given() {
			return err
		}
		if !said {
			p.Log.Info().Msg(p.Idle)
		}
		again, err := p.turn(ctx, lock)
		if again == nil {
			return err
		}
		lock = again
	}
}

// turn gives the lock up, which dsrs needs to bring the target back, and takes
// it again as soon as a pause is over and nobody else has it; nil where that
// cannot be, or ctx ended.
func (p Program) turn(ctx context.Context, lock daemon.Lock) (daemon.Lock, error) {
	if err := lock.Close(); err != nil {
		return nil, err
	}
	for p.Clock.Sleep(ctx, p.Settings.DBSS.MonitorInterval.D()) == nil {
		again, err := p.Lock(p.Name)
		if err == nil {
			return again, nil
		}
		if !errors.Is(err, daemon.ErrMonitored) {
			return nil, err
		}
	}
	return nil, nil
}

// serve monitors with a sif and a fleet.
func (p Program) serve(ctx context.Context) (idle bool, err error) {
	companion, err := p.companion(ctx)
	if err != nil {
		return false, err
	}
	defer companion.Close()
	driver, err := p.Fleet(ctx, p.Settings, p.Dirs.Run, p.Clock)
	if err != nil {
		return false, err
	}
	defer driver.Close()
	return p.Work(ctx, p.Sif(p.Name, p.Base.Program), driver)
}

// companion starts the sif of this monitor, or keeps the one of a spare alive.
func (p Program) companion(ctx context.Context) (*daemon.Companion, error) {
	if p.Spare {
		return p.KeepSpareSif(ctx, p.Name), nil
	}
	return p.StartSif(ctx, p.Name)
}
