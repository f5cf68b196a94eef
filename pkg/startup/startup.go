// Package startup is the beginning of every program instance: its directories,
// its settings, the clock it runs by, its log and its control socket.
package startup

import (
	"context"
	"io"

	"pss-msbs/pkg/clock"
	"pss-msbs/pkg/daemon"
	"pss-msbs/pkg/mgmtdata"
	"pss-msbs/pkg/notes"
	"pss-msbs/pkg/settings"
)

// Base is what an instance of a program works with.
type Base struct {
	daemon.Env
	Settings settings.Settings
	Notes    notes.Disk    // of the run and state directories; nil: of the operating system
	Dats     *mgmtdata.Dir // what the .dat files say, where nobody changes them; nil: they are read each time

	Program, Name string    // as "dbss", "M1"; pss has no name
	file          io.Closer // the log; nil: not opened here
}

// Starter makes the Base of the instance name of a program; Start is the one of
// real processes. The caller must call Close.
type Starter func(self daemon.OS, program, name string) (*Base, error)

// Start prepares the directories, reads settings and clock and opens the log.
func Start(self daemon.OS, program, name string) (*Base, error) {
	if err := self.Dirs.Prepare(); err != nil {
		return nil, err
	}
	set, err := settings.Read(self.Dirs.Settings())
	if err != nil {
		return nil, daemon.Invalid(err)
	}
	return open(self, program, name, set)
}

// StartAnyhow is Start for a program that faulty settings do not stop: it goes on
// with the defaults, and the log says so.
func StartAnyhow(self daemon.OS, program, name string) (*Base, error) {
	if err := self.Dirs.Prepare(); err != nil {
		return nil, err
	}
	set, faults := settings.Read(self.Dirs.Settings())
	if faults != nil {
		set = settings.Default()
		set.Fleet.Driver = ""
	}
	b, err := open(self, program, name, set)
	if err == nil && faults != nil {
		b.Log.Error().Err(faults).Msg("alarm: settings.toml cannot be used, going on with the defaults")
	}
	return b, err
}

func open(self daemon.OS, program, name string, set settings.Settings) (*Base, error) {
	clk, err := Clock(self.Dirs, set)
	if err != nil {
		return nil, err
	}
	log, file, err := daemon.NewLogger(self.Dirs, program, name, set.LogFormat, clk)
	return &Base{Env: daemon.Env{Kernel: self, Dirs: self.Dirs, Clock: clk, Log: log},
		Settings: set, Program: program, Name: name, file: file}, err
}

// Close closes the log.
func (b *Base) Close() error {
	if b.file == nil {
		return nil
	}
	return b.file.Close()
}

// Controlled runs work with the control socket of this instance, where a
// request to stop ends its context.
func (b *Base) Controlled(ctx context.Context, work func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	control, err := b.ServeControl(b.Program, b.Name, cancel)
	if err != nil {
		return err
	}
	defer control.Close()
	return work(ctx)
}

// Clock is that of the fleet that set names: real servers know no other time
// than the wall clock's, whatever an emulated fleet has left in the run
// directory. Where settings could not be read the driver is "" and not known.
func Clock(d daemon.Dirs, set settings.Settings) (clock.Clock, error) {
	if set.Fleet.Driver == "libvirt" {
		return clock.Clock{}, nil
	}
	return clock.Load(d.Run)
}
