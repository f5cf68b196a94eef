package detector

import (
	"fmt"
	"time"

	"pss-msbs/pkg/cluster"
)

// work is what the processors of the target and of its host do in a doubt: the
// first reading and the last.
type work struct {
	witness
	first, last cluster.Work
}

func (w *work) note(r cluster.Work) {
	if w.first == (cluster.Work{}) || !r.Continues(w.first) {
		w.first = r
	}
	w.last = r
}

// clear forgets the readings.
func (w *work) clear() { w.first, w.last = cluster.Work{}, cluster.Work{} }

// askWork asks for the processor time, once a doubt has lasted for a while: most
// have passed by then.
func (d *Detector) askWork(now time.Time) {
	if d.cfg.WorkEvery == 0 {
		return
	}
	if first := d.called.Add(d.cfg.WorkEvery); first.After(now) {
		d.soon(first)
		return
	}
	d.askOnce(&d.work.witness, Question{Kind: Work, Patience: d.hyperPatience()}, now, d.cfg.WorkEvery)
}

// busy says with what the processors of the target, or of its whole host, are
// busy: then it may be silent for FreezeMost before it is frozen. Nothing: they
// are not, or it is not known.
func (d *Detector) busy() string {
	s, known := d.work.last.Since(d.work.first)
	switch {
	case !known:
		return ""
	case s.Guest >= d.cfg.Busy:
		return fmt.Sprintf("guest busy %.0f %%", 100*s.Guest)
	case s.Idle < d.cfg.LeastIdle:
		return "host without idle processor"
	}
	return ""
}

// readings is how many times WorkEvery a hypervisor has in a doubt to tell whether
// the target is busy: two readings, and what they take.
const readings = 3

// frozenAfter is how long a target may say nothing before it is frozen. Where it
// has been slow a silence is no doubt at first: then it is not frozen before it
// is known whether it is busy.
func (d *Detector) frozenAfter(now time.Time) time.Duration {
	_, known := d.work.last.Since(d.work.first)
	if d.busy() != "" || !known && now.Sub(d.called) < readings*d.cfg.WorkEvery {
		return d.cfg.FreezeMost
	}
	return d.cfg.FreezeDeadline
}
