package scenario

import (
	"context"
	"fmt"
	"slices"

	"pss-msbs/pkg/clock"
	"pss-msbs/pkg/conffile"
	"pss-msbs/pkg/daemon"
	"pss-msbs/pkg/dbss/dbssrun"
	"pss-msbs/pkg/dsrs/dsrsrun"
	"pss-msbs/pkg/fleet"
	"pss-msbs/pkg/monitor"
	"pss-msbs/pkg/notes"
	"pss-msbs/pkg/pss/pssrun"
	"pss-msbs/pkg/settings"
	"pss-msbs/pkg/sif/sifrun"
	"pss-msbs/pkg/startup"
)

// main is p's program from its command line to its end.
func (p *Proc) main(args []string) error {
	p.sleep(p.ctx, startTime, "start")
	if p.ctx.Err() != nil {
		return nil
	}
	err := p.program(args)
	p.halt.Pass()
	return err
}

func (p *Proc) program(args []string) error {
	switch p.Program {
	case "dbss":
		return dbssrun.Main(p.ctx, args, monitor.Place{Start: p.start, Fleet: p.fleet})
	case "dsrs":
		return dsrsrun.Main(p.ctx, args, monitor.Place{Start: p.start, Fleet: p.fleet})
	case "sif":
		return sifrun.Main(p.ctx, args, sifrun.Place{Start: p.start, Files: p.files})
	case "pss":
		base, _ := p.start(daemon.OS{}, "pss", "")
		return pssrun.Run(p.ctx, base, pssrun.Place{Fleet: p.fleet, Files: p.files})
	}
	return fmt.Errorf("cannot start %s: no such program", p.Program)
}

// start is the startup.Starter of p.
func (p *Proc) start(_ daemon.OS, program, name string) (*startup.Base, error) {
	left := notes.Disk(&p.w.notes)
	if p.Program != "pss" { // a killed pss still writes its last notes: expected logs follow from it
		left = disk{left, p}
	}
	log := daemon.NewLoggerTo(writer{p}, program, name, "text", clock.Clock{})
	return &startup.Base{Env: daemon.Env{Kernel: p, Dirs: p.w.dirs, Clock: p.clock(), Log: log},
		Settings: p.w.Settings, Notes: left, Dats: &p.w.dats, Program: program, Name: name}, nil
}

// fleet is the fleet.Opener of p.
func (p *Proc) fleet(context.Context, settings.Settings, string, clock.Clock) (fleet.Driver, error) {
	return view{p, p.w.Model}, nil
}

// files is the conffile.Opener of p: the seven files in memory.
func (p *Proc) files(_ string, opt conffile.Options) *conffile.Dir {
	opt.Step = p.step
	return p.w.openFiles(opt)
}

// start starts a program as its launcher does.
func (w *World) start(who string) *Proc {
	program, name := split(who)
	var args []string
	if program != "pss" {
		args = []string{w.dirs.Dat(name)}
	}
	return w.spawn(daemon.Command{Program: program, Name: name, Args: args})
}

// Start implements daemon.Kernel. A child that will not be ready in time is
// killed, unless it was by p itself dying; one that is to end with p ends with
// it, also with a p that does not live to see it ready.
func (p *Proc) Start(ctx context.Context, c daemon.Command) (daemon.Child, error) {
	own := c.Program == "dbss" && !slices.Contains(c.Args, "--companion")
	if own {
		if err := p.at("start dbss", c.Name, false); err != nil {
			return nil, err
		}
	}
	child := p.w.spawn(c)
	if c.Life {
		context.AfterFunc(p.ctx, child.cancel)
	}
	err := p.await(ctx, child)
	if own {
		if dead := p.at("start dbss", c.Name, true); dead != nil {
			return nil, dead
		}
	}
	return child, err
}

// Adopt implements daemon.Kernel.
func (p *Proc) Adopt(name string, pid int) (daemon.Child, error) {
	if old := p.w.monitorOf(name); old != nil && old.pid == pid {
		return adopted{old}, nil
	}
	return nil, fmt.Errorf("cannot adopt dbss pid %d: it does not monitor %s", pid, name)
}

// adopted is a dbss followed by a sif that did not start it: how it ended shows
// only in its lock file.
type adopted struct{ *Proc }

// Err implements daemon.Child.
func (a adopted) Err() error {
	if a.isDead() {
		return errKilled
	}
	return nil
}

// End implements daemon.Kernel.
func (p *Proc) End(ctx context.Context, name string) error {
	if err := p.at("stop dbss", name, false); err != nil {
		return err
	}
	victim := p.w.monitorOf(name)
	if victim == nil || victim.Program != "dbss" {
		return nil
	}
	victim.cancel()
	select {
	case <-victim.ended:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
