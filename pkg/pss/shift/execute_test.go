package shift_test

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"pss-msbs/pkg/clock"
	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/conffile"
	"pss-msbs/pkg/mgmtdata"
	"pss-msbs/pkg/plan"
	"pss-msbs/pkg/pss/conf"
	"pss-msbs/pkg/pss/ops"
	"pss-msbs/pkg/pss/power"
	"pss-msbs/pkg/pss/record"
	"pss-msbs/pkg/pss/shift"
	"pss-msbs/pkg/settings"
	"pss-msbs/pkg/sim"
)

func ip(last int) netip.Addr { return netip.AddrFrom4([4]byte{172, 21, 14, byte(last)}) }

var errBroken = errors.New("broken on purpose")

// world is the paper's system in Moderate, its spares created.
type world struct {
	*testing.T
	model *sim.Model
	conf  *conffile.Dir
	log   bytes.Buffer
	ops   *ops.Ops
	power *power.Power
	fail  string // who gets no VIP
}

type flaky struct {
	ops.Fleet
	w *world
}

func (f flaky) AddVIP(ctx context.Context, g cluster.Guest, vip netip.Addr) error {
	if g.Host == f.w.fail {
		return errBroken
	}
	return f.Fleet.AddVIP(ctx, g, vip)
}

type monitors struct{}

func (monitors) Ensure(context.Context, ops.ServerData) error { return nil }
func (monitors) Stop(context.Context, string) error           { return nil }
func (monitors) Running(string) (bool, error)                 { return false, nil }

func play(t *testing.T, do func(w *world)) {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("../../../testdata/paper")); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		w := &world{T: t}
		w.open(dir)
		defer w.model.Close()
		for _, s := range w.tables().Spares {
			w.ok(w.ops.Create(t.Context(), cluster.Guest{Host: s.Host, IP: s.IP, Real: ip(201)}, s.Group))
		}
		do(w)
		if v := w.model.Violations(); len(v) > 0 {
			t.Errorf("violations %+v", v)
		}
		if t.Failed() {
			t.Log(w.log.String())
		}
	})
}

func (w *world) ok(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) open(dir string) {
	set, err := settings.Read(filepath.Join(dir, settings.File))
	w.ok(err)
	all, err := mgmtdata.ReadDir(dir)
	w.ok(err)
	var data ops.Data
	for _, p := range slices.Sorted(maps.Keys(all.Servers)) {
		data.Servers = append(data.Servers, all.Servers[p])
	}
	for _, p := range slices.Sorted(maps.Keys(all.Reals)) {
		data.Reals = append(data.Reals, all.Reals[p])
	}
	w.conf = conffile.Open(dir, conffile.Options{NoNotify: true})
	spec, err := sim.FromTables(w.tables(), data.Servers, data.Reals, set)
	w.ok(err)
	w.model, err = sim.New(spec, clock.Clock{})
	w.ok(err)
	log := zerolog.New(zerolog.SyncWriter(&w.log))
	free := func(context.Context) (func(), error) { return func() {}, nil }
	files := conf.Files{Dir: w.conf}
	w.ops = &ops.Ops{Fleet: ops.Guard(flaky{w.model, w}, clock.Clock{}), Files: files, Rescue: files, Monitors: monitors{}, Settings: set, Log: log,
		Data: func() ops.Data { return data }, Abandoned: func() ([]string, error) { return nil, nil }, Slot: free, Spare: free}
	w.power = &power.Power{Fleet: w.model, Files: files, Settings: set, Log: log, Wakes: record.Wakes{Dir: dir}}
}

func (w *world) tables() cluster.Tables {
	w.Helper()
	t, err := w.conf.View(w.Context())
	w.ok(err)
	return t
}

// shift carries out the plan for wants.
func (w *world) shift(wants map[string]cluster.Condition) shift.Outcome {
	w.Helper()
	t := w.tables()
	return shift.Execute(w.Context(), w.ops, w.power, t, plan.Make(t, nil, wants))
}

// done fails unless a plan made again is empty: the shift did all of it.
func (w *world) done() {
	w.Helper()
	if again := plan.Make(w.tables(), nil, nil); len(again) != 0 {
		w.Errorf("left to do: %v", again)
	}
}

func all(c cluster.Condition) map[string]cluster.Condition {
	return map[string]cluster.Condition{"Mail": c, "Web": c, "FTP": c}
}

// There and back by every way, each in one go.
func TestThereAndBack(t *testing.T) {
	play(t, func(w *world) {
		for _, c := range []cluster.Condition{cluster.PS1, cluster.PS2, cluster.PS1, cluster.Moderate, cluster.PS2, cluster.Moderate} {
			out := w.shift(all(c))
			if len(out.Failed)+len(out.Reals)+len(out.Spares) != 0 {
				w.Fatalf("%s: %+v", c, out)
			}
			w.done()
			for _, row := range w.tables().Operation {
				if got := w.model.Holders(row.VIP); !slices.Equal(got, []string{row.Host}) {
					w.Errorf("%s: %v on %v, the files say %s", c, row.VIP, got, row.Host)
				}
			}
		}
		if n := strings.Count(w.log.String(), `"message":"shift done"`); n != 6 {
			w.Errorf("%d shifts done", n)
		}
	})
}

// A group whose receiver takes no VIP is as it was, its spare at rest; the
// others have gone on, and the real server that it needs is awake.
func TestOneGroupFails(t *testing.T) {
	play(t, func(w *world) {
		w.fail = "Ws"
		out := w.shift(all(cluster.PS1))
		if len(out.Failed) != 1 || !errors.Is(out.Failed["Web"], errBroken) {
			w.Errorf("failed %v", out.Failed)
		}
		want := map[string]cluster.Condition{"Mail": cluster.PS1, "FTP": cluster.PS1, "Web": cluster.Moderate}
		for _, s := range w.tables().State {
			if s.Condition != want[s.Group] {
				w.Errorf("%s is in %s", s.Group, s.Condition)
			}
		}
		if got := w.model.Holders(ip(105)); !slices.Equal(got, []string{"W2"}) || len(w.tables().Suspended) != 0 {
			w.Errorf("105 on %v, asleep %v", got, w.tables().Suspended)
		}
		ws := cluster.Guest{Host: "Ws", IP: ip(52), Real: ip(202)}
		if st, err := w.model.GuestState(w.Context(), ws); err != nil || st != cluster.GuestSaved {
			w.Errorf("Ws is %s, %v", st, err)
		}
		w.fail = ""
		w.shift(all(cluster.PS1))
		w.done()
	})
}

// Two hosts wake at the same time, and the shift takes no longer than one.
func TestParallelWakes(t *testing.T) {
	play(t, func(w *world) {
		w.shift(all(cluster.PS2))
		begun := time.Now()
		w.shift(all(cluster.Moderate))
		if took := time.Since(begun); took > 15*time.Second {
			w.Errorf("took %v", took)
		}
		w.done()
	})
}

// A shift that is cut off undoes nothing: the files say how far it came, and
// the next start goes on from there.
func TestCutOff(t *testing.T) {
	play(t, func(w *world) {
		ctx, cancel := context.WithCancel(w.Context())
		time.AfterFunc(1500*time.Millisecond, cancel)
		t := w.tables()
		out := shift.Execute(ctx, w.ops, w.power, t, plan.Make(t, nil, all(cluster.PS1)))
		if len(out.Failed) != 0 || strings.Contains(w.log.String(), "undone") || strings.Contains(w.log.String(), "shift done") {
			w.Errorf("outcome %+v", out)
		}
		w.shift(all(cluster.PS1))
		w.done()
	})
}

// A spare stands in access stop on another base than the one that needs it: it
// is put to rest there and restored here.
func TestSpareElsewhere(t *testing.T) {
	play(t, func(w *world) {
		fs := cluster.Guest{Host: "Fs", IP: ip(53), Real: ip(202)}
		w.ok(w.model.Restore(w.Context(), fs))
		w.ok(w.conf.Update(w.Context(), func(t *cluster.Tables) error {
			t.AccessStop = append(t.AccessStop, cluster.ServerRow{Group: "FTP", Real: fs.Real, VIP: ip(106), Host: fs.Host, IP: fs.IP})
			return nil
		}))
		if out := w.shift(all(cluster.PS1)); len(out.Failed)+len(out.Reals)+len(out.Spares) != 0 {
			w.Fatalf("%+v", out)
		}
		w.done()
		if st, err := w.model.GuestState(w.Context(), fs.On(ip(201))); err != nil || st != cluster.GuestRunning {
			w.Errorf("Fs on RS1 is %s, %v", st, err)
		}
	})
}
