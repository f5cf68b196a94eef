// Package startup is the beginning of every program instance: its directories,
// its settings, the clock it runs by, its log and its control socket.
package startup

import (
	"context"
	"io"

	"github.com/rs/zerolog"

	"pss-msbs/pkg/clock"
	"pss-msbs/pkg/daemon"
	"pss-msbs/pkg/settings"
)

// Base is what an instance of a program works with.
type Base struct {
	Dirs     daemon.Dirs
	Settings settings.Settings
	Clock    clock.Clock
	Log      zerolog.Logger

	program, name string
	file          io.Closer
}

// Start prepares the directories, reads settings and clock and opens the log of
// the instance name of a program. The caller must call Close.
func Start(d daemon.Dirs, program, name string) (*Base, error) {
	if err := d.Prepare(); err != nil {
		return nil, err
	}
	set, err := settings.Read(d.Settings())
	if err != nil {
		return nil, daemon.Invalid(err)
	}
	b := &Base{Dirs: d, Settings: set, program: program, name: name}
	if b.Clock, err = Clock(d, set); err != nil {
		return nil, err
	}
	b.Log, b.file, err = daemon.NewLogger(d, program, name, set.LogFormat, b.Clock)
	return b, err
}

// Close closes the log.
func (b *Base) Close() error { return b.file.Close() }

// Controlled runs work with the control socket of this instance, where a
// request to stop ends its context.
func (b *Base) Controlled(ctx context.Context, work func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	control, err := daemon.ServeControl(b.Dirs, b.program, b.name, cancel)
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
