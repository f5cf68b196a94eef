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

func (m *Monitor) putOn(ctx context.Context, g cluster.Guest, vips []netip.Addr) error {
	return each(vips, func(vip netip.Addr) error { return m.fleet.AddVIP(ctx, g, vip) })
}

func (m *Monitor) takeOff(ctx context.Context, g cluster.Guest, vips []netip.Addr) error {
	return each(vips, func(vip netip.Addr) error { return m.fleet.DelVIP(ctx, g, vip) })
}

// strip removes those of vips that g has.
func (m *Monitor) strip(ctx context.Context, g cluster.Guest, vips []netip.Addr) error {
	has, err := m.fleet.Addrs(ctx, g)
	if err != nil {
		return err
	}
	return m.takeOff(ctx, g, common(has, vips))
}

// checkVIPs compares the VIPs on the target with those that A1 named, by its
// address list and by ARP, and mends what differs. A VIP that is missing, that
// nobody answers for and that cannot be put back is network trouble.
func (m *Monitor) checkVIPs(ctx context.Context) (trouble, bool) {
	m.announceOwn(ctx)
	stray, missing, err := m.compareVIPs(ctx)
	if err == nil && len(stray)+len(missing) > 0 {
		err = m.mend(ctx)
	}
	switch {
	case len(stray)+len(missing) == 0 || err == nil:
		m.calm("VIPs cannot be mended")
		m.mendFailed = 0
		return trouble{}, false
	case m.ping(ctx, m.opt.Target.IP) != nil:
		return trouble{}, false // the detector's business
	}
	m.alarm("VIPs cannot be mended", err)
	if m.mendFailed++; !errors.Is(err, cluster.ErrAgentSilent) || m.mendFailed < max(2, m.set.ReexamineCount) {
		return trouble{}, false
	}
	m.mendFailed = 0
	return trouble{kind: networkTrouble, unreachable: missing}, true
}

// compareVIPs says which VIPs of the system are on the target without being
// named, and which named ones are not; the error is the silence of its agent,
// in which only ARP tells, of a server that answers for its own address.
func (m *Monitor) compareVIPs(ctx context.Context) (stray, missing []netip.Addr, err error) {
	cctx, cancel := m.clk.Timeout(ctx, m.set.PingTimeout.D())
	defer cancel()
	has, err := m.fleet.Addrs(cctx, m.target())
	m.agentless.Store(errors.Is(err, cluster.ErrAgentGone))
	if err == nil {
		stray = without(common(has, m.view.all), m.view.vips)
		missing = without(m.view.vips, has)
	}
	for _, vip := range without(m.view.vips, missing) {
		if m.lacks(ctx, vip) {
			missing = append(missing, vip)
		}
	}
	return stray, missing, err
}

// mend makes the target's VIPs follow the files, under the lock: what the
// files say then counts, and no shift is half way.
func (m *Monitor) mend(ctx context.Context) error {
	s, err := m.hold(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	ctx, cancel := m.under(ctx, s)
	defer cancel()
	var named []netip.Addr
	if s.Reply.Rows != nil {
		named = s.Reply.Rows.TargetOperation.VIPs()
	}
	has, err := m.fleet.Addrs(ctx, m.target())
	if err != nil {
		return err
	}
	for _, vip := range without(common(has, m.view.all), named) {
		if err := m.removeStray(ctx, vip); err != nil {
			return err
		}
	}
	for _, vip := range named {
		if err := m.putBack(ctx, vip, slices.Contains(has, vip)); err != nil {
			return err
		}
	}
	return s.Release(ctx)
}

func (m *Monitor) removeStray(ctx context.Context, vip netip.Addr) error {
	_, others, err := m.holds(ctx, m.target(), vip)
	if err != nil {
		return err
	}
	if err := m.fleet.DelVIP(ctx, m.target(), vip); err != nil {
		return err
	}
	m.log.Info().Stringer("vip", vip).Bool("another_answers", others).Msg(MsgVIPRemoved)
	return nil
}

// putBack gives the target a VIP that it should hold; not while another server
// answers for it, whose own monitor or pss removes it there.
func (m *Monitor) putBack(ctx context.Context, vip netip.Addr, has bool) error {
	mine, others, err := m.holds(ctx, m.target(), vip)
	if err != nil || mine && has && !others {
		return err
	}
	if others && !has {
		return fmt.Errorf("cannot put %s back: another server answers for it", vip)
	}
	if err := m.fleet.AddVIP(ctx, m.target(), vip); err != nil {
		return err
	}
	if !has {
		m.log.Info().Stringer("vip", vip).Msg(MsgVIPRestored)
	}
	return nil
}

// announceOwn repeats the gratuitous ARP of a serving backup: the server that
// it stands in for may come back, on a host that could not be fenced.
func (m *Monitor) announceOwn(ctx context.Context) {
	if m.standsIn() {
		_ = each(m.view.vips, func(vip netip.Addr) error { return m.announce(ctx, m.target(), vip) })
	}
}

// announce repeats the gratuitous ARP of a VIP.
func (m *Monitor) announce(ctx context.Context, g cluster.Guest, vip netip.Addr) error {
	ctx, cancel := m.guestCall(ctx)
	defer cancel()
	return m.fleet.Announce(ctx, g, vip)
}
