package dsrs

import (
	"context"
	"slices"
	"sync"

	"pss-msbs/pkg/cluster"
)

// joinTries is how often a guest that was cut off is connected again.
const joinTries = 3

// stripEarly begins where somebody holds the lock of the files: what they said
// last is then all that is known. Which servers were taken over since cannot be
// known, so on a host that was silent all are cut off until the files answer;
// they have been out of reach already, and two holders are worse.
func (d *DSRS) stripEarly(ctx context.Context, guests []cluster.GuestInfo) {
	last := d.files.Load()
	if last == nil {
		return
	}
	p := d.placementOf(*last)
	var wg sync.WaitGroup
	for _, info := range guests {
		if !mayHold(info.State) || !d.ours(p, info.Host) {
			continue
		}
		wg.Go(func() {
			if !d.outage.silent || !d.cut(ctx, d.guest(info.Host), info.State) {
				d.stripVIPs(ctx, p, info, d.outage.owners[info.Host] != nil)
			}
		})
	}
	wg.Wait()
}

// stripAtOnce is stripSeparated by what the files said last, while somebody holds
// their lock: what must not answer is cut off, and its VIPs go when the files can
// be asked whether they still must.
func (d *DSRS) stripAtOnce(ctx context.Context) {
	last := d.files.Load()
	if len(last.AllVIPs) == 0 {
		return // they could never be asked: what must not answer is not known
	}
	asking := ctx                    // of a silent agent nothing is heard by who waits any more
	ctx = context.WithoutCancel(ctx) // what is cut off is connected, too; every call has its deadline
	var mu sync.Mutex
	var cut []cluster.Guest
	p := d.placementOf(*last)
	d.eachSeparated(ctx, p, func(host string) {
		g := d.guest(host)
		if d.Settings.Guest.BySSH() || d.link(ctx, g, false) != nil {
			return // it does not run, or the next look
		}
		addrs, err := d.addrsWithin(asking, g, d.Settings.DSRS.StripDeadline.D())
		if err == nil && len(p.stale(host, addrs)) == 0 && d.link(ctx, g, true) == nil {
			return
		}
		mu.Lock()
		defer mu.Unlock()
		cut = append(cut, g)
	})
	for _, g := range cut {
		d.unfenceBeside(ctx, g)
	}
}

// cutSeparated cuts off, as the first thing on a host that was silent, the servers
// of line 4 that were separated meanwhile. The hypervisor may take its time to
// list all guests: who just destroys one, as pss a spare, keeps it waiting.
func (d *DSRS) cutSeparated(ctx context.Context) {
	if !d.outage.silent {
		return
	}
	p := d.placementOf(*d.files.Load())
	var wg sync.WaitGroup
	for _, host := range d.separated(p) {
		wg.Go(func() { d.cut(ctx, d.guest(host), cluster.GuestRunning) })
	}
	wg.Wait()
}

// mayHold reports whether a guest in state s can answer for an address.
func mayHold(s cluster.GuestState) bool {
	return !s.Dead() && s != cluster.GuestPaused && s != cluster.GuestSaved
}

// ours reports whether host is a server of this system; others that the
// hypervisor runs are left alone.
func (d *DSRS) ours(p placement, host string) bool {
	if d.isLine4(host) || slices.Contains(p.spares, host) {
		return true
	}
	_, err := d.Servers.Server(host)
	return err == nil
}

// cut takes g off the network until its VIPs are off, where its agent can be
// reached without it. One that boots has no VIP, and needs none of this.
func (d *DSRS) cut(ctx context.Context, g cluster.Guest, s cluster.GuestState) bool {
	if d.outage.isCut(g.Host) {
		return true
	}
	if s == cluster.GuestBooting || d.Settings.Guest.BySSH() || d.link(ctx, g, false) != nil {
		return false
	}
	d.outage.setCut(g, true)
	return true
}

// join connects g again.
func (d *DSRS) join(ctx context.Context, g cluster.Guest) (err error) {
	for range joinTries {
		if err = d.link(ctx, g, true); err == nil {
			d.outage.setCut(g, false)
			return nil
		}
		if d.Clock.Sleep(ctx, retryAgent) != nil {
			break
		}
	}
	return err
}

// joinAll connects the guests of a host that is not stripped now.
func (d *DSRS) joinAll(ctx context.Context) {
	for _, g := range d.outage.cutOff() {
		_ = d.join(ctx, g) // of a host that is silent again they stay cut off until it answers
	}
}

func (d *DSRS) link(ctx context.Context, g cluster.Guest, up bool) error {
	return d.quick(ctx, func(ctx context.Context) error { return d.Fleet.SetLink(ctx, g, up) })
}
