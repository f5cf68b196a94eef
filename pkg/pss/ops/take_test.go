package ops_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/edits"
	"pss-msbs/pkg/sim"
)

// A VIP in separation is given only while it is pss's, which is looked at again
// under the lock: its server may have recovered and failed anew meanwhile, and
// its monitor is then about to serve it elsewhere.
func TestTakeOnlyOurs(t *testing.T) {
	for _, c := range []struct {
		name      string
		abandoned []string
		more      cluster.Rows // in separation
		want      error
	}{
		{name: "ours", abandoned: []string{"M2"}},
		{name: "its monitor's again", want: edits.ErrStale},
		{name: "a second holder is being fenced", abandoned: []string{"M2"}, want: edits.ErrStale,
			more: cluster.Rows{{Group: "Mail", Real: rs1, VIP: ip(104), Host: "Ms", IP: ip(51)}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			play(t, func(w *world) {
				w.ok(w.model.DelVIP(w.ctx, m2, ip(104)))
				w.ok(w.conf.Update(w.ctx, func(t *cluster.Tables) error {
					i := slices.IndexFunc(t.Operation, func(r cluster.ServerRow) bool { return r.Host == "M2" })
					t.Separation = append(append(t.Separation, t.Operation[i]), c.more...)
					t.Operation = slices.Delete(t.Operation, i, i+1)
					return nil
				}))
				w.abandoned = c.abandoned
				err := w.Take(w.ctx, "Mail", ip(104), m1, nil)
				if !errors.Is(err, c.want) {
					w.Errorf("error %v, want %v", err, c.want)
				}
				want := []string{"M1"}
				if c.want != nil {
					want = nil
				}
				if got := w.model.Holders(ip(104)); !slices.Equal(got, want) {
					w.Errorf("104 is held by %v, want %v", got, want)
				}
			})
		})
	}
}

// A VIP that somebody still answers for is given to nobody else.
func TestTakeFromAStranger(t *testing.T) {
	play(t, func(w *world) {
		w.ok(w.conf.Update(w.ctx, func(t *cluster.Tables) error {
			i := slices.IndexFunc(t.Operation, func(r cluster.ServerRow) bool { return r.Host == "M2" })
			t.Separation = append(t.Separation, t.Operation[i])
			t.Operation = slices.Delete(t.Operation, i, i+1)
			return nil
		}))
		w.abandoned = []string{"M2"}
		if err := w.Take(w.ctx, "Mail", ip(104), m1, nil); err == nil || !strings.Contains(err.Error(), "is held by") {
			w.Errorf("error %v", err)
		}
		if got := w.model.Holders(ip(104)); !slices.Equal(got, []string{"M2"}) {
			w.Errorf("104 is held by %v, want M2 alone", got)
		}
	})
}

// A spare that serves by now is neither stripped nor thrown away.
func TestRestOfServing(t *testing.T) {
	play(t, func(w *world) {
		if _, err := w.Rest(w.ctx, m1, "Mail"); !errors.Is(err, edits.ErrStale) {
			w.Errorf("error %v", err)
		}
		if got := w.model.Holders(ip(101)); !slices.Equal(got, []string{"M1"}) {
			w.Errorf("101 is held by %v", got)
		}
	})
}

// A spare whose services do not answer is not kept as it is, nor called saved. Where
// its real server has no time to spare it may only be slow, and is left alone.
func TestRestOfAnUnhealthySpare(t *testing.T) {
	for name, busy := range map[string]bool{"alone": false, "on a busy real server": true} {
		t.Run(name, func(t *testing.T) {
			play(t, func(w *world) {
				ms := cluster.Guest{Host: "Ms", IP: ip(51), Real: rs3}
				w.ok(w.Create(w.ctx, ms, "Mail"))
				w.ok(w.model.Restore(w.ctx, ms))
				w.ok(w.model.Inject(sim.Fault{Kind: sim.ServiceFreeze, Target: "Ms:postfix"}))
				w.fail["Work Ms"] = busy
				saved, err := w.Rest(w.ctx, ms, "Mail")
				if st, serr := w.model.GuestState(w.ctx, ms); saved || (err != nil) != busy || serr != nil || st.Dead() == busy {
					w.Errorf("saved %v, error %v; Ms is %s, %v", saved, err, st, serr)
				}
			})
		})
	}
}

// A server in access stop that greets nobody is booted again before it is given a VIP,
// unless its real server has no time to spare.
func TestHangingReceiver(t *testing.T) {
	for name, busy := range map[string]bool{"alone": false, "on a busy real server": true} {
		t.Run(name, func(t *testing.T) {
			play(t, func(w *world) {
				w.stopped()
				w.ok(w.model.Inject(sim.Fault{Kind: sim.ServiceFreeze, Target: "M1:postfix"}))
				w.fail["Work M1"] = busy
				ready, err := w.Ready(w.ctx, m1, "Mail")
				ready.Close()
				if (err != nil) != busy {
					w.Errorf("error %v", err)
				}
				if st, serr := w.model.GuestState(w.ctx, m1); serr != nil || st != cluster.GuestRunning {
					w.Errorf("M1 is %s, %v", st, serr)
				}
			})
		})
	}
}

// A spare that boots on a real server which dies gives its boot slot back long
// before its own deadline.
func TestBootSlotOfDeadHost(t *testing.T) {
	play(t, func(w *world) {
		begun := time.Now()
		var held time.Duration
		w.Spare = func(context.Context) (func(), error) {
			begun = time.Now()
			return func() { held = time.Since(begun) }, nil
		}
		time.AfterFunc(5*time.Second, func() { _ = w.model.Inject(sim.Fault{Kind: sim.RealShutdown, Target: "RS3"}) })
		if err := w.Create(w.ctx, cluster.Guest{Host: "Ms", IP: ip(51), Real: rs3}, "Mail"); !errors.Is(err, cluster.ErrHostSilent) {
			w.Errorf("error %v", err)
		}
		if held < 5*time.Second || held > 25*time.Second {
			w.Errorf("the slot was held for %v", held)
		}
	})
}
