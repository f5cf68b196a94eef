package scenario

import (
	"flag"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pss-msbs/pkg/dbss"
	"pss-msbs/pkg/settings"
	"pss-msbs/pkg/sim"
)

var overloads = flag.Int("overloads", 6, "overloads to play")

// After an overload all comes back by itself, also where servers were taken over
// in spite of all brakes, backups failed and no reset was left: two minutes after
// its end every VIP is held by a server that greets, and later nothing is in repair.
func TestOverloadPasses(t *testing.T) {
	lazy()
	var takeovers, refusals, abandoned atomic.Int64
	t.Run("seeds", func(t *testing.T) {
		for seed := range uint64(*overloads) {
			t.Run(fmt.Sprint(seed), func(t *testing.T) {
				t.Parallel()
				log, err := overload(t, seed)
				if err != nil {
					t.Errorf("%v\n%s", err, log)
				}
				takeovers.Add(int64(strings.Count(log, dbss.MsgSeparated)))
				refusals.Add(int64(strings.Count(log, dbss.MsgNoReset)))
				abandoned.Add(int64(strings.Count(log, dbss.MsgFailed)))
			})
		}
	})
	t.Logf("%d takeovers, %d resets refused, %d times no backup", takeovers.Load(), refusals.Load(), abandoned.Load())
	if least := int64(*overloads); takeovers.Load() < least || refusals.Load() < least/2 || abandoned.Load() < least/2 {
		t.Error("the overload does too little")
	}
}

// overload plays one; freezes are believed soon, and half of the seeds reset beside
// other work too.
func overload(t *testing.T, seed uint64) (log string, err error) {
	dir := tempDir(t)
	copyConf(t, paper, filepath.Join(dir, "conf"))
	synctest.Test(t, func(t *testing.T) {
		w, failed := New(dir, func(set *settings.Settings, spec *sim.Spec) {
			set.DBSS.FreezeDeadline, set.Detector.FreezeMost = settings.Duration(3*time.Second), settings.Duration(3*time.Second)
			if seed%2 == 0 { // then it is not known who is busy
				set.Detector.LeastIdle, set.DBSS.BudgetRecoveries = 0, 1000
			}
			spec.Seed = seed
		})
		if failed != nil {
			t.Fatal(failed)
		}
		defer w.Close()
		err = w.overload(4*time.Minute + time.Duration(seed%3)*4*time.Minute)
		log = w.Log()
	})
	return log, err
}

// overload has all processors taken by other work for so long.
func (w *World) overload(long time.Duration) error {
	w.Poll = poll
	first, err := w.Tables()
	if err != nil {
		return err
	}
	if err := w.load("all", []string{"80", "5"}); err != nil {
		return err
	}
	w.Launch()
	time.Sleep(3 * time.Minute)
	w.log.show()
	for _, real := range append(w.reals(), "management") {
		if err := w.Model.Inject(sim.Fault{Kind: sim.RealTaken, Target: real, For: long}); err != nil {
			return err
		}
	}
	time.Sleep(long)
	if err := w.Await(2*time.Minute, w.greeted); err != nil {
		return fmt.Errorf("two minutes after the overload: %w", err)
	}
	if err := w.Await(15*time.Minute, func() error { return w.Home(first) }); err != nil {
		return fmt.Errorf("fifteen minutes after the overload: %w", err)
	}
	return w.violated() // harm is meant: freezes are believed too soon
}

// greeted is nil when every VIP is held by one server that greets.
func (w *World) greeted() error {
	st, err := w.Model.Status(w.ctx, sim.Query{Since: time.Now()})
	if err != nil {
		return err
	}
	for _, v := range st.VIPs {
		n := slices.IndexFunc(st.Guests, func(g sim.GuestStatus) bool { return len(v.Holders) == 1 && g.Host == v.Holders[0] && g.Answers })
		if n < 0 {
			return fmt.Errorf("VIP %v is held by %q", v.VIP, v.Holders)
		}
	}
	return nil
}
