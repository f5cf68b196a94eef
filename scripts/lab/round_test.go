//go:build lab

package main

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"pss-msbs/pkg/harness"
)

// TestRoom plays the paper's evaluation on real guests.
func TestRoom(t *testing.T) {
	r := up(t)
	t.Run("round", func(t *testing.T) { r.in(t).round() })
	var cells []cell
	t.Run("Moderate", func(t *testing.T) { cells = append(cells, r.in(t).table5("Moderate", moderate)...) })
	t.Run("PS1", func(t *testing.T) {
		r := r.in(t)
		r.onlyPS1()
		cells = append(cells, r.table5("Light(PS1)", inPS1)...)
	})
	printTable(t, cells)
}

// round is section 4.2: the load falls, is nearly nothing, and returns, while a
// client of each group asks ten times a second, or as often as leaves air.
func (r room) round() {
	witness := r.witnessing(r.pace(10))
	began := time.Now()
	r.load(0)
	r.within(3*time.Minute, "PS1 in every group", func() error {
		for _, g := range groups {
			if len(r.lines("pss", "condition set group="+g+" condition=Light(PS1)", began)) == 0 {
				return fmt.Errorf("%s was not", g)
			}
		}
		return nil
	})
	r.within(3*time.Minute, "PS2 in every group", func() error { return r.settled("Light(PS2)") })
	r.within(time.Minute, "RS2 and RS3 asleep", func() error { return r.power("on", "asleep", "asleep") })
	r.load(busy)
	r.within(3*time.Minute, "Moderate in every group", func() error { return r.settled("Moderate") })
	if err := r.power("on", "on", "on"); err != nil {
		r.t.Errorf("%v", err)
	}
	w := witness()
	for _, l := range r.lines("pss", "shift done", began) {
		r.t.Logf("%s %s", l.At.Format(time.TimeOnly), l.Text)
	}
	r.t.Logf("the client:\n%s", w.said)
	w.single(r, false)
	w.onlyOpen(r, r.lines("pss", "VIP moved", began))
}

// air is how many processors a client leaves idle, as many as one boot takes: without
// any it is this machine that is measured.
const air = 1.0

// pace is how many accesses a second to each group leave air, most at the most.
func (r room) pace(most int) (rate int) {
	const look = 10 * time.Second
	for rate = most; rate > 1; rate /= 2 {
		stop, idle := r.witnessing(rate), idleTime(r.t.T)
		r.await(look)
		left := (idleTime(r.t.T) - idle).Seconds() / look.Seconds()
		stop()
		r.t.Logf("%d accesses a second to each group: %.1f of %d processors were idle", rate, left, runtime.NumCPU())
		if left >= air {
			break
		}
	}
	return rate
}

// onlyOpen fails if more accesses failed than can have been open while a VIP
// moved. Such a connection is cut: its server has the address no more, and the
// next one does not know the connection. At ten accesses a second and group,
// over two VIPs, that is at most one a move.
func (w witness) onlyOpen(r room, moves []harness.Line) {
	r.t.Helper()
	r.t.Logf("%d of %d accesses failed, open while one of %d VIPs moved", w.failed, w.asked, len(moves))
	if w.failed > len(moves) {
		r.t.Errorf("%d of %d accesses failed over %d moves", w.failed, w.asked, len(moves))
	}
}
