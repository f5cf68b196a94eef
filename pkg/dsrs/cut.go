package dsrs

import (
	"context"
	"net/netip"
	"slices"
	"sync"

	"pss-msbs/pkg/cluster"
)

// joinTries is how often a guest that was cut off is connected again.
const joinTries = 3

// stripEarly begins where somebody holds the lock of the files: what they said
// last is then all that is known. Who was taken over since cannot be known, so on a
// host that was silent all are cut off until the files answer, but for those who
// answer for their VIPs alone; they have been out of reach already, and two
// holders are worse.
func (s *strip) stripEarly(ctx context.Context, guests []cluster.GuestInfo) {
	p := s.placementOf(s.files.Load().Reply)
	var wg sync.WaitGroup
	for _, info := range guests {
		if !mayHold(info.State) || !s.ours(p, info.Host) {
			continue
		}
		wg.Go(func() {
			g := s.guest(info.Host)
			if !s.outage.silent || s.answersAlone(ctx, g, p.here[g.Host]) || !s.cut(ctx, g, info.State) {
				s.stripVIPs(ctx, p, info, s.outage.owners[info.Host] != nil)
			}
		})
	}
	wg.Wait()
}

// answersAlone reports whether g answers for its VIPs, and nobody besides. A question
// that is lost is asked again, as long as strip_deadline allows.
func (s *senses) answersAlone(ctx context.Context, g cluster.Guest, vips []netip.Addr) bool {
	if len(vips) == 0 || !g.IP.IsValid() {
		return false
	}
	ctx, cancel := s.limit(ctx, s.Settings.DSRS.StripDeadline.D()*6/10)
	defer cancel()
	ips := append([]netip.Addr{g.IP}, vips...)
	macs := make([][]cluster.MAC, len(ips))
	var all sync.WaitGroup
	for i, ip := range ips {
		all.Go(func() { macs[i], _ = s.Fleet.WhoHas(ctx, ip) })
	}
	all.Wait()
	return !slices.ContainsFunc(macs, func(m []cluster.MAC) bool { return len(m) != 1 || m[0] != macs[0][0] })
}

// stripAtOnce is stripSeparated by what the files said last, while somebody holds
// their lock: what must not answer is cut off, and its VIPs go when the files can
// be asked whether they still must.
func (s *strip) stripAtOnce(ctx context.Context) {
	last := s.files.Load()
	if !last.asked.After(s.sound) {
		return // of what was taken over since, and of whom it was given to, they said nothing
	}
	asking := ctx                    // of a silent agent nothing is heard by who waits any more
	ctx = context.WithoutCancel(ctx) // what is cut off is connected, too; every call has its deadline
	var mu sync.Mutex
	var cut []cluster.Guest
	p := s.placementOf(last.Reply)
	s.eachSeparated(ctx, p, func(host string) {
		g := s.guest(host)
		if s.Settings.Guest.BySSH() || s.link(ctx, g, false) != nil {
			return // it does not run, or the next look
		}
		addrs, err := s.addrsWithin(asking, g, s.Settings.DSRS.StripDeadline.D())
		if err == nil && len(p.stale(host, addrs)) == 0 && s.link(ctx, g, true) == nil {
			return
		}
		mu.Lock()
		defer mu.Unlock()
		cut = append(cut, g)
	})
	for _, g := range cut {
		s.unfenceBeside(ctx, g)
	}
}

// cutSeparated cuts off, as the first thing on a host that was silent, the servers
// of line 4 that were separated meanwhile. The hypervisor may take its time to
// list all guests: who just destroys one, as pss a spare, keeps it waiting.
func (s *strip) cutSeparated(ctx context.Context) {
	if !s.outage.silent {
		return
	}
	p := s.placementOf(s.files.Load().Reply)
	var wg sync.WaitGroup
	for _, host := range s.separated(p) {
		wg.Go(func() { s.cut(ctx, s.guest(host), cluster.GuestRunning) })
	}
	wg.Wait()
}

// mayHold reports whether a guest in state s can answer for an address.
func mayHold(s cluster.GuestState) bool {
	return !s.Dead() && s != cluster.GuestPaused && s != cluster.GuestSaved
}

// ours reports whether host is a server of this system; others that the
// hypervisor runs are left alone.
func (s *senses) ours(p placement, host string) bool {
	if s.isLine4(host) || slices.Contains(p.spares, host) {
		return true
	}
	_, err := s.Servers.Server(host)
	return err == nil
}

// cut takes g off the network until its VIPs are off, where its agent can be
// reached without it. One that boots has no VIP, and needs none of this.
func (s *strip) cut(ctx context.Context, g cluster.Guest, st cluster.GuestState) bool {
	if s.outage.isCut(g.Host) {
		return true
	}
	if st == cluster.GuestBooting || s.Settings.Guest.BySSH() || s.link(ctx, g, false) != nil {
		return false
	}
	s.outage.setCut(g, true)
	return true
}

// join connects g again.
func (s *strip) join(ctx context.Context, g cluster.Guest) (err error) {
	for range joinTries {
		if err = s.link(ctx, g, true); err == nil {
			s.outage.setCut(g, false)
			return nil
		}
		if s.Clock.Sleep(ctx, retryAgent) != nil {
			break
		}
	}
	return err
}

// joinAll connects the guests of a host that is not stripped now.
func (s *strip) joinAll(ctx context.Context) {
	for _, g := range s.outage.cutOff() {
		_ = s.join(ctx, g) // of a host that is silent again they stay cut off until it answers
	}
}

func (s *senses) link(ctx context.Context, g cluster.Guest, up bool) error {
	return s.quick(ctx, func(ctx context.Context) error { return s.Fleet.SetLink(ctx, g, up) })
}
