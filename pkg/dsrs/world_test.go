package dsrs

import (
	"context"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"pss-msbs/pkg/clock"
	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/conffile"
	"pss-msbs/pkg/daemon"
	"pss-msbs/pkg/ipc"
	"pss-msbs/pkg/lockedfile"
	"pss-msbs/pkg/mgmtdata"
	"pss-msbs/pkg/settings"
	"pss-msbs/pkg/sif"
	"pss-msbs/pkg/sim"
)

const paper = "../../testdata/paper"

var (
	ip   = netip.MustParseAddr
	rs1  = ip("172.21.14.201")
	rs2  = ip("172.21.14.202")
	rs3  = ip("172.21.14.203")
	mgmt = ip("172.21.14.200")
	vip1 = ip("172.21.14.101") // of M1
	vip2 = ip("172.21.14.102") // of W1
)

// world is the paper's system in one process under virtual time: the emulated
// fleet, the seven files, a sif, and the dsrs of RS1.
type world struct {
	*testing.T
	ctx   context.Context
	dir   string
	set   settings.Settings
	dats  mgmtdata.Dir
	model *sim.Model
	disk  *lockedfile.Memory // with the seven files
	files *conffile.Dir
	sif   *ipc.Client // of the test itself
	mon   *monitors
	lim   *limits
	log   *logBuffer
	run   *run
	rests sync.WaitGroup // what dbss do at their start
}

// run is one life of the dsrs.
type run struct {
	dsrs   *DSRS
	fleet  *mortal
	sif    func() // ends the companion
	cancel context.CancelFunc
	done   chan struct{}
	err    error
}

// in runs test in a bubble, in a world whose files edit has changed and whose
// backups of RS1's servers are paused.
func in(t *testing.T, edit func(*cluster.Tables), test func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		w := newWorld(t, ctx, edit)
		defer func() {
			w.stop()
			cancel()
			w.rests.Wait()
			w.model.Close()
			synctest.Wait()
			if t.Failed() {
				t.Logf("log:\n%s", w.log)
			}
		}()
		w.makeBackups()
		test(w)
		for _, v := range w.model.Violations() {
			t.Errorf("violation: %+v", v)
		}
	})
}

func newWorld(t *testing.T, ctx context.Context, edit func(*cluster.Tables)) *world {
	w := &world{T: t, ctx: ctx, dir: t.TempDir(), log: &logBuffer{}}
	w.must(os.CopyFS(w.dir, os.DirFS(paper)))
	var err error
	w.set, err = settings.Read(filepath.Join(w.dir, "settings.toml"))
	w.must(err)
	w.dats, err = mgmtdata.ReadDir(w.dir)
	w.must(err)
	w.disk, err = conffile.Load(w.dir)
	w.must(err)
	w.files = conffile.Open(w.dir, conffile.Options{Disk: w.disk, NoNotify: true, Poll: 400 * time.Millisecond, Holder: "test"})
	if edit != nil {
		w.must(w.files.Update(ctx, func(t *cluster.Tables) error { edit(t); return nil }))
	}
	spec, err := sim.FromTables(w.tables(), slices.Collect(maps.Values(w.dats.Servers)), slices.Collect(maps.Values(w.dats.Reals)), w.set)
	w.must(err)
	spec.Balancer.Off = true // no clients: what counts here is who holds a VIP
	w.model, err = sim.New(spec, clock.Clock{})
	w.must(err)
	w.mon = &monitors{w: w, held: map[string]string{}, started: map[string]int{}}
	for _, s := range w.dats.Servers {
		if s.Real.IsValid() {
			w.mon.held[s.Host] = "dbss"
		}
	}
	w.lim = &limits{w: w, slots: make(chan struct{}, w.set.DSRS.BootSlots), moves: make(chan struct{}, 1), due: map[string]time.Time{}, begun: map[string]int{}}
	w.sif, _ = w.companion() // ends with ctx
	return w
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// companion starts a sif in this process and returns a client of it, and what ends it.
func (w *world) companion() (*ipc.Client, func()) {
	ctx, cancel := context.WithCancel(w.ctx)
	l := ipc.NewMemListener()
	s := sif.New(sif.Options{Files: w.files, DatDir: w.dir, Management: mgmt, Failed: ipc.Failed{Dir: w.dir},
		Monitored: func(host string) (bool, error) { return w.mon.Held(host), nil }})
	var serving sync.WaitGroup
	serving.Go(func() { s.Serve(ctx, l) })
	return ipc.NewClient(l.Dial, "dsrs", clock.Clock{}), func() { cancel(); serving.Wait() }
}

func (w *world) tables() cluster.Tables {
	w.Helper()
	t, err := w.files.View(w.ctx)
	w.must(err)
	return t
}

// dat is the management data of a virtual server.
func (w *world) dat(host string) mgmtdata.Server {
	w.Helper()
	for _, s := range w.dats.Servers {
		if s.Host == host {
			return s
		}
	}
	w.Fatalf("no data of %s", host)
	return mgmtdata.Server{}
}

func (w *world) guest(host string, real netip.Addr) cluster.Guest {
	return cluster.Guest{Host: host, IP: w.dat(host).IP, Real: real}
}

func (w *world) makeBackups() {
	for _, host := range []string{"Mb", "Wb"} {
		g := w.guest(host, mgmt)
		w.must(w.model.Start(w.ctx, g))
		w.await("boot of "+host, time.Minute, func() bool { return w.state(g) == cluster.GuestRunning })
		w.must(w.model.Pause(w.ctx, g))
	}
}

func (w *world) state(g cluster.Guest) cluster.GuestState {
	s, err := w.model.GuestState(w.ctx, g)
	if err != nil {
		return cluster.GuestState(err.Error())
	}
	return s
}

// start begins a life of the dsrs.
func (w *world) start() *DSRS {
	w.Helper()
	ctx, cancel := context.WithCancel(w.ctx)
	companion, endSif := w.companion()
	r := &run{sif: endSif, cancel: cancel, done: make(chan struct{}), fleet: &mortal{Model: w.model}}
	real, err := mgmtdata.ReadReal(filepath.Join(w.dir, "RS1.dat"))
	w.must(err)
	r.dsrs = New(Deps{Data: real, Settings: w.set, Log: daemon.NewLoggerTo(w.log, "dsrs", "RS1", "text", clock.Clock{}).Level(zerolog.DebugLevel),
		Sif: companion, Fleet: r.fleet, Monitors: w.mon, Servers: w, Limits: w.lim, Resets: w.lim})
	w.run = r
	go func() {
		defer close(r.done)
		r.err = r.dsrs.Run(ctx)
	}()
	return r.dsrs
}

// stop ends the dsrs as SIGTERM does.
func (w *world) stop() {
	w.Helper()
	if w.run == nil {
		return
	}
	w.run.cancel()
	<-w.run.done
	w.run.sif()
	if w.run.err != nil {
		w.Error(w.run.err)
	}
	w.run = nil
}

// kill ends the dsrs as SIGKILL does: nothing that it still wants to do
// reaches the fleet or the files, and its locks are gone.
func (w *world) kill() {
	w.run.fleet.kill()
	w.run.sif()
	w.run.cancel()
	<-w.run.done
	w.mon.drop("dsrs")
	w.run = nil
}

// Server implements Data.
func (w *world) Server(host string) (mgmtdata.Server, error) {
	return mgmtdata.ReadServer(filepath.Join(w.dir, host+".dat"))
}

// fault injects a fault.
func (w *world) fault(kind, target string) {
	w.Helper()
	w.must(w.model.Inject(sim.Fault{Kind: kind, Target: target}))
}

func (w *world) heal(target string) { w.Helper(); w.must(w.model.Heal(target)) }

// await waits until ok, for at most limit of virtual time.
func (w *world) await(what string, limit time.Duration, ok func() bool) {
	w.Helper()
	end := time.Now().Add(limit)
	for !ok() {
		if time.Now().After(end) {
			w.Fatalf("%s: not within %s", what, limit)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func (w *world) awaitState(s State, limit time.Duration) {
	w.Helper()
	w.await("state "+string(s), limit, func() bool { return w.log.state() == s })
}

// awaitLog waits for a message of the log.
func (w *world) awaitLog(message string, limit time.Duration) {
	w.Helper()
	w.await("message "+message, limit, func() bool { return strings.Contains(w.log.String(), message) })
}

// takeOver does what the dbss of host does when its real server is silent: A3,
// the backup with its VIPs on the management server, A4, the backup's dbss,
// and its own end.
func (w *world) takeOver(host string) {
	w.Helper()
	s := w.dat(host)
	g := w.guest(s.Backup, mgmt)
	_, err := w.sif.Call(w.ctx, ipc.Request{Verb: ipc.A3, Host: host})
	w.must(err)
	w.must(w.model.Resume(w.ctx, g))
	w.must(w.model.SetClock(w.ctx, g))
	w.must(w.model.AddVIP(w.ctx, g, s.VIP))
	_, err = w.sif.Call(w.ctx, ipc.Request{Verb: ipc.A4, Host: host, Real: mgmt,
		Backup: &ipc.Server{Host: s.Backup, IP: s.BackupIP, Group: s.Group}})
	w.must(err)
	w.mon.set(s.Backup, "dbss")
	w.mon.set(host, "")
}

// takeOverBoth is what happens after RS1 fell silent.
func (w *world) takeOverBoth() {
	w.Helper()
	time.Sleep(2 * time.Second)
	w.takeOver("M1")
	w.takeOver("W1")
}

// restored checks that RS1 and its servers are as at the beginning.
func (w *world) restored() {
	w.Helper()
	t := w.tables()
	if len(t.Separation) > 0 {
		w.Errorf("separation rows left: %v", t.Separation)
	}
	if !slices.ContainsFunc(t.Real, func(r cluster.RealRow) bool { return r.IP == rs1 && r.MAC == w.mac() }) {
		w.Errorf("the row of RS1 is not back: %v", t.Real)
	}
	for host, vip := range map[string]netip.Addr{"M1": vip1, "W1": vip2} {
		if rows := t.Operation.Of(host); len(rows) != 1 || rows[0].VIP != vip || rows[0].Real != rs1 {
			w.Errorf("operation rows of %s: %v", host, rows)
		}
		if got := w.model.Holders(vip); !slices.Equal(got, []string{host}) {
			w.Errorf("%s is held by %v, want %s", vip, got, host)
		}
		if !w.mon.is(host, "dbss") {
			w.Errorf("nobody monitors %s", host)
		}
		b := w.dat(host).Backup
		if w.mon.Held(b) {
			w.Errorf("%s is still monitored", b)
		}
		w.await("the rest of "+b, 2*time.Minute, func() bool { return w.state(w.guest(b, mgmt)) == cluster.GuestPaused })
	}
}

func (w *world) mac() cluster.MAC { return cluster.MAC{5: 1} }
