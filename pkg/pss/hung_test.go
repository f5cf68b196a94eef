package pss_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/sim"
)

// A home server in access stop hangs, or its boot does: nobody monitors it, so
// the shift back boots it again.
func TestHungHomeInAccessStop(t *testing.T) {
	for name, hang := range map[string]func(r *rig){
		"frozen":        func(r *rig) { r.inject(sim.VMFreeze, "F2") },
		"service":       func(r *rig) { r.inject(sim.ServiceFreeze, "F2") },
		"hangs in boot": func(r *rig) { r.inject(sim.BootFail, "F2"); r.inject(sim.VMRestart, "F2") },
	} {
		t.Run(name, func(t *testing.T) {
			play(t, "", noPS2, func(r *rig) {
				r.load(80)
				r.start()
				r.spares()
				r.load(10, "FTP")
				r.until(time.Minute, "FTP in PS1", func() bool { return r.condition("FTP") == cluster.PS1 })
				hang(r)
				r.load(80)
				r.reach(cluster.Moderate, 5*time.Minute)
				if r.holder(106) != "F2" {
					r.Errorf("106 is on %s", r.holder(106))
				}
			})
		})
	}
}

// A spare waits for a boot slot while its base is put to sleep: it is not
// started there.
func TestNoBootOnASleepingHost(t *testing.T) {
	play(t, "", nil, func(r *rig) {
		r.load(80)
		opt := r.options()
		slots := make(chan struct{})
		opt.SpareSlot = func(ctx context.Context) (func(), error) {
			select {
			case <-slots:
				return func() {}, nil
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
		r.startWith(opt)
		time.Sleep(5 * time.Second)
		row := cluster.RealRow{IP: rs1, MAC: r.mac(rs1)}
		r.ok(r.conf.Update(r.ctx, func(t *cluster.Tables) error {
			t.Real = slices.DeleteFunc(t.Real, func(o cluster.RealRow) bool { return o == row })
			t.Suspended = append(t.Suspended, row)
			return nil
		}))
		close(slots)
		time.Sleep(5 * time.Second)
		if st, err := r.model.GuestState(r.ctx, cluster.Guest{Host: "Ms", IP: ip(51), Real: rs1}); err != nil || st != cluster.GuestAbsent {
			r.Errorf("Ms is %s, %v", st, err)
		}
		r.ok(r.conf.Update(r.ctx, func(t *cluster.Tables) error {
			t.Suspended = nil
			t.Real = append(t.Real, row)
			return nil
		}))
		r.spares()
	})
}

// Servers on a real server under load, whose samples take 5 s, are measured.
func TestSlowServersAreMeasured(t *testing.T) {
	slow := func(r *rig) {
		noPS2(r)
		r.set.Measure.Samples = 1
		r.slow = 4 * time.Second
	}
	play(t, "", slow, func(r *rig) {
		r.start()
		r.spares()
		r.reach(cluster.PS1, 2*time.Minute)
		if n := r.logged("server not measured"); n > 0 {
			r.Errorf("%d times a server was not measured\n%s", n, r.log)
		}
	})
}
