package pss_test

import (
	"errors"
	"sync"
	"testing"
	"time"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/doubt"
)

// doubts are the board of the monitors.
type doubts struct {
	mu  sync.Mutex
	all []doubt.Doubt
	err error
}

func (d *doubts) read() ([]doubt.Doubt, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.all, d.err
}

func (d *doubts) post(all ...doubt.Doubt) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.all = all
}

// A server that its monitor finds overloaded gets all the help of its group,
// however light the load that is measured; the other groups do as they did.
func TestOverloadedGroupGrowsNoLighter(t *testing.T) {
	play(t, "", noPS2, func(r *rig) {
		board := &doubts{err: errors.New("cannot read the doubt of F1")}
		opt := r.options()
		opt.Doubts = board.read
		r.startWith(opt)
		r.spares()
		r.reach(cluster.PS1, time.Minute)
		board.post(doubt.Doubt{Target: "M2", Group: "Mail", Kind: doubt.Overloaded}, doubt.Doubt{Target: "W1", Group: "Web", Kind: doubt.Silent})
		r.until(time.Minute, "Mail in Moderate", func() bool { return r.condition("Mail") == cluster.Moderate })
		time.Sleep(time.Minute)
		if mail, web, ftp := r.condition("Mail"), r.condition("Web"), r.condition("FTP"); mail != cluster.Moderate || web != cluster.PS1 || ftp != cluster.PS1 {
			r.Errorf("Mail %s, Web %s, FTP %s", mail, web, ftp)
		}
		if n := r.logged("group grows no lighter"); n != 1 {
			r.Errorf("said %d times", n)
		}
		if n := r.logged("some doubts of the monitors are not readable and are ignored"); n != 1 {
			r.Errorf("what is not readable was said %d times", n)
		}
		board.post()
		r.reach(cluster.PS1, 2*time.Minute)
	})
}

// After an overload a group waits as many cycles as the light load must last.
func TestAfterOverload(t *testing.T) {
	play(t, "", noPS2, func(r *rig) {
		board := &doubts{}
		board.post(doubt.Doubt{Target: "M2", Group: "Mail", Kind: doubt.Overloaded})
		opt := r.options()
		opt.Doubts = board.read
		class := opt.Settings.Group["Mail"]
		class.Class.LightStreak = 6
		opt.Settings.Group["Mail"] = class
		r.startWith(opt)
		r.spares()
		time.Sleep(2 * time.Minute)
		board.post()
		took := r.until(5*time.Minute, "Mail in PS1", func() bool { return r.condition("Mail") == cluster.PS1 })
		if interval := r.set.Measure.Interval.D(); took < 5*interval || took > 8*interval {
			r.Errorf("PS1 after %v, want about 6 cycles of %v", took, interval)
		}
	})
}
