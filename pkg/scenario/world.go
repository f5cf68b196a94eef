package scenario

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"pss-msbs/pkg/clock"
	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/conffile"
	"pss-msbs/pkg/daemon"
	"pss-msbs/pkg/lockedfile"
	"pss-msbs/pkg/mgmtdata"
	"pss-msbs/pkg/notes"
	"pss-msbs/pkg/pss/ops"
	"pss-msbs/pkg/pss/pssrun"
	"pss-msbs/pkg/settings"
	"pss-msbs/pkg/sim"
)

// World is the compound system in one process. It must be made, used and
// closed inside one testing/synctest bubble.
type World struct {
	Model    *sim.Model
	Settings settings.Settings
	Poll     time.Duration // how often programs look at the files; 0: they are told of every change
	Relaunch bool          // launchers restart a program after exit 0 too
	// OnPoint is called by a program at each of its points; it may Kill it.
	OnPoint func(*Proc, Point)
	// Trouble is what goes wrong with disks and replies; nil: nothing.
	Trouble *trouble

	dirs   daemon.Dirs
	notes  notes.Memory       // of the run and state directories
	disk   *lockedfile.Memory // with the seven files
	files  *conffile.Dir      // the judge's own
	dats   mgmtdata.Dir
	data   ops.Data          // the same in the order of the names
	spares []string          // by name
	known  cluster.HomeNames // the homes of the VIPs
	log    *book

	ctx       context.Context
	cancel    context.CancelFunc
	bodies    sync.WaitGroup // of programs
	launchers sync.WaitGroup

	mu    sync.Mutex
	procs []*Proc
	pids  int // the last one given
	kills []kill
	halts []halted

	separations []separation        // of VIPs, for the judge of harm
	locks       map[string][]*Proc  // monitor locks: an open file may be shared; the last one monitors
	sockets     map[string]listener // by path
	slots       map[slot]*Proc      // of boots, wakes, migrations
	down        time.Time           // until when the management server reboots
}

// New makes the world of a configuration directory; edit, where not nil, may
// change settings and fleet before the programs start. The seven files are
// read into memory, where the programs change them.
func New(dir string, edit func(*settings.Settings, *sim.Spec)) (*World, error) {
	disk, err := conffile.Load(filepath.Join(dir, "conf"))
	if err != nil {
		return nil, err
	}
	w := &World{log: &book{began: time.Now()}, disk: disk,
		dirs:  daemon.Dirs{Conf: filepath.Join(dir, "conf"), Run: filepath.Join(dir, "run"), State: filepath.Join(dir, "state"), Log: dir},
		locks: map[string][]*Proc{}, sockets: map[string]listener{}, slots: map[slot]*Proc{}}
	if err := w.dirs.Prepare(); err != nil {
		return nil, err
	}
	w.files = w.openFiles(conffile.Options{Holder: "judge"})
	w.ctx, w.cancel = context.WithCancel(context.Background())
	return w, w.open(edit)
}

// openFiles opens the seven files; what one has read and parsed the others need not.
func (w *World) openFiles(opt conffile.Options) *conffile.Dir {
	opt.Disk, opt.Beside = w.disk, w.files
	opt.NoNotify, opt.Poll = w.Poll > 0, w.Poll
	return conffile.Open(w.dirs.Conf, opt)
}

func (w *World) open(edit func(*settings.Settings, *sim.Spec)) (err error) {
	if w.Settings, err = settings.Read(w.dirs.Settings()); err != nil {
		return err
	}
	if w.dats, err = mgmtdata.ReadDir(w.dirs.Conf); err != nil {
		return err
	}
	t, err := w.files.View(w.ctx)
	if err != nil {
		return err
	}
	for _, s := range t.Spares {
		w.spares = append(w.spares, s.Host)
	}
	slices.Sort(w.spares)
	w.data = pssrun.InOrder(w.dats)
	w.known = w.data.Homes()
	spec, err := sim.FromTables(t, w.data.Servers, w.data.Reals, w.Settings)
	if err != nil {
		return err
	}
	spec.Balancer.AskInterval = 10 * time.Second // so rarely that PS2 is possible
	if edit != nil {
		edit(&w.Settings, &spec)
	}
	w.Model, err = sim.New(spec, clock.Clock{})
	return err
}

// Launch starts every program with its launcher, as after a boot of the
// management server.
func (w *World) Launch() {
	for _, name := range w.homes() {
		w.launch("dbss " + name)
	}
	for _, name := range w.reals() {
		w.launch("dsrs " + name)
	}
	w.launch("pss")
}

// restartPause is how long a launcher waits.
const restartPause = time.Second

// launch runs a program and restarts it a second after it died or failed.
func (w *World) launch(who string) {
	w.launchers.Go(func() {
		for w.ctx.Err() == nil {
			p := w.start(who)
			<-p.ended
			if p.err == nil && !w.Relaunch {
				return
			}
			p.sleep(w.ctx, restartPause, "launcher")
			w.up()
		}
	})
}

// Close ends all programs and the fleet.
func (w *World) Close() {
	w.log.close()
	w.cancel()
	w.launchers.Wait()
	w.bodies.Wait()
	_ = w.Model.Close()
}

// told are the kinds of the fleet's own record that stand in the log.
var told = []string{"real", "vip", "power", "client", "migrated", "violation", "exception", "harm"}

// Log is the merged log so far: of all programs, and what became of the fleet.
func (w *World) Log() string {
	st, err := w.Model.Status(context.Background(), sim.Query{Timeline: true})
	if err != nil {
		return err.Error()
	}
	var fleet []line
	for _, e := range st.Timeline {
		if slices.Contains(told, e.Kind) {
			fleet = append(fleet, line{at: e.At, who: "fleet", text: e.What})
		}
	}
	return w.log.text(fleet)
}

// Tables is what the files say.
func (w *World) Tables() (cluster.Tables, error) { return w.files.View(w.ctx) }

// homes are the home servers by name, reals the real servers.
func (w *World) homes() []string {
	var out []string
	for _, s := range w.dats.Servers {
		if !s.IsBackup() {
			out = append(out, s.Host)
		}
	}
	slices.Sort(out)
	return out
}

func (w *World) reals() []string {
	var out []string
	for _, r := range w.dats.Reals {
		out = append(out, r.Host)
	}
	slices.Sort(out)
	return out
}

// find is the running program of a name, or nil. Of two dbss it is the one that
// monitors, not the one that waits for its turn.
func (w *World) find(program, name string) *Proc {
	if m := w.monitorOf(name); m != nil && m.Program == program {
		return m
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range w.procs {
		if p.Program == program && p.Name == name {
			return p
		}
	}
	return nil
}

// Running lists the running programs.
func (w *World) Running() []*Proc {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.procs)
}

// Kill kills a running program, as "dbss M1", with -9.
func (w *World) Kill(who string) error {
	program, name := split(who)
	p := w.find(program, name)
	if p == nil {
		return fmt.Errorf("cannot kill %s: it does not run", who)
	}
	p.Kill()
	return nil
}

// forget takes what a process held from it.
func (w *World) forget(p *Proc) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.procs = slices.DeleteFunc(w.procs, func(o *Proc) bool { return o == p })
	for name := range w.locks {
		w.unlock(name, p)
	}
	for path, l := range w.sockets {
		if l.p == p {
			l.MemListener.Close()
			delete(w.sockets, path)
		}
	}
	maps.DeleteFunc(w.slots, func(_ slot, o *Proc) bool { return o == p })
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// server is the management data of a virtual server.
type server = mgmtdata.Server
