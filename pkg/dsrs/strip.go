package dsrs

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/handover"
	"pss-msbs/pkg/ipc"
)

// retryAgent is how often a silent guest agent is asked again: a host may
// answer before the agents of its guests do.
const retryAgent = 100 * time.Millisecond

// placement is what the files say about the guests of this real server.
type placement struct {
	here      map[string][]netip.Addr // the VIPs of the servers in operation here
	elsewhere map[string]bool         // servers in operation on another real server
	separated []string                // servers in separation here
	stopped   []string                // servers in access stop here
	spares    []string
	vips      []netip.Addr // all VIPs of the system
}

func (s *senses) placementOf(r ipc.Reply) placement {
	p := placement{here: map[string][]netip.Addr{}, elsewhere: map[string]bool{}, separated: r.Separated, stopped: r.Stopped, spares: r.Spares, vips: r.AllVIPs}
	for _, row := range r.Placed {
		if row.Real == s.Data.IP {
			p.here[row.Host] = append(p.here[row.Host], row.VIP)
		} else {
			p.elsewhere[row.Host] = true
		}
	}
	return p
}

// stale are the VIPs of the system among addrs that host must not answer for.
func (p placement) stale(host string, addrs []netip.Addr) []netip.Addr {
	var out []netip.Addr
	for _, ip := range addrs {
		if slices.Contains(p.vips, ip) && !slices.Contains(p.here[host], ip) {
			out = append(out, ip)
		}
	}
	return out
}

// stripping removes, before anything else, every VIP, spare and backup that
// the files place elsewhere. strip_deadline runs from the first answer.
func (d *DSRS) stripping(ctx context.Context) (State, string) {
	d.ownServers()
	d.cutSeparated(ctx)
	r, guests, next, why := d.returned(ctx)
	if next != Stripping {
		d.joinAll(ctx)
		return next, why
	}
	vips, p := 0, d.placementOf(r)
	for todo := guests; len(todo) > 0; {
		vips += d.stripGuests(ctx, p, todo)
		todo, p = d.fallen(ctx, p, guests)
	}
	d.log(ctx).Info().Int("vips", vips).Int("guests", len(guests)).
		Str("after_answer", d.since(d.outage.answered)).Msg(MsgStripped)
	return Restoring, "no stale VIP is left"
}

// fallen are those of guests that the files had serve here as p was read, and
// not any more: taking the others' VIPs may last.
func (s *strip) fallen(ctx context.Context, p placement, guests []cluster.GuestInfo) ([]cluster.GuestInfo, placement) {
	r, err := s.askWithin(ctx, ipc.B2, cluster.CallLimit)
	if err != nil {
		return nil, p // what the files say now is looked at before anything is restored
	}
	now := s.placementOf(r)
	return slices.DeleteFunc(slices.Clone(guests), func(g cluster.GuestInfo) bool {
		return len(p.here[g.Host]) == 0 || len(now.here[g.Host]) > 0
	}), now
}

// stripGuests strips guests at once; it returns the number of VIPs taken.
func (s *strip) stripGuests(ctx context.Context, p placement, guests []cluster.GuestInfo) int {
	var vips atomic.Int64
	var wg sync.WaitGroup
	for _, g := range guests {
		owned := s.outage.owners[g.Host] != nil
		wg.Go(func() { vips.Add(int64(s.stripGuest(ctx, p, g, owned))) })
	}
	wg.Wait()
	return int(vips.Load())
}

// ownServers takes the monitor lock of every server of line 4 that nobody owns.
func (s *strip) ownServers() {
	for _, host := range s.Data.Servers {
		if s.outage.owners[host] != nil {
			continue
		}
		if o, err := s.Monitors.Own(host); err == nil {
			s.outage.owners[host] = o
		}
	}
}

// returned asks for the files' word and for the guests of a host that has just
// answered, until it has both. Next is Stripping then.
func (s *strip) returned(ctx context.Context) (r ipc.Reply, guests []cluster.GuestInfo, next State, why string) {
	asked := make(chan error, 1)
	limit := s.beat()
	for silent := 0; ctx.Err() == nil; limit = cluster.CallLimit {
		go func() {
			var err error
			r, err = s.askWithin(ctx, ipc.B2, limit)
			asked <- err
		}()
		err := s.within(ctx, cluster.CallLimit, func(ctx context.Context) (err error) {
			guests, err = s.Fleet.Guests(ctx, s.Data.IP)
			return err
		})
		fileErr := <-asked
		switch {
		case fileErr == nil && r.State == cluster.RealAsleep:
			return r, nil, Suspended, "its row stands in suspension-real"
		case fileErr == nil && err == nil:
			return r, guests, Stripping, ""
		case err == nil && limit < cluster.CallLimit:
			s.stripEarly(ctx, guests)
		case err != nil && s.pingFor(ctx, s.beat()) != nil:
			if silent++; silent > s.Settings.DSRS.ReexamineCount {
				s.log(ctx).Warn().Msg(MsgLost)
				return r, nil, Waiting, "silent again"
			}
		case err != nil && s.Clock.Since(s.outage.answered) > hypervisorGrace:
			return r, nil, HypervisorDown, "its virtualization software does not answer"
		default:
			silent = 0
		}
		_ = s.Clock.Sleep(ctx, retryAgent)
	}
	return r, nil, Waiting, "ended"
}

// stripGuest takes from one guest what it must not have; it returns the number
// of VIPs taken.
func (s *strip) stripGuest(ctx context.Context, p placement, info cluster.GuestInfo, owned bool) int {
	g := s.guest(info.Host)
	if s.misplaced(p, info) {
		s.remove(ctx, g)
		return 0
	}
	if s.judged(p, info.Host) {
		return 0
	}
	return s.stripVIPs(ctx, p, info, owned)
}

// stripVIPs takes the VIPs from a guest that it must not answer for. One that
// must answer for none is cut off first: its agent takes longer than its link.
func (s *strip) stripVIPs(ctx context.Context, p placement, info cluster.GuestInfo, owned bool) int {
	g := s.guest(info.Host)
	if !mayHold(info.State) {
		return 0
	}
	if info.State == cluster.GuestBooting && s.outage.isCut(g.Host) {
		_ = s.join(ctx, g) // it has no VIP
	}
	none := s.ours(p, g.Host) && len(p.here[g.Host]) == 0
	cut := none && s.cut(ctx, g, info.State) || s.outage.isCut(g.Host)
	limit := s.Settings.DSRS.StripDeadline.D()
	if !cut {
		limit = limit*6/10 - s.Clock.Since(s.outage.answered)
	}
	addrs, err := s.addrsWithin(ctx, g, limit)
	stale := p.stale(g.Host, addrs)
	if err == nil && len(stale) > 0 {
		err = s.drop(ctx, g, stale, owned)
	}
	if cut && (err == nil || !none) {
		err = s.join(ctx, g)
	}
	if err != nil && none && (cut || s.mayAnswer(ctx, g, info.State)) {
		s.fence(ctx, g)
		return 0
	}
	return len(stale)
}

// misplaced reports whether a guest is a spare or a backup that the files do not
// place here. The guests of others are none of ours.
func (s *senses) misplaced(p placement, info cluster.GuestInfo) bool {
	if info.State.Dead() || info.State == cluster.GuestSaved || s.isLine4(info.Host) ||
		len(p.here[info.Host]) > 0 || slices.Contains(p.stopped, info.Host) {
		return false
	}
	if p.elsewhere[info.Host] {
		return true
	}
	if s.judged(p, info.Host) {
		return false
	}
	if slices.Contains(p.spares, info.Host) {
		return true
	}
	st, err := s.Servers.Server(info.Host)
	return err == nil && !st.Real.IsValid() // line 8 is blank: a backup
}

// judged reports whether a spare is in separation and its own dbss at work: that looks
// at it once more, and gives its VIPs to nobody. pss does, and then it is misplaced.
func (s *senses) judged(p placement, host string) bool {
	return slices.Contains(p.separated, host) && slices.Contains(p.spares, host) && s.Monitors.Held(host)
}

// remove pulls the plug of a spare or backup that runs here beside its other
// self, or beside the files.
func (s *senses) remove(ctx context.Context, g cluster.Guest) {
	err := s.quick(ctx, func(ctx context.Context) error { return s.Fleet.Destroy(ctx, g) })
	s.log(ctx).Warn().Str("server", g.Host).AnErr("error", err).Msg(MsgRemoved)
}

// addrsWithin asks the guest's agent for its addresses, for at least one call
// and at most limit.
func (s *senses) addrsWithin(ctx context.Context, g cluster.Guest, limit time.Duration) (addrs []netip.Addr, err error) {
	ctx, cancel := s.limit(ctx, max(limit, s.beat()))
	defer cancel()
	for {
		if addrs, err = s.Fleet.Addrs(ctx, g); err == nil {
			return addrs, nil
		}
		if s.Clock.Sleep(ctx, retryAgent) != nil {
			return nil, err
		}
	}
}

// mayAnswer reports whether a guest with a silent agent may answer for a VIP: one
// that boots without network cannot.
func (s *senses) mayAnswer(ctx context.Context, g cluster.Guest, st cluster.GuestState) bool {
	if st != cluster.GuestBooting || !g.IP.IsValid() {
		return true
	}
	return s.ping(ctx, g.IP) == nil
}

// fence cuts a guest off through the hypervisor without destroying anything;
// the link comes up again once the guest has lost its VIPs.
func (s *strip) fence(ctx context.Context, g cluster.Guest) {
	err := s.link(ctx, g, false)
	s.log(ctx).Warn().Str("server", g.Host).AnErr("error", err).Msg(MsgFenced)
	s.outage.setCut(g, false)
	s.outage.fence(g)
}

// drop removes VIPs from a guest. The owner of a server needs no lock for that
// while the real server is out: nobody else gives it a VIP. For any other
// guest the rows are checked again under hold.
func (s *strip) drop(ctx context.Context, g cluster.Guest, stale []netip.Addr, owned bool) error {
	if !owned {
		hctx, cancel := s.limit(ctx, cluster.CallLimit)
		defer cancel()
		st, err := s.Sif.Hold(hctx, ipc.Request{Host: g.Host})
		if err != nil {
			return err
		}
		defer func() { _ = st.Release(hctx) }() // nothing was given to anybody
		handover.Expect(s.Fleet, st.Reply.Moving)
		stale = withoutRows(stale, st.Reply.Rows, g)
	}
	return s.takeOff(ctx, g, stale)
}

func (s *senses) takeOff(ctx context.Context, g cluster.Guest, vips []netip.Addr) error {
	for _, vip := range vips {
		err := s.quick(ctx, func(ctx context.Context) error { return s.Fleet.DelVIP(ctx, g, vip) })
		if err != nil {
			return err
		}
	}
	return nil
}

// withoutRows leaves out of vips those that g may have by now.
func withoutRows(vips []netip.Addr, rows *ipc.HeldRows, g cluster.Guest) []netip.Addr {
	if rows == nil {
		return vips
	}
	return slices.DeleteFunc(slices.Clone(vips), func(vip netip.Addr) bool {
		return slices.ContainsFunc(rows.TargetOperation, func(r cluster.ServerRow) bool {
			return r.VIP == vip && r.Real == g.Real
		})
	})
}

// stripAnswering is what a host gets that answers again before it was taken out.
func (s *strip) stripAnswering(ctx context.Context) {
	if r, err := s.askWithin(ctx, ipc.B2, s.beat()); err == nil {
		s.stripSeparated(ctx, r)
	} else {
		s.stripAtOnce(ctx)
	}
}

// stripSeparated checks the separated servers of a host that was never out, and
// the spares and backups on it that the files do not place there.
func (s *strip) stripSeparated(ctx context.Context, r ipc.Reply) {
	p := s.placementOf(r)
	s.eachSeparated(ctx, p, func(host string) { s.stripOne(ctx, p, host) })
}

// separated are the servers of line 4 that must answer for no VIP here, and are
// not in access stop.
func (s *senses) separated(p placement) []string {
	return slices.DeleteFunc(slices.Clone(s.Data.Servers), func(host string) bool {
		return len(p.here[host]) > 0 || slices.Contains(p.stopped, host)
	})
}

// eachSeparated does f at once for every server that stripSeparated is about:
// what must not answer for a VIP here. Whether it is to run is not a matter of
// this host.
func (s *senses) eachSeparated(ctx context.Context, p placement, f func(host string)) {
	var wg sync.WaitGroup
	for _, host := range s.separated(p) {
		wg.Go(func() { f(host) })
	}
	var guests []cluster.GuestInfo
	err := s.quick(ctx, func(ctx context.Context) (err error) {
		guests, err = s.Fleet.Guests(ctx, s.Data.IP)
		return err
	})
	if err != nil {
		guests = nil // silent again, or its hypervisor hangs: the next look
	}
	for _, g := range guests {
		if s.misplaced(p, g) {
			wg.Go(func() { f(g.Host) })
		}
	}
	wg.Wait()
}

// stripOne takes a separated server's stale VIPs; a silent agent is its owner's matter.
func (s *strip) stripOne(ctx context.Context, p placement, host string) {
	g := s.guest(host)
	addrs, err := s.addrsWithin(ctx, g, s.Settings.DSRS.StripDeadline.D()/2)
	if err != nil {
		return
	}
	if stale := p.stale(host, addrs); len(stale) > 0 {
		err = s.drop(ctx, g, stale, false)
		s.log(ctx).Info().Str("server", host).Int("vips", len(stale)).AnErr("error", err).Msg(MsgStripped)
	}
}
