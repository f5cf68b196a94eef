package ops_test

import (
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
	"pss-msbs/pkg/edits"
	"pss-msbs/pkg/ipc"
	"pss-msbs/pkg/lockedfile"
	"pss-msbs/pkg/mgmtdata"
	"pss-msbs/pkg/pss/conf"
	"pss-msbs/pkg/pss/ops"
	"pss-msbs/pkg/pss/power"
	"pss-msbs/pkg/pss/record"
	"pss-msbs/pkg/settings"
	"pss-msbs/pkg/sim"
)

func ip(last int) netip.Addr { return netip.AddrFrom4([4]byte{172, 21, 14, byte(last)}) }

var (
	rs1, rs2, rs3 = ip(201), ip(202), ip(203)
	m1            = cluster.Guest{Host: "M1", IP: ip(1), Real: rs1}
	m2            = cluster.Guest{Host: "M2", IP: ip(4), Real: rs2}
	w2            = cluster.Guest{Host: "W2", IP: ip(5), Real: rs3}
	w1            = cluster.Guest{Host: "W1", IP: ip(2), Real: rs1}
)

var errBroken = errors.New("broken on purpose")

// world is the paper's system in Moderate, with calls that fail by name.
type world struct {
	*testing.T
	*ops.Ops
	ctx   context.Context
	power *power.Power
	model *sim.Model
	conf  *conffile.Dir
	fail  map[string]bool // "AddVIP M1"; "commit"

	abandoned []string
	run       string
}

func free(context.Context) (func(), error) { return func() {}, nil }

type flaky struct {
	ops.Fleet
	w *world
}

func (f flaky) AddVIP(ctx context.Context, g cluster.Guest, vip netip.Addr) error {
	if f.w.fail["AddVIP "+g.Host] {
		return errBroken
	}
	return f.Fleet.AddVIP(ctx, g, vip)
}

func (f flaky) DelVIP(ctx context.Context, g cluster.Guest, vip netip.Addr) error {
	if f.w.fail["DelVIP "+g.Host] {
		return errBroken
	}
	return f.Fleet.DelVIP(ctx, g, vip)
}

// Addrs of a silent agent says nothing until nobody waits any more.
func (f flaky) Addrs(ctx context.Context, g cluster.Guest) ([]netip.Addr, error) {
	if f.w.fail["Addrs "+g.Host] {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return f.Fleet.Addrs(ctx, g)
}

// Work tells of busy real servers what their guests wait for.
func (f flaky) Work(ctx context.Context, g cluster.Guest) (cluster.Work, error) {
	w, err := f.Fleet.Work(ctx, g)
	if f.w.fail["Work "+g.Host] {
		w.Idle = 0
	}
	return w, err
}

func (f flaky) Restore(ctx context.Context, g cluster.Guest) error {
	if f.w.fail["Restore "+g.Host] {
		return cluster.Unknown(errBroken)
	}
	return f.Fleet.Restore(ctx, g)
}

type noMonitors struct{}

func (noMonitors) Ensure(context.Context, ops.ServerData) error { return nil }
func (noMonitors) Stop(context.Context, string) error           { return nil }
func (noMonitors) Running(string) (bool, error)                 { return false, nil }

type wakes struct{ missed, woke int }

func (w *wakes) Woke(netip.Addr, time.Duration) error { w.woke++; w.missed = 0; return nil }
func (w *wakes) Missed(netip.Addr) error              { w.missed++; return nil }
func (w *wakes) Proved(netip.Addr) bool               { return w.missed == 0 }
func (w *wakes) FallsAsleep(netip.Addr) error         { return nil }
func (w *wakes) Asleep(netip.Addr) error              { return nil }

func (w *wakes) FellAsleep(netip.Addr) (time.Duration, bool) { return 0, false }

func play(t *testing.T, do func(w *world)) {
	t.Helper()
	dir, run := t.TempDir(), t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("../../../testdata/paper")); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		w := &world{T: t, ctx: t.Context(), fail: map[string]bool{}, run: run}
		w.open(dir)
		defer w.model.Close()
		do(w)
		if v := w.model.Violations(); len(v) > 0 {
			t.Errorf("violations %+v", v)
		}
	})
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
	w.conf = conffile.Open(dir, conffile.Options{NoNotify: true, Step: func(lockedfile.Step) error {
		if w.fail["commit"] {
			return errBroken
		}
		return nil
	}})
	tables, err := w.conf.View(w.ctx)
	w.ok(err)
	spec, err := sim.FromTables(tables, data.Servers, data.Reals, set)
	w.ok(err)
	w.model, err = sim.New(spec, clock.Clock{})
	w.ok(err)
	w.Ops = &ops.Ops{Fleet: ops.Guard(flaky{w.model, w}, clock.Clock{}), Files: conf.Files{Dir: w.conf}, Rescue: conf.Rescue{Dir: w.conf, Log: zerolog.Nop()},
		Monitors: noMonitors{}, Settings: set, Log: zerolog.Nop(), Data: func() ops.Data { return data },
		Abandoned: func() ([]string, error) { return w.abandoned, nil }, Forget: func(string) error { return nil }, Moving: ipc.Moves{Dir: w.run}, Starts: record.Starts{Dir: w.run},
		Slot: free, Spare: free}
	w.power = &power.Power{Fleet: w.model, Files: w.Files, Settings: set, Log: zerolog.Nop(), Wakes: &wakes{}, Starting: w.Ops.Starting}
}

func (w *world) ok(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) tables() cluster.Tables {
	w.Helper()
	t, err := w.conf.View(w.ctx)
	w.ok(err)
	return t
}

func (w *world) holder(vip int) string {
	for _, r := range w.tables().Operation {
		if r.VIP == ip(vip) {
			return r.Host
		}
	}
	return ""
}

// mail is Mail's part of a shift to PS2, web a move of W2's VIP to W1.
func mail() edits.Change {
	return edits.Change{Group: "Mail", From: cluster.Moderate, To: cluster.PS2,
		Moves: []edits.Move{{VIP: ip(104), From: m2, To: m1, Held: []netip.Addr{ip(104)}}}}
}

func web() edits.Change {
	return edits.Change{Group: "Web", From: cluster.Moderate, To: cluster.PS2,
		Moves: []edits.Move{{VIP: ip(105), From: w2, To: w1, Held: []netip.Addr{ip(105)}}}}
}

// A change that cannot be carried out leaves addresses and files as they were.
func TestChangeUndone(t *testing.T) {
	const quarter = 250 * time.Millisecond // to ask, to move and to undo that
	for _, c := range []struct {
		name string
		set  func(w *world)
		want string // in the error
	}{
		{"new holder refuses", func(w *world) { w.fail["AddVIP M1"] = true }, "broken on purpose"},
		{"old holder refuses", func(w *world) { w.fail["DelVIP M2"] = true }, "broken on purpose"},
		{"files not writable", func(w *world) { w.fail["commit"] = true }, "broken on purpose"},
		{"receiver silent", func(w *world) { w.ok(w.model.SetLink(w.ctx, m1, false)) }, "does not answer"},
		{"recovery began", func(w *world) {
			w.ok(w.conf.Update(w.ctx, func(t *cluster.Tables) error {
				t.Separation, t.Operation = append(t.Separation, t.Operation[0]), t.Operation[1:]
				return nil
			}))
		}, "recovery under way"},
		{"condition changed", func(w *world) {
			w.ok(w.conf.Update(w.ctx, func(t *cluster.Tables) error { t.State[0].Condition = cluster.PS1; return nil }))
		}, "files have changed"},
		{"receiver's host left", func(w *world) {
			w.ok(w.conf.Update(w.ctx, func(t *cluster.Tables) error { t.Real = t.Real[1:]; return nil }))
		}, "no active real server"},
	} {
		t.Run(c.name, func(t *testing.T) {
			play(t, func(w *world) {
				c.set(w)
				begun := time.Now()
				err := w.Change(w.ctx, mail(), nil)
				if err == nil || !strings.Contains(err.Error(), c.want) {
					w.Errorf("error %v, want %q", err, c.want)
				}
				if took := time.Since(begun); took > quarter && c.name != "receiver silent" {
					w.Errorf("it took %v: undone after the lock was given back", took)
				}
				if w.holder(104) != "M2" || !slices.Equal(w.model.Holders(ip(104)), []string{"M2"}) {
					w.Errorf("104: %s by the files, %v by the network", w.holder(104), w.model.Holders(ip(104)))
				}
			})
		})
	}
}

// stopped has M1 in access stop, without its VIP.
func (w *world) stopped() {
	w.ok(w.model.DelVIP(w.ctx, m1, ip(101)))
	w.ok(w.conf.Update(w.ctx, func(t *cluster.Tables) error {
		i := slices.IndexFunc(t.Operation, func(r cluster.ServerRow) bool { return r.Host == "M1" })
		t.AccessStop, t.Operation = append(t.AccessStop, t.Operation[i]), slices.Delete(t.Operation, i, i+1)
		return nil
	}))
}

// A server in access stop that was to get a VIP, and is too slow to say that it has
// not got it, is cut off only if it may have it, and reconnected once it is known. It
// is destroyed only if it has said nothing for long, where there is time to spare.
func TestSlowReceiver(t *testing.T) {
	for name, c := range map[string]struct {
		fail    []string
		cut     bool
		slow    []string // what fails for long
		want    cluster.GuestState
		settled bool
	}{
		"never given":               {fail: []string{"DelVIP M2", "DelVIP M1"}, want: cluster.GuestRunning, settled: true},
		"given":                     {fail: []string{"AddVIP M1", "DelVIP M1", "Addrs M1"}, cut: true, want: cluster.GuestRunning, settled: true},
		"given and silent":          {fail: []string{"AddVIP M1", "DelVIP M1", "Addrs M1"}, cut: true, slow: []string{"Addrs M1"}, want: cluster.GuestOff},
		"given and silent, no time": {fail: []string{"AddVIP M1", "DelVIP M1", "Addrs M1"}, cut: true, slow: []string{"Addrs M1", "Work M1"}, want: cluster.GuestRunning},
	} {
		t.Run(name, func(t *testing.T) {
			play(t, func(w *world) {
				w.stopped()
				w.failing(c.fail, true)
				if err := w.Change(w.ctx, mail(), nil); err == nil {
					w.Error("no error")
				}
				if !slices.Equal(w.model.Holders(ip(104)), []string{"M2"}) {
					w.Errorf("104 is held by %v", w.model.Holders(ip(104)))
				}
				if err := w.model.Ping(w.ctx, m1.IP); (err != nil) != c.cut {
					w.Errorf("ping of M1: %v; want it cut off: %v", err, c.cut)
				}
				w.failing(c.fail, false)
				w.failing(c.slow, true)
				time.Sleep(w.Settings.DBSS.FreezeDeadline.D())
				w.finishMarks()
				if st, err := w.model.GuestState(w.ctx, m1); err != nil || st != c.want {
					w.Errorf("M1 is %s (%v), want %s", st, err, c.want)
				}
				if err := w.model.Ping(w.ctx, m1.IP); (err == nil) != c.settled {
					w.Errorf("in the end ping of M1: %v", err)
				}
			})
		})
	}
}

func (w *world) failing(calls []string, fails bool) {
	for _, call := range calls {
		w.fail[call] = fails
	}
}

// finishMarks ends the moves that are marked, as far as that is possible.
func (w *world) finishMarks() {
	marks, err := w.Moving.All()
	w.ok(err)
	for _, m := range marks {
		_, _ = w.Finish(w.ctx, w.tables(), m)
	}
}

// Two groups that change at the same time share one hold; one that fails does
// not keep the other from it.
func TestChangesTogether(t *testing.T) {
	play(t, func(w *world) {
		w.fail["AddVIP W1"] = true
		errs := make(chan error, 2)
		begun := time.Now()
		go func() { errs <- w.Change(w.ctx, mail(), nil) }()
		go func() { errs <- w.Change(w.ctx, web(), nil) }()
		first, second := <-errs, <-errs
		if (first == nil) == (second == nil) {
			w.Errorf("errors %v and %v, want one", first, second)
		}
		if w.holder(104) != "M1" || w.holder(105) != "W2" {
			w.Errorf("104 on %s, 105 on %s", w.holder(104), w.holder(105))
		}
		if took := time.Since(begun); took > 300*time.Millisecond {
			w.Errorf("took %v: one after the other", took)
		}
	})
}

// A VIP that a stranger answers for is not moved.
func TestStrangerHolds(t *testing.T) {
	play(t, func(w *world) {
		w.ok(w.model.DelVIP(w.ctx, m2, ip(104)))
		w.ok(w.model.AddVIP(w.ctx, w1, ip(104)))
		if err := w.Change(w.ctx, mail(), nil); err == nil || !strings.Contains(err.Error(), "is held by") {
			w.Errorf("error %v", err)
		}
		mended, err := w.Settle(w.ctx, ip(104), w.Known(w.ctx, w.tables()))
		if err != nil || !mended || !slices.Equal(w.model.Holders(ip(104)), []string{"M2"}) {
			w.Errorf("mended %v, %v, held by %v", mended, err, w.model.Holders(ip(104)))
		}
		if astray := w.Astray(w.ctx, w.tables()); len(astray) > 0 {
			w.Errorf("astray %v", astray)
		}
	})
}

// A VIP in separation is its owner's: nobody mends it.
func TestSeparationIsLeftAlone(t *testing.T) {
	play(t, func(w *world) {
		w.ok(w.model.DelVIP(w.ctx, m2, ip(104)))
		w.ok(w.conf.Update(w.ctx, func(t *cluster.Tables) error {
			i := slices.IndexFunc(t.Operation, func(r cluster.ServerRow) bool { return r.Host == "M2" })
			t.Separation = append(t.Separation, t.Operation[i])
			t.Operation[i].Host, t.Operation[i].IP, t.Operation[i].Real = "Mb2", ip(64), ip(200)
			return nil
		}))
		if astray := w.Astray(w.ctx, w.tables()); len(astray) > 0 {
			w.Errorf("astray %v", astray)
		}
		if mended, err := w.Settle(w.ctx, ip(104), w.Known(w.ctx, w.tables())); mended || err != nil || len(w.model.Holders(ip(104))) > 0 {
			w.Errorf("mended %v, %v", mended, err)
		}
	})
}

// A real server that hosts a server in operation, or one in separation, or an
// unknown guest, does not sleep; one whose suspend fails gets its row back.
func TestSuspendRefused(t *testing.T) {
	free := func(t *cluster.Tables) { // W2 and F2 hold nothing any more
		for _, host := range []string{"W2", "F2"} {
			rows := t.Operation.Of(host)
			t.AccessStop = append(t.AccessStop, rows...)
			i := slices.IndexFunc(t.Operation, func(r cluster.ServerRow) bool { return r.Host == host })
			to := map[string]cluster.Guest{"W2": w1, "F2": {Host: "F1", IP: ip(3), Real: rs2}}[host]
			t.Operation[i].Host, t.Operation[i].IP, t.Operation[i].Real = to.Host, to.IP, to.Real
		}
	}
	for _, c := range []struct {
		name string
		set  func(w *world)
		want string
	}{
		{"serves", func(w *world) {}, "serves or is being recovered"},
		{"separation", func(w *world) {
			w.ok(w.conf.Update(w.ctx, func(t *cluster.Tables) error {
				free(t)
				t.Separation = append(t.Separation, t.AccessStop.Of("W2")...)
				t.AccessStop = slices.DeleteFunc(t.AccessStop, func(r cluster.ServerRow) bool { return r.Host == "W2" })
				return nil
			}))
		}, "serves or is being recovered"},
		{"stranger", func(w *world) {
			w.ok(w.conf.Update(w.ctx, func(t *cluster.Tables) error { free(t); return nil }))
			w.ok(w.model.Start(w.ctx, cluster.Guest{Host: "Ms", IP: ip(51), Real: rs3}))
		}, "Ms is booting there"},
		{"access-stopped one boots", func(w *world) {
			w.ok(w.conf.Update(w.ctx, func(t *cluster.Tables) error { free(t); return nil }))
			for _, g := range []cluster.Guest{w2, {Host: "F2", IP: ip(6), Real: rs3}} {
				w.ok(w.model.DelVIP(w.ctx, g, ip(100+int(g.IP.As4()[3]))))
			}
			w.ok(w.model.Reset(w.ctx, w2))
		}, "W2 is booting there"},
		{"a spare is being restored", func(w *world) {
			w.ok(w.conf.Update(w.ctx, func(t *cluster.Tables) error { free(t); return nil }))
			ms := cluster.Guest{Host: "Ms", IP: ip(51), Real: rs3}
			w.ok(w.Create(w.ctx, ms, "Mail"))
			go func() {
				_, _ = w.StartSpare(w.ctx, cluster.SpareRow{Group: "Mail", Host: "Ms", IP: ms.IP}, rs3) // the fleet may end first
			}()
			time.Sleep(500 * time.Millisecond)
		}, "a spare server starts there"},
		{"a restore may come true yet", func(w *world) {
			w.ok(w.conf.Update(w.ctx, func(t *cluster.Tables) error { free(t); return nil }))
			w.restoreUnknown(rs3)
		}, "a spare server starts there"},
		{"a pss that was killed had begun a restore", func(w *world) {
			w.ok(w.conf.Update(w.ctx, func(t *cluster.Tables) error { free(t); return nil }))
			w.killedInStart(rs3)
		}, "a spare server starts there"},
		{"a VIP astray after a move that was cut off", func(w *world) {
			w.ok(w.conf.Update(w.ctx, func(t *cluster.Tables) error { free(t); return nil }))
		}, "answers for 172.21.14.10"},
		{"fails", func(w *world) {
			w.ok(w.conf.Update(w.ctx, func(t *cluster.Tables) error { free(t); return nil }))
			for _, g := range []cluster.Guest{w2, {Host: "F2", IP: ip(6), Real: rs3}} {
				w.ok(w.model.DelVIP(w.ctx, g, ip(100+int(g.IP.As4()[3]))))
			}
			w.ok(w.model.Inject(sim.Fault{Kind: sim.SuspendFail, Target: "RS3"}))
		}, "suspend failed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			play(t, func(w *world) {
				c.set(w)
				if err := w.power.Suspend(w.ctx, rs3); err == nil || !strings.Contains(err.Error(), c.want) {
					w.Errorf("error %v, want %q", err, c.want)
				}
				if got := w.tables(); len(got.Suspended) != 0 || len(got.Real) != 3 {
					w.Errorf("real %v suspended %v", got.Real, got.Suspended)
				}
			})
		})
	}
}

// restoreUnknown restores Ms on real, with an outcome that is not known.
func (w *world) restoreUnknown(real netip.Addr) {
	w.Helper()
	ms := cluster.Guest{Host: "Ms", IP: ip(51), Real: real}
	w.ok(w.Create(w.ctx, ms, "Mail"))
	w.fail["Restore Ms"] = true
	if _, err := w.StartSpare(w.ctx, cluster.SpareRow{Group: "Mail", Host: "Ms", IP: ms.IP}, real); err == nil {
		w.Error("a restore of unknown outcome counts as done")
	}
}

// killedInStart is a pss that was killed as it restored Ms on real, and another one.
func (w *world) killedInStart(real netip.Addr) {
	w.Helper()
	w.restoreUnknown(real)
	w.Fleet = ops.Guard(flaky{w.model, w}, clock.Clock{})
	w.Inherit()
}

// What a killed pss had begun to start keeps its real server awake until it is known
// what became of it, and no longer.
func TestStartOfAKilledPSS(t *testing.T) {
	play(t, func(w *world) {
		w.killedInStart(rs3)
		for began := time.Now(); w.Starting(w.ctx, rs3); time.Sleep(100 * time.Millisecond) {
			if time.Since(began) > 2*cluster.AddressLimit {
				w.Fatal("still waited for")
			}
		}
		if left, err := w.Starts.All(); err != nil || len(left) != 0 {
			w.Errorf("on record: %v, %v", left, err)
		}
		delete(w.fail, "Restore Ms")
		_, err := w.StartSpare(w.ctx, cluster.SpareRow{Group: "Mail", Host: "Ms", IP: ip(51)}, rs3)
		w.ok(err)
		if left, err := w.Starts.All(); err != nil || len(left) != 0 {
			w.Errorf("on record after a start whose outcome is known: %v, %v", left, err)
		}
	})
}

// A spare is not restored on a real server that has been put to sleep meanwhile.
func TestNoSpareStartsWhereItSleeps(t *testing.T) {
	play(t, func(w *world) {
		ms := cluster.Guest{Host: "Ms", IP: ip(51), Real: rs3}
		w.ok(w.Create(w.ctx, ms, "Mail"))
		w.ok(w.conf.Update(w.ctx, func(t *cluster.Tables) error {
			t.Suspended, t.Real = append(t.Suspended, t.Real[2]), t.Real[:2]
			return nil
		}))
		for what, start := range map[string]func() error{
			"started": func() error {
				_, err := w.StartSpare(w.ctx, cluster.SpareRow{Group: "Mail", Host: "Ms", IP: ms.IP}, rs3)
				return err
			},
			"created": func() error { return w.Create(w.ctx, ms, "Mail") }, // by a pss that found it half saved
		} {
			err := start()
			if st, serr := w.model.GuestState(w.ctx, ms); !errors.Is(err, edits.ErrStale) || serr != nil || st != cluster.GuestSaved {
				w.Errorf("%s: error %v; Ms is %s, %v", what, err, st, serr)
			}
		}
	})
}

// A spare that failed is not brought up, whether it runs or not: it is thrown away first.
func TestNoFailedSpareStarts(t *testing.T) {
	for _, runs := range []bool{false, true} {
		play(t, func(w *world) {
			ms := cluster.Guest{Host: "Ms", IP: ip(51), Real: rs3}
			w.ok(w.Create(w.ctx, ms, "Mail"))
			want := cluster.GuestSaved
			if runs {
				w.ok(w.model.Restore(w.ctx, ms))
				want = cluster.GuestRunning
			}
			w.abandoned = []string{"Ms"}
			_, err := w.StartSpare(w.ctx, cluster.SpareRow{Group: "Mail", Host: "Ms", IP: ms.IP}, rs3)
			if st, serr := w.model.GuestState(w.ctx, ms); !errors.Is(err, ops.ErrSpent) || serr != nil || st != want {
				w.Errorf("error %v; Ms is %s, %v; want %s", err, st, serr, want)
			}
		})
	}
}

// A server whose wake was missed does not sleep until it has proved one.
func TestUnprovedStaysAwake(t *testing.T) {
	play(t, func(w *world) {
		w.ok(w.power.Wakes.Missed(rs3))
		if err := w.power.Suspend(w.ctx, rs3); !errors.Is(err, power.ErrUnproved) {
			w.Errorf("error %v", err)
		}
	})
}

// A row that a missed wake left in suspension-real goes back, even where the
// host answers by now: its dsrs looks after it, and it is not put to sleep.
func TestUnprovedLeavesSuspension(t *testing.T) {
	play(t, func(w *world) {
		w.ok(w.power.Wakes.Missed(rs3))
		w.ok(w.conf.Update(w.ctx, func(t *cluster.Tables) error { return edits.Sleep(t, rs3) }))
		if slept, err := w.power.SleepAgain(w.ctx, rs3); slept || err != nil {
			w.Errorf("slept %v, %v", slept, err)
		}
		if got := w.tables(); len(got.Suspended) != 0 || len(got.Real) != 3 {
			w.Errorf("real %v suspended %v", got.Real, got.Suspended)
		}
	})
}
