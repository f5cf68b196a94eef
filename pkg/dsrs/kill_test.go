package dsrs

import (
	"fmt"
	"testing"
	"time"

	"pss-msbs/pkg/sim"
)

// kill -9 at any instant of a recovery, also between B3 and B4 and in the
// middle of a VIP's move: the next life of the dsrs ends it.
func TestKilledAtAnyInstant(t *testing.T) {
	var instants []time.Duration
	for d := 7 * time.Second; d < 73*time.Second; d += 6 * time.Second {
		instants = append(instants, d)
	}
	for d := 73200 * time.Millisecond; d < 76500*time.Millisecond; d += killStep {
		instants = append(instants, d) // the hand-over
	}
	for _, at := range instants {
		t.Run(fmt.Sprint(at), func(t *testing.T) {
			in(t, nil, func(w *world) {
				w.start()
				time.Sleep(15 * time.Second)
				w.fault(sim.RealRestart, "RS1")
				w.takeOverBoth()
				time.Sleep(at - 2*time.Second - 1060*time.Millisecond)
				w.kill()
				time.Sleep(time.Second)
				w.start()
				w.await("end of the recovery", 3*time.Minute, w.isRestored)
				w.restored()
			})
		})
	}
}

const killStep = 270 * time.Millisecond

// isRestored reports whether restored would find everything in place.
func (w *world) isRestored() bool {
	return w.mon.is("M1", "dbss") && w.mon.is("W1", "dbss") && !w.mon.Held("Mb") && !w.mon.Held("Wb") &&
		w.state(w.guest("Mb", mgmt)) == "paused" && w.state(w.guest("Wb", mgmt)) == "paused" &&
		len(w.tables().Separation) == 0 && w.tables().IsActive(rs1)
}
