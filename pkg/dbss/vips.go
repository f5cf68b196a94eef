package dbss

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"

	"pss-msbs/pkg/cluster"
)

// without is all less some.
func without(all, some []netip.Addr) []netip.Addr {
	return slices.DeleteFunc(slices.Clone(all), func(ip netip.Addr) bool { return slices.Contains(some, ip) })
}

// common is what stands in both.
func common(a, b []netip.Addr) []netip.Addr {
	return slices.DeleteFunc(slices.Clone(a), func(ip netip.Addr) bool { return !slices.Contains(b, ip) })
}

// each does f for every address at once and joins the errors.
func each(ips []netip.Addr, f func(netip.Addr) error) error {
	errs := make([]error, len(ips))
	var wg sync.WaitGroup
	for i, ip := range ips {
		wg.Go(func() { errs[i] = f(ip) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

func (s *senses) putOn(ctx context.Context, g cluster.Guest, vips []netip.Addr) error {
	return each(vips, func(vip netip.Addr) error { return s.fleet.AddVIP(ctx, g, vip) })
}

func (s *senses) takeOff(ctx context.Context, g cluster.Guest, vips []netip.Addr) error {
	return each(vips, func(vip netip.Addr) error { return s.fleet.DelVIP(ctx, g, vip) })
}

// strip removes those of vips that g has.
func (s *senses) strip(ctx context.Context, g cluster.Guest, vips []netip.Addr) error {
	has, err := s.fleet.Addrs(ctx, g)
	if err != nil {
		return err
	}
	return s.takeOff(ctx, g, common(has, vips))
}

// checkVIPs compares the VIPs on the target with those that A1 named, by its
// address list and by ARP, and mends what differs. A VIP that is missing, that
// nobody answers for and that cannot be put back is network trouble.
func (v *vips) checkVIPs(ctx context.Context) (trouble, bool) {
	v.announceOwn(ctx)
	stray, missing, err := v.compareVIPs(ctx)
	if err == nil && len(stray)+len(missing) > 0 {
		err = v.mend(ctx)
	}
	switch {
	case len(stray)+len(missing) == 0 || err == nil:
		v.calm("VIPs cannot be mended")
		v.mendFailed = 0
		return trouble{}, false
	case v.ping(ctx, v.opt.Target.IP) != nil:
		return trouble{}, false // the detector's business
	}
	v.alarm("VIPs cannot be mended", err)
	if v.mendFailed++; !errors.Is(err, cluster.ErrAgentSilent) || v.mendFailed < max(2, v.set.ReexamineCount) {
		return trouble{}, false
	}
	v.mendFailed = 0
	return trouble{kind: networkTrouble, unreachable: missing}, true
}

// compareVIPs says which VIPs of the system are on the target without being
// named, and which named ones are not; the error is the silence of its agent,
// in which only ARP tells, of a server that answers for its own address.
func (v *vips) compareVIPs(ctx context.Context) (stray, missing []netip.Addr, err error) {
	cctx, cancel := v.clk.Timeout(ctx, v.set.PingTimeout.D())
	defer cancel()
	has, err := v.fleet.Addrs(cctx, v.target())
	v.agentless.Store(errors.Is(err, cluster.ErrAgentGone))
	if err == nil {
		stray = without(common(has, v.view.all), v.view.vips)
		missing = without(v.view.vips, has)
	}
	for _, vip := range without(v.view.vips, missing) {
		if v.lacks(ctx, vip) {
			missing = append(missing, vip)
		}
	}
	return stray, missing, err
}

// mend makes the target's VIPs follow the files, under the lock: what the
// files say then counts, and no shift is half way.
func (v *vips) mend(ctx context.Context) error {
	s, err := v.hold(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	ctx, cancel := v.under(ctx, s)
	defer cancel()
	var named []netip.Addr
	if s.Reply.Rows != nil {
		named = s.Reply.Rows.TargetOperation.VIPs()
	}
	has, err := v.fleet.Addrs(ctx, v.target())
	if err != nil {
		return err
	}
	for _, vip := range without(common(has, v.view.all), named) {
		if err := v.removeStray(ctx, vip); err != nil {
			return err
		}
	}
	for _, vip := range named {
		if err := v.putBack(ctx, vip, slices.Contains(has, vip)); err != nil {
			return err
		}
	}
	return s.Release(ctx)
}

func (v *vips) removeStray(ctx context.Context, vip netip.Addr) error {
	_, others, err := v.holds(ctx, v.target(), vip)
	if err != nil {
		return err
	}
	if err := v.fleet.DelVIP(ctx, v.target(), vip); err != nil {
		return err
	}
	v.log.Info().Stringer("vip", vip).Bool("another_answers", others).Msg(MsgVIPRemoved)
	return nil
}

// putBack gives the target a VIP that it should hold; not while another server
// answers for it, whose own monitor or pss removes it there. Has tells too of what
// the target may yet get by another program's command: only ARP tells who has it.
func (v *vips) putBack(ctx context.Context, vip netip.Addr, has bool) error {
	mine, others, err := v.holds(ctx, v.target(), vip)
	if err != nil || mine && has && !others {
		return err
	}
	if others && !mine {
		return fmt.Errorf("cannot put %s back: another server answers for it", vip)
	}
	if err := v.fleet.AddVIP(ctx, v.target(), vip); err != nil {
		return err
	}
	if !has {
		v.log.Info().Stringer("vip", vip).Msg(MsgVIPRestored)
	}
	return nil
}

// announceOwn repeats the gratuitous ARP of a serving backup: the server that
// it stands in for may come back, on a host that could not be fenced.
func (v *vips) announceOwn(ctx context.Context) {
	if v.standsIn() {
		_ = each(v.view.vips, func(vip netip.Addr) error { return v.announce(ctx, v.target(), vip) })
	}
}

// announce repeats the gratuitous ARP of a VIP.
func (s *senses) announce(ctx context.Context, g cluster.Guest, vip netip.Addr) error {
	ctx, cancel := s.guestCall(ctx)
	defer cancel()
	return s.fleet.Announce(ctx, g, vip)
}
