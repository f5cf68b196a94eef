package dbss_test

import (
	"context"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"pss-msbs/pkg/budget"
	"pss-msbs/pkg/clock"
	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/conffile"
	"pss-msbs/pkg/daemon"
	"pss-msbs/pkg/dbss"
	"pss-msbs/pkg/doubt"
	"pss-msbs/pkg/ipc"
	"pss-msbs/pkg/lockedfile"
	"pss-msbs/pkg/mgmtdata"
	"pss-msbs/pkg/settings"
	"pss-msbs/pkg/sif"
	"pss-msbs/pkg/sim"
)

const paperDir = "../../testdata/paper"

// rig is the paper's system in one bubble of virtual time: the emulated fleet,
// the files in memory, and for each started monitor a real sif in memory.
type rig struct {
	t        *testing.T
	ctx      context.Context
	set      settings.Settings
	model    *sim.Model
	conf     string
	run      string
	disk     *lockedfile.Memory // with the seven files
	files    *conffile.Dir
	slots    chan struct{}
	log      *logBook
	taps     func(point) // called before and after every call of a monitor
	began    time.Time
	noLaunch bool                   // hand-over: starting a monitor fails
	gone     atomic.Pointer[string] // the guest whose hypervisor's connection is gone
	noARP    atomic.Bool            // nobody answers ARP in time
	noAgent  atomic.Bool            // no guest agent answers
	noTime   atomic.Bool            // no real server has an idle processor

	mu       sync.Mutex
	monitors map[string]*running
}

// running is one dbss with its sif.
type running struct {
	m      *dbss.Monitor
	cancel context.CancelFunc
	done   chan struct{}
	ready  chan struct{}
	err    error
}

// point is one call of a monitor to the outside, before or after it.
type point struct {
	ctx     context.Context // before the call
	monitor string
	op      string // a verb, or a method of the fleet
	host    string // of the guest it is about
	after   bool
	err     error
}

// play runs do in a bubble with the paper's system.
func play(t *testing.T, profile settings.Profile, do func(r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, profile)
		defer r.close()
		do(r)
	})
}

func newRig(t *testing.T, profile settings.Profile) *rig {
	t.Helper()
	set, err := settings.Read(filepath.Join(paperDir, "settings.toml"))
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, set: set.WithProfile(profile), conf: t.TempDir(), run: t.TempDir(),
		slots: make(chan struct{}, 2), log: &logBook{}, monitors: map[string]*running{}, began: time.Now()}
	if err := os.CopyFS(r.conf, os.DirFS(paperDir)); err != nil {
		t.Fatal(err)
	}
	var cancel context.CancelFunc
	r.ctx, cancel = context.WithCancel(t.Context())
	t.Cleanup(cancel)
	if r.disk, err = conffile.Load(r.conf); err != nil {
		t.Fatal(err)
	}
	r.files = r.open("test")
	return r
}

// open opens the files for somebody who looks at them twice a second.
func (r *rig) open(who string) *conffile.Dir {
	return conffile.Open(r.conf, conffile.Options{Disk: r.disk, Beside: r.files, NoNotify: true, Poll: 500 * time.Millisecond, Wait: 10 * time.Second, Holder: who})
}

// resets is the ledger of all monitors.
func (r *rig) resets() budget.Resets {
	return budget.Resets{Dir: r.run, Limit: 3, Window: 10 * time.Minute, Pause: 2 * time.Minute}
}

// edit changes the files, as pss or an operator would.
func (r *rig) edit(f func(*cluster.Tables)) {
	r.t.Helper()
	if err := r.files.Update(r.ctx, func(t *cluster.Tables) error { f(t); return nil }); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) tables() cluster.Tables {
	r.t.Helper()
	t, err := r.files.View(r.ctx)
	if err != nil {
		r.t.Fatal(err)
	}
	return t
}

// fleet builds the emulated fleet from the files as they are.
func (r *rig) fleet(change func(*sim.Spec)) {
	r.t.Helper()
	dats, err := mgmtdata.ReadDir(r.conf)
	if err != nil {
		r.t.Fatal(err)
	}
	spec, err := sim.FromTables(r.tables(), slices.Collect(maps.Values(dats.Servers)), slices.Collect(maps.Values(dats.Reals)), r.set)
	if err != nil {
		r.t.Fatal(err)
	}
	if change != nil {
		change(&spec)
	}
	if r.model, err = sim.New(spec, clock.Clock{}); err != nil {
		r.t.Fatal(err)
	}
}

// start starts the dbss of host with the .dat of the configuration directory.
func (r *rig) start(host string) *running {
	r.t.Helper()
	dat, err := mgmtdata.ReadServer(filepath.Join(r.conf, host+".dat"))
	if err != nil {
		r.t.Fatal(err)
	}
	return r.startDat(dat)
}

func (r *rig) startDat(dat mgmtdata.Server) *running {
	if r.model == nil {
		r.fleet(nil)
	}
	ctx, cancel := context.WithCancel(r.ctx)
	run := &running{cancel: cancel, done: make(chan struct{}), ready: make(chan struct{})}
	l := ipc.NewMemListener()
	s := sif.New(sif.Options{Files: r.open("sif " + dat.Host),
		DatDir: r.conf, Management: r.set.Management.IP, Failed: ipc.Failed{Dir: r.run}, Moving: ipc.Moves{Dir: r.run}, Log: zerolog.Nop()})
	var served sync.WaitGroup
	served.Go(func() { _ = s.Serve(ctx, l) })
	tap := &tapped{Model: r.model, Client: ipc.NewClient(l.Dial, "dbss", clock.Clock{}), r: r, monitor: dat.Host}
	run.m = dbss.New(dbss.Options{
		Target: dat, Settings: r.set, Fleet: tap, Companion: companion{tap}, Monitors: launcher{r},
		Doubts:   &doubt.Board{Dir: r.run, Brake: doubt.Brake{Share: 0.5, Least: 3, Window: 10 * time.Second, Longest: time.Minute}, Fleet: func() doubt.Fleet { return doubt.Fleet{Homes: 6, Reals: 3} }},
		Resets:   r.resets(),
		MoveSlot: func(context.Context) (func(), error) { return func() {}, nil },
		Budget:   budget.File{Path: budget.Path(r.run, dat.Host), Host: dat.Host, Limit: r.set.DBSS.BudgetRecoveries, Window: r.set.DBSS.BudgetWindow.D()},
		BootSlot: r.slot,
		Log:      daemon.NewLoggerTo(r.log, "dbss", dat.Host, "text", clock.Clock{}),
		Ready:    func() { close(run.ready) },
	})
	r.mu.Lock()
	r.monitors[dat.Host] = run
	r.mu.Unlock()
	go func() {
		defer close(run.done)
		run.err = run.m.Run(ctx)
		r.mu.Lock()
		if r.monitors[dat.Host] == run {
			delete(r.monitors, dat.Host)
		}
		r.mu.Unlock()
		cancel()
		served.Wait()
	}()
	return run
}

func (r *rig) slot(ctx context.Context) (func(), error) {
	select {
	case r.slots <- struct{}{}:
		return sync.OnceFunc(func() { <-r.slots }), nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// stop ends a monitor as a signal does: nothing it calls has an effect after.
func (r *running) stop() {
	r.cancel()
	<-r.done
}

// close ends everything and then asks the judges: the fleet and the rows.
func (r *rig) close() {
	r.t.Helper()
	r.mu.Lock()
	var all []*running
	for _, m := range r.monitors {
		all = append(all, m)
	}
	r.mu.Unlock()
	for _, m := range all {
		m.stop()
		if m.err != nil {
			r.t.Errorf("a monitor failed: %v", m.err)
		}
	}
	for _, v := range r.model.Violations() {
		r.t.Errorf("violation at %s: %s %s", v.At.Sub(r.began), v.Kind, v.What)
	}
	r.checkRows()
	_ = r.model.Close()
	if r.t.Failed() {
		r.t.Logf("log:\n%s", r.log)
	}
}

// checkRows: no row may be lost (SPEC 3, 10).
func (r *rig) checkRows() {
	r.t.Helper()
	t := r.tables()
	for n := 101; n <= 106; n++ {
		held := func(rows cluster.Rows) bool {
			return slices.ContainsFunc(rows, func(row cluster.ServerRow) bool { return row.VIP == ip(n) })
		}
		if !held(t.Operation) && !held(t.Separation) {
			r.t.Errorf("%s stands neither in operation nor in separation", ip(n))
		}
	}
	for _, host := range []string{"M1", "W1", "F1", "M2", "W2", "F2"} {
		in := 0
		for _, rows := range []cluster.Rows{t.Operation, t.AccessStop, t.Separation} {
			in += min(1, len(rows.Of(host)))
		}
		if in != 1 {
			r.t.Errorf("%s stands in %d of the three files", host, in)
		}
	}
}

func ip(last int) netip.Addr { return netip.AddrFrom4([4]byte{172, 21, 14, byte(last)}) }

// until waits in virtual time for ok.
func (r *rig) until(what string, most time.Duration, ok func() bool) {
	r.t.Helper()
	for end := time.Now().Add(most); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			r.t.Fatalf("%s did not come within %s\nlog:\n%s", what, most, r.log)
		}
	}
}

// logged waits for a message of host's monitor.
func (r *rig) logged(host, message string, most time.Duration) string {
	r.t.Helper()
	r.until(host+" logs "+message, most, func() bool { return r.log.find(host, message) != "" })
	return r.log.find(host, message)
}

// rested starts the monitors of hosts and waits until they see the normal
// state and their backups are paused.
func (r *rig) rested(hosts ...string) {
	r.t.Helper()
	for _, h := range hosts {
		r.start(h)
	}
	for _, h := range hosts {
		r.logged(h, dbss.MsgBackupPaused, 2*time.Minute)
		r.logged(h, dbss.MsgNormal, time.Minute)
	}
	r.log.forget()
}

func (r *rig) fault(kind, target string) {
	r.t.Helper()
	if err := r.model.Inject(sim.Fault{Kind: kind, Target: target}); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) heal(target string) {
	r.t.Helper()
	if err := r.model.Heal(target); err != nil {
		r.t.Fatal(err)
	}
}

// serves reports whether clients find vip on host and nowhere else.
func (r *rig) serves(host string, vip int) bool {
	return slices.Equal(r.model.Holders(ip(vip)), []string{host})
}

func (r *rig) state(host string) (cluster.GuestState, netip.Addr) {
	s, err := r.model.Status(context.Background(), sim.Query{})
	if err != nil {
		r.t.Fatal(err)
	}
	state, real := cluster.GuestAbsent, netip.Addr{}
	for _, g := range s.Guests { // one on the host where it is defined, too
		if g.Host == host && (state.Dead() || !g.State.Dead()) {
			state, real = g.State, g.Real
		}
	}
	return state, real
}

// row reports whether rows hold (vip, host).
func row(rows cluster.Rows, vip int, host string) bool {
	return slices.ContainsFunc(rows, func(r cluster.ServerRow) bool { return r.VIP == ip(vip) && r.Host == host })
}

// field is the duration in "key=1.2s" of a log line.
func (r *rig) field(line, key string) time.Duration {
	r.t.Helper()
	m := regexp.MustCompile(key + `=(\S+)`).FindStringSubmatch(line)
	if m == nil {
		r.t.Fatalf("%q has no %s", line, key)
	}
	d, err := time.ParseDuration(m[1])
	if err != nil {
		r.t.Fatal(err)
	}
	return d
}

// dat is the management data of host.
func (r *rig) dat(host string) mgmtdata.Server {
	r.t.Helper()
	d, err := mgmtdata.ReadServer(filepath.Join(r.conf, host+".dat"))
	if err != nil {
		r.t.Fatal(err)
	}
	return d
}

// spoil makes a file unreadable to a parser, as a slip of an editor does.
func (r *rig) spoil(file string) {
	r.t.Helper()
	b, err := r.disk.ReadFile(file)
	if err != nil {
		r.t.Fatal(err)
	}
	r.disk.WriteFile(file, append(slices.Clone(b), "Mail 172.21.14.\n"...))
}
