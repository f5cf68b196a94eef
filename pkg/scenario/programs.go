package scenario

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"time"

	"github.com/rs/zerolog"

	"pss-msbs/pkg/budget"
	"pss-msbs/pkg/clock"
	"pss-msbs/pkg/conffile"
	"pss-msbs/pkg/daemon"
	"pss-msbs/pkg/dbss"
	"pss-msbs/pkg/dsrs"
	"pss-msbs/pkg/ipc"
	"pss-msbs/pkg/mgmtdata"
	"pss-msbs/pkg/sif"
)

// restartPause is how long a launcher waits.
const restartPause = time.Second

func (p *Proc) logger() zerolog.Logger {
	return daemon.NewLoggerTo(writer{p}, p.Program, p.Name, "text", clock.Clock{})
}

// files are the seven files as p opens them.
func (p *Proc) files() *conffile.Dir {
	return p.w.openFiles(conffile.Options{Wait: p.w.Settings.Lock.Wait.D(),
		Holder: p.Program + " " + p.Name, Step: p.step, Clock: p.clock()})
}

// startSif starts the sif of target; spare is nil but for a spare's.
func (w *World) startSif(target string, spare func(*Proc) *sif.Spare) *Proc {
	return w.spawn("sif", target, nil, func(p *Proc) error {
		opt := sif.Options{Files: p.files(), Dats: &w.dats, Management: w.Settings.Management.IP,
			Failed: w.failed(), Moving: w.moves(), Hold: w.Settings.Lock.Hold.D(), Log: p.logger(), Clock: p.clock(),
			Monitored: func(host string) (bool, error) { return w.held(host), nil }}
		if spare != nil {
			opt.Spare = spare(p)
		}
		l := ipc.NewMemListener()
		if !w.listen(p, l) {
			return fmt.Errorf("another process listens for %s", target)
		}
		p.isReady()
		return sif.New(opt).Serve(p.ctx, served{l, p})
	})
}

// keepSif runs p's own sif until p ends, another one whenever it dies.
func (p *Proc) keepSif() (stop func(), err error) {
	s, err := p.ownSif()
	if err != nil {
		return nil, err
	}
	log := p.logger()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-p.ctx.Done():
				_ = s.Stop(context.WithoutCancel(p.ctx))
				return
			case <-s.ended:
				log.Error().Err(s.err).Msg("sif ended, starting another")
			}
			for p.ctx.Err() == nil {
				var failed error
				if s, failed = p.ownSif(); failed == nil {
					break
				}
				p.sleep(p.ctx, restartPause, "sif")
			}
		}
	}()
	return func() { p.cancel(); <-done }, nil
}

// ownSif starts a sif that ends with p, as its --life-fd has it: also with a p
// that does not live to see it ready.
func (p *Proc) ownSif() (*Proc, error) {
	s := p.w.startSif(p.Name, nil)
	err := p.await(p.ctx, s)
	if err != nil {
		_ = s.Stop(context.WithoutCancel(p.ctx))
	}
	return s, err
}

// keepSpareSif watches the sif that started p, a dbss, and starts another one,
// which adopts p, when it dies.
func (p *Proc) keepSpareSif() (stop func(), err error) {
	log := p.logger()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for p.ctx.Err() == nil {
			if s := p.w.find("sif", p.Name); s != nil {
				select {
				case <-p.ctx.Done():
					return
				case <-s.ended:
				}
			}
			if err := p.w.startSpareSif(p.ctx, p, p.Name, p); err == nil {
				log.Error().Msg("sif ended, started another")
			} else if p.ctx.Err() == nil {
				p.sleep(p.ctx, restartPause, "sif")
			}
		}
	}()
	return func() { p.cancel(); <-done }, nil
}

// startSpareSif starts the sif of a spare, or of a serving backup; adopt is its
// dbss that runs already.
func (w *World) startSpareSif(ctx context.Context, starter *Proc, target string, adopt *Proc) error {
	s := w.startSif(target, func(p *Proc) *sif.Spare {
		sp := &sif.Spare{Log: p.logger(), Clock: p.clock(), Start: func(ctx context.Context, dat mgmtdata.Server) (sif.Monitor, error) {
			return w.startSpareMonitor(ctx, p, dat)
		}}
		if adopt == nil {
			return sp
		}
		if dat, err := mgmtdata.ReadServer(w.dirs.SpareDat(target)); err == nil {
			sp.Adopted, sp.Dat = adopted{adopt}, &dat
		}
		return sp
	})
	return starter.await(ctx, s)
}

// adopted is a dbss followed by a sif that did not start it: how it ended shows
// only in its lock file.
type adopted struct{ *Proc }

// Err implements sif.Monitor.
func (a adopted) Err() error {
	if a.isDead() {
		return errKilled
	}
	return nil
}

// startSpareMonitor is daemon.StartSpareMonitor in this world.
func (w *World) startSpareMonitor(ctx context.Context, starter *Proc, dat mgmtdata.Server) (sif.Monitor, error) {
	path := w.dirs.SpareDat(dat.Host)
	if old := w.find("dbss", dat.Host); old != nil && w.held(dat.Host) {
		if now, err := mgmtdata.ReadServer(path); err == nil && reflect.DeepEqual(now, dat) {
			return adopted{old}, nil
		}
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	if err := os.WriteFile(path, mgmtdata.FormatServer(dat), 0o600); err != nil {
		return nil, err
	}
	p := w.startDBSS(path, dat.Host, nil, (*Proc).keepSpareSif)
	return p, starter.await(ctx, p)
}

// startDBSS starts a dbss. from hands it the monitor lock; nil: it takes it itself.
func (w *World) startDBSS(path, name string, from *Proc, companion func(*Proc) (func(), error)) *Proc {
	prepare := func(p *Proc) {
		if from != nil {
			w.locks[name][p] = true
		}
	}
	return w.spawn("dbss", name, prepare, func(p *Proc) error {
		dat, known := w.dats.Servers[path]
		if !known { // of a spare, or of a backup that serves
			var err error
			if dat, err = mgmtdata.ReadServer(path); err != nil {
				return err
			}
		}
		if from == nil && !w.lock(name, p) {
			return fmt.Errorf("cannot monitor %s: %w", name, daemon.ErrMonitored)
		}
		stop, err := companion(p)
		if err != nil {
			return err
		}
		defer stop()
		return p.dbss(dat).Run(p.ctx)
	})
}

func (p *Proc) dbss(dat mgmtdata.Server) *dbss.Monitor {
	set := p.w.Settings
	return dbss.New(dbss.Options{
		Target: dat, Settings: set, Log: p.logger(), Fleet: view{p, p.w.Model},
		Companion: ipc.NewClient(p.dial(dat.Host), "dbss", p.clock()),
		Monitors:  others{p},
		Budget:    ledger{p, budget.File{Path: p.w.dirs.Budget(dat.Host), Disk: &p.w.notes, Host: dat.Host, Limit: set.DBSS.BudgetRecoveries, Window: set.DBSS.BudgetWindow.D()}},
		Doubts:    doubts{p, p.board()},
		Resets:    p.resets(),
		BootSlot:  p.bootSlot(set.DSRS.BootSlots),
		MoveSlot:  p.slot(daemon.Migration, set.Brake.Migrations),
		Ready:     p.isReady,
		Clock:     p.clock(),
	})
}

// ledger is a budget that the dead do not write.
type ledger struct {
	p *Proc
	budget.File
}

func (l ledger) End(now time.Time, outcome string) error {
	if !l.p.runs() {
		return errKilled
	}
	return l.File.End(now, outcome)
}

func (l ledger) Drop(now time.Time) error {
	if !l.p.runs() {
		return errKilled
	}
	return l.File.Drop(now)
}

// others are the other monitors, for a dbss.
type others struct{ p *Proc }

func (o others) Running(name string) (bool, error) { return o.p.w.held(name), nil }

func (o others) Start(ctx context.Context, name string) error {
	if err := o.p.at("start dbss", name, false); err != nil {
		return err
	}
	err := o.p.await(ctx, o.p.w.startDBSS(o.p.w.dirs.Dat(name), name, nil, (*Proc).keepSif))
	if dead := o.p.at("start dbss", name, true); dead != nil {
		return dead
	}
	return err
}

func (o others) Stop(ctx context.Context, name string) error { return o.p.stopDBSS(ctx, name) }

// stopDBSS is daemon.Stop of a dbss; none running is no error.
func (p *Proc) stopDBSS(ctx context.Context, name string) error {
	if err := p.at("stop dbss", name, false); err != nil {
		return err
	}
	victim := p.w.find("dbss", name)
	if victim == nil {
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

// startDSRS starts the dsrs of a real server.
func (w *World) startDSRS(name string) *Proc {
	return w.spawn("dsrs", name, nil, func(p *Proc) error {
		dat := w.dats.Reals[w.dirs.Dat(name)]
		if !w.lock(name, p) {
			return fmt.Errorf("cannot monitor %s: %w", name, daemon.ErrMonitored)
		}
		stop, err := p.keepSif()
		if err != nil {
			return err
		}
		defer stop()
		local := local{p}
		return dsrs.New(dsrs.Deps{Data: dat, Settings: w.Settings, Log: p.logger(),
			Sif: ipc.NewClient(p.dial(name), "dsrs", p.clock()), Fleet: view{p, w.Model},
			Monitors: local, Servers: local, Limits: local, Resets: p.resets(),
			Clock: p.clock(), Ready: func() error { p.isReady(); return nil }}).Run(p.ctx)
	})
}

// local is what a dsrs finds on the management server.
type local struct{ p *Proc }

// Own implements dsrs.Monitors.
func (l local) Own(host string) (dsrs.Owner, error) {
	if !l.p.runs() || !l.p.w.lock(host, l.p) {
		return nil, fmt.Errorf("cannot monitor %s: %w", host, daemon.ErrMonitored)
	}
	return owner{l.p, host}, nil
}

// Held implements dsrs.Monitors.
func (l local) Held(host string) bool { return l.p.w.held(host) }

// Stop implements dsrs.Monitors.
func (l local) Stop(ctx context.Context, host string) error { return l.p.stopDBSS(ctx, host) }

// Server implements dsrs.Data.
func (l local) Server(host string) (mgmtdata.Server, error) {
	if s, ok := l.p.w.dats.Server(host); ok {
		return s, nil
	}
	return mgmtdata.ReadServer(l.p.w.dirs.SpareDat(host))
}

// BootSlot implements dsrs.Limits.
func (l local) BootSlot(ctx context.Context) (func(), error) {
	return l.p.bootSlot(l.p.w.Settings.DSRS.BootSlots)(ctx)
}

// WakeSlot implements dsrs.Limits.
func (l local) WakeSlot() (func(), error) {
	return l.p.trySlot(daemon.Waking, l.p.w.Settings.Brake.Wakes), nil
}

// MigrationSlot implements dsrs.Limits.
func (l local) MigrationSlot(ctx context.Context) (func(), error) {
	return l.p.slot(daemon.Migration, l.p.w.Settings.Brake.Migrations)(ctx)
}

func (l local) budget(host string) budget.File {
	set := l.p.w.Settings.DBSS
	return budget.File{Path: l.p.w.dirs.Budget(host), Disk: &l.p.w.notes, Host: host, Limit: set.BudgetRecoveries, Window: set.BudgetWindow.D()}
}

// BeginRecovery implements dsrs.Limits.
func (l local) BeginRecovery(host string) (time.Time, error) {
	if !l.p.runs() {
		return time.Time{}, errKilled
	}
	return l.budget(host).Begin(time.Now())
}

// EndRecovery implements dsrs.Limits.
func (l local) EndRecovery(host, outcome string) error {
	return ledger{l.p, l.budget(host)}.End(time.Now(), outcome)
}

// owner is a dsrs that holds the monitor lock of a server.
type owner struct {
	p    *Proc
	host string
}

// Start implements dsrs.Owner.
func (o owner) Start(ctx context.Context) error {
	defer o.Release()
	if err := o.p.at("start dbss", o.host, false); err != nil {
		return err
	}
	err := o.p.await(ctx, o.p.w.startDBSS(o.p.w.dirs.Dat(o.host), o.host, o.p, (*Proc).keepSif))
	if dead := o.p.at("start dbss", o.host, true); dead != nil {
		return dead
	}
	return err
}

// Release implements dsrs.Owner.
func (o owner) Release() { o.p.w.unlock(o.host, o.p) }
