package pss_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
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
	"pss-msbs/pkg/guest"
	"pss-msbs/pkg/ipc"
	"pss-msbs/pkg/mgmtdata"
	"pss-msbs/pkg/pss"
	"pss-msbs/pkg/pss/conf"
	"pss-msbs/pkg/pss/ops"
	"pss-msbs/pkg/settings"
	"pss-msbs/pkg/sim"
)

const paper = "../../testdata/paper"

func ip(last int) netip.Addr { return netip.AddrFrom4([4]byte{172, 21, 14, byte(last)}) }

var rs1, rs2, rs3, mgmt = ip(201), ip(202), ip(203), ip(200)

// rig is an emulated fleet, the seven files in a directory and a pss on both,
// in a bubble of virtual time.
type rig struct {
	*testing.T
	ctx     context.Context
	model   *sim.Model
	fleet   pss.Fleet // model, or something around it
	dir     string
	conf    *conffile.Dir
	files   pss.Files
	set     settings.Settings
	data    ops.Data
	mon     *monitors
	log     *syncBuffer
	slow    time.Duration // what every sample takes besides
	running context.CancelFunc
	ended   chan error
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}
func (s *syncBuffer) String() string { s.mu.Lock(); defer s.mu.Unlock(); return s.b.String() }

// monitors plays the sif and dbss of spares.
type monitors struct {
	mu   sync.Mutex
	dats map[string]mgmtdata.Server
	fail map[string]bool
	hang string // whose monitor never comes up
}

func (m *monitors) Ensure(ctx context.Context, dat mgmtdata.Server) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.hang == dat.Host {
		m.mu.Unlock()
		<-ctx.Done()
		m.mu.Lock()
		return ctx.Err()
	}
	if m.fail[dat.Host] {
		return errors.New("no monitor today")
	}
	m.dats[dat.Host] = dat
	return nil
}

func (m *monitors) Stop(_ context.Context, host string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.dats, host)
	return nil
}

func (m *monitors) Running(host string) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, ok := m.dats[host]
	return ok, nil
}

func (m *monitors) hosts() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Sorted(maps.Keys(m.dats))
}

type meter struct {
	in   guest.Runner
	slow time.Duration // what every sample takes besides
}

func (m meter) Measure(ctx context.Context, g cluster.Guest) (pss.Sample, error) {
	_ = clock.Clock{}.Sleep(ctx, m.slow)
	r, err := guest.Measure(ctx, m.in, g)
	return pss.Sample{MemKB: float64(r.MemoryKB), MaxMemKB: float64(r.MaxMemoryKB), CPUPercent: r.CPU, NetKBs: r.NetworkKBs}, err
}

// play runs do with the system of conf ("" is the paper's), changed by edit
// before anything starts.
func play(t *testing.T, conf string, edit func(r *rig), do func(r *rig)) {
	t.Helper()
	dir := t.TempDir()
	if conf == "" {
		conf = paper
	}
	if err := os.CopyFS(dir, os.DirFS(conf)); err != nil {
		t.Fatal(err)
	}
	for _, sub := range []string{"run", "state"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, dir)
		if edit != nil {
			edit(r)
		}
		r.open()
		defer r.model.Close()
		defer r.stop()
		do(r)
		r.stop()
		if v := r.model.Violations(); len(v) > 0 {
			t.Errorf("violations: %+v", v)
		}
		if t.Failed() || os.Getenv("PSS_TEST_LOG") != "" {
			t.Log(r.log.String())
		}
	})
}

func newRig(t *testing.T, dir string) *rig {
	r := &rig{T: t, ctx: t.Context(), dir: dir, log: &syncBuffer{}, mon: &monitors{dats: map[string]mgmtdata.Server{}, fail: map[string]bool{}}}
	r.conf = conffile.Open(dir, conffile.Options{NoNotify: true, Poll: 500 * time.Millisecond, Holder: "test"})
	set, err := settings.Read(filepath.Join(dir, settings.File))
	r.ok(err)
	set.Fleet.Driver = "sim"
	set.Management.IP = mgmt
	r.set = set
	all, err := mgmtdata.ReadDir(dir)
	r.ok(err)
	for _, p := range slices.Sorted(maps.Keys(all.Servers)) {
		r.data.Servers = append(r.data.Servers, all.Servers[p])
	}
	for _, p := range slices.Sorted(maps.Keys(all.Reals)) {
		r.data.Reals = append(r.data.Reals, all.Reals[p])
	}
	return r
}

// open starts the fleet that the files speak of, its client asking so rarely
// that PS2 is possible.
func (r *rig) open() {
	spec, err := sim.FromTables(r.tables(), r.data.Servers, r.data.Reals, r.set)
	r.ok(err)
	spec.Balancer.AskInterval = 10 * time.Second
	spec.Load = 10
	r.model, err = sim.New(spec, clock.Clock{})
	r.ok(err)
	r.fleet, r.files = r.model, conf.Files{Dir: r.conf}
}

func (r *rig) options() pss.Options {
	failed := ipc.Failed{Dir: filepath.Join(r.dir, "run")}
	return pss.Options{
		Fleet: r.fleet, Files: r.files, Rescue: conf.Rescue{Dir: r.conf, Log: zerolog.New(r.log)}, Monitors: r.mon, Meter: meter{r.model, r.slow}, Accesses: r.model,
		Slot: free, SpareSlot: free,
		Data:      func() (ops.Data, error) { return r.data, nil },
		Abandoned: failed.Hosts, Forget: failed.Remove, Moving: ipc.Moves{Dir: filepath.Join(r.dir, "state")},
		LastGood: true, Settings: r.set, RunDir: filepath.Join(r.dir, "run"), StateDir: filepath.Join(r.dir, "state"),
		Log: zerolog.New(r.log).Hook(zerolog.HookFunc(func(e *zerolog.Event, _ zerolog.Level, _ string) {
			e.Str("time", time.Now().Format("15:04:05.000"))
		})),
	}
}

func free(context.Context) (func(), error) { return func() {}, nil }

// start starts a pss; stop ends it.
func (r *rig) start() { r.Helper(); r.startWith(r.options()) }

func (r *rig) startWith(opt pss.Options) {
	r.Helper()
	ctx, cancel := context.WithCancel(r.ctx)
	r.running, r.ended = cancel, make(chan error, 1)
	s := pss.New(opt)
	go func() { r.ended <- s.Run(ctx) }()
}

func (r *rig) stop() {
	if r.running == nil {
		return
	}
	r.running()
	if err := <-r.ended; err != nil {
		r.Errorf("pss ended: %v", err)
	}
	r.running = nil
}

func (r *rig) ok(err error) {
	r.Helper()
	if err != nil {
		r.Fatal(err)
	}
}

func (r *rig) tables() cluster.Tables {
	r.Helper()
	t, err := r.conf.View(r.ctx)
	r.ok(err)
	return t
}

// load sets the load of groups, all of them if none is named.
func (r *rig) load(percent float64, groups ...string) {
	r.Helper()
	if len(groups) == 0 {
		groups = r.groups()
	}
	for _, g := range groups {
		r.ok(r.model.SetLoad(g, percent, 0, 0))
	}
}

func (r *rig) accesses(perSecond float64) {
	for _, g := range r.groups() {
		r.ok(r.model.SetLoad(g, 10, perSecond, 0))
	}
}

func (r *rig) groups() []string {
	var out []string
	for _, s := range r.tables().State {
		out = append(out, s.Group)
	}
	return out
}

func (r *rig) inject(kind, target string) {
	r.Helper()
	r.ok(r.model.Inject(sim.Fault{Kind: kind, Target: target}))
}

// until waits for a condition in virtual time.
func (r *rig) until(limit time.Duration, what string, ok func() bool) time.Duration {
	r.Helper()
	begun := time.Now()
	for !ok() {
		if time.Since(begun) > limit {
			r.Fatalf("not within %v: %s\n%s\n%s", limit, what, r.describe(), r.log)
		}
		time.Sleep(20 * time.Millisecond)
	}
	return time.Since(begun)
}

// reach waits until all groups have a condition and reality is as the files say.
func (r *rig) reach(c cluster.Condition, limit time.Duration) {
	r.Helper()
	r.until(limit, string(c), func() bool {
		time.Sleep(100 * time.Millisecond) // reading the files is most of what a test costs
		return r.in(c) && r.consistent() == nil
	})
}

// in reports whether all groups have a condition.
func (r *rig) in(c cluster.Condition) bool {
	t, err := r.conf.View(r.ctx)
	return err == nil && !slices.ContainsFunc(t.State, func(s cluster.StateRow) bool { return s.Condition != c })
}

// consistent is nil when VIPs, power and spares are as the files say.
func (r *rig) consistent() error {
	t := r.tables()
	for _, row := range t.Operation {
		if got := r.model.Holders(row.VIP); !slices.Equal(got, []string{row.Host}) {
			return fmt.Errorf("%v: held by %v, the files say %s", row.VIP, got, row.Host)
		}
	}
	st, err := r.model.Status(r.ctx, sim.Query{})
	if err != nil {
		return err
	}
	for _, h := range st.Hosts {
		asleep := t.IsAsleep(h.IP)
		if h.IP != mgmt && asleep != (h.State == sim.Suspended) {
			return fmt.Errorf("%s is %s", h.Name, h.State)
		}
	}
	return nil
}

func (r *rig) describe() string {
	var b strings.Builder
	t, err := r.conf.View(r.ctx)
	fmt.Fprintln(&b, "files:", err, "consistent:", r.consistent())
	for name, rows := range map[string]cluster.Rows{"operation": t.Operation, "access-stop": t.AccessStop, "separation": t.Separation} {
		for _, row := range rows {
			fmt.Fprintln(&b, name, row)
		}
	}
	fmt.Fprintln(&b, "real", t.Real, "suspended", t.Suspended, "state", t.State, "monitors", r.mon.hosts())
	return b.String()
}

// holder is who holds a VIP by the files.
func (r *rig) holder(vip int) string {
	for _, row := range r.tables().Operation {
		if row.VIP == ip(vip) {
			return row.Host
		}
	}
	return ""
}

// noLoss fails when a client's access failed or was late since then.
func (r *rig) noLoss(since time.Time) {
	r.Helper()
	st, err := r.model.Status(r.ctx, sim.Query{Since: since})
	r.ok(err)
	for _, c := range st.Clients {
		if c.Failed > 0 || c.Delayed > 0 {
			r.Errorf("client of %s: asked %d, failed %d, delayed %d, longest %v", c.Group, c.Asked, c.Failed, c.Delayed, c.Longest)
		}
	}
}

// neverDark fails when there was an instant at which nobody held any VIP of a
// group: a client would find no server then, whenever it asks.
func (r *rig) neverDark(since time.Time) {
	r.Helper()
	st, err := r.model.Status(r.ctx, sim.Query{Since: since, Timeline: true})
	r.ok(err)
	group, held := map[string]string{}, map[string]map[string]bool{}
	for _, row := range r.tables().Operation {
		group[row.VIP.String()] = row.Group
		if held[row.Group] == nil {
			held[row.Group] = map[string]bool{}
		}
		held[row.Group][row.VIP.String()] = true
	}
	for _, e := range st.Timeline {
		vip, holder, ok := strings.Cut(e.What, " held by ")
		if e.Kind != "vip" || !ok {
			continue
		}
		g := group[vip]
		if delete(held[g], vip); holder != "nobody" {
			held[g][vip] = true
		}
		if len(held[g]) == 0 {
			r.Errorf("at %v nobody holds any VIP of %s", e.At.Sub(since), g)
		}
	}
}

// spares waits until all spares are created and at rest.
func (r *rig) spares() {
	r.Helper()
	spares := r.tables().Spares
	r.until(5*time.Minute, "spares at rest", func() bool {
		for _, s := range spares {
			if st, err := r.model.GuestState(r.ctx, cluster.Guest{Host: s.Host, IP: s.IP, Real: rs1}); err != nil || st != cluster.GuestSaved {
				return false
			}
		}
		return true
	})
}

func (r *rig) logged(message string) int {
	return strings.Count(r.log.String(), `"message":"`+message+`"`)
}

// took are the durations of the shifts so far.
func (r *rig) took() []time.Duration {
	var out []time.Duration
	for line := range strings.Lines(r.log.String()) {
		if !strings.Contains(line, `"message":"shift done"`) {
			continue
		}
		_, rest, _ := strings.Cut(line, `"took":"`)
		d, err := time.ParseDuration(rest[:strings.Index(rest, `"`)])
		r.ok(err)
		out = append(out, d)
	}
	return out
}

func (r *rig) condition(group string) cluster.Condition {
	for _, s := range r.tables().State {
		if s.Group == group {
			return s.Condition
		}
	}
	r.Fatalf("no group %s", group)
	return ""
}

// guest is a server where the fleet has it.
func (r *rig) guest(host string) cluster.Guest {
	r.Helper()
	st, err := r.model.Status(r.ctx, sim.Query{})
	r.ok(err)
	for _, g := range st.Guests {
		if g.Host == host {
			d, _ := r.data.Of(host)
			if !d.IP.IsValid() {
				for _, s := range r.tables().Spares {
					if s.Host == host {
						d.IP = s.IP
					}
				}
			}
			return cluster.Guest{Host: host, IP: d.IP, Real: g.Real}
		}
	}
	r.Fatalf("no server %s", host)
	return cluster.Guest{}
}

func (r *rig) mac(real netip.Addr) cluster.MAC {
	for _, d := range r.data.Reals {
		if d.IP == real {
			return d.MAC
		}
	}
	r.Fatalf("no real server %v", real)
	return cluster.MAC{}
}

// separate plays a dbss from A3 to A4: host is fenced, its backup serves.
func (r *rig) separate(host, backup string) {
	r.Helper()
	d, _ := r.data.Of(host)
	b := cluster.Guest{Host: backup, IP: d.BackupIP, Real: mgmt}
	r.toSeparation(host)
	for _, row := range r.tables().Separation.Of(host) {
		r.ok(r.model.DelVIP(r.ctx, row.Guest(), row.VIP))
	}
	r.ok(r.model.Start(r.ctx, b))
	r.until(time.Minute, "backup answers", func() bool { return r.model.Greet(r.ctx, b.IP, d.Daemons[0]) == nil })
	for _, row := range r.tables().Separation.Of(host) {
		r.ok(r.model.AddVIP(r.ctx, b, row.VIP))
		r.ok(r.conf.Update(r.ctx, func(t *cluster.Tables) error {
			t.Operation = append(t.Operation, cluster.ServerRow{Group: row.Group, Real: mgmt, VIP: row.VIP, Host: backup, IP: d.BackupIP})
			return nil
		}))
	}
}

func (r *rig) toSeparation(host string) {
	r.Helper()
	r.ok(r.conf.Update(r.ctx, func(t *cluster.Tables) error {
		rows := t.Operation.Of(host)
		t.Operation = slices.DeleteFunc(t.Operation, func(o cluster.ServerRow) bool { return o.Host == host })
		t.Separation = append(t.Separation, rows...)
		return nil
	}))
}

// abandon plays a dbss that found its target dead and no backup for it: A3,
// fence, A4-failed.
func (r *rig) abandon(host string) {
	r.Helper()
	r.toSeparation(host)
	r.ok(ipc.Failed{Dir: filepath.Join(r.dir, "run")}.Add(host))
}

// giveBack plays A5 recovered.
func (r *rig) giveBack(host, backup string) {
	r.Helper()
	r.ok(r.conf.Update(r.ctx, func(t *cluster.Tables) error {
		for _, row := range t.Separation.Of(host) {
			i := slices.IndexFunc(t.Operation, func(o cluster.ServerRow) bool { return o.VIP == row.VIP })
			switch {
			case t.Operation[i].Host == backup:
				b := t.Operation[i].Guest()
				if err := r.model.DelVIP(r.ctx, b, row.VIP); err != nil {
					return err
				}
				if err := r.model.AddVIP(r.ctx, row.Guest(), row.VIP); err != nil {
					return err
				}
				t.Operation[i] = row
			default:
				t.AccessStop = append(t.AccessStop, row)
			}
		}
		t.Separation = slices.DeleteFunc(t.Separation, func(o cluster.ServerRow) bool { return o.Host == host })
		return nil
	}))
	r.ok(ipc.Failed{Dir: filepath.Join(r.dir, "run")}.Remove(host))
}

// class changes the thresholds of every group.
func (r *rig) class(edit func(*settings.Class)) {
	edit(&r.set.Class)
	r.set.Group = maps.Clone(r.set.Group)
	for name, g := range r.set.Group {
		edit(&g.Class)
		r.set.Group[name] = g
	}
}
