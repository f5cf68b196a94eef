package dbss

import (
	"cmp"
	"context"
	"net/netip"
	"slices"
	"sync"
	"time"

	"pss-msbs/pkg/cluster"
)

// kind is what sort of trouble the target is in (Table 5).
type kind string

const (
	networkTrouble kind = "network"
	serviceStop    kind = "service stop"
	freeze         kind = "freeze"
)

// trouble is what was seen and, once re-examined, what was proved.
type trouble struct {
	kind    kind
	daemons []string // those that do not answer
	stamps
	proof       proof
	unreachable []netip.Addr // VIPs that nobody answers for and that cannot be put back
}

// ping asks ip once.
func (s *senses) ping(ctx context.Context, ip netip.Addr) error {
	ctx, cancel := s.clk.Timeout(ctx, s.set.PingTimeout.D())
	defer cancel()
	return s.fleet.Ping(ctx, ip)
}

// ungreeted greets every daemon at ip and names those that do not greet in time.
func (s *senses) ungreeted(ctx context.Context, ip netip.Addr) (daemons []string) {
	ctx, cancel := s.clk.Timeout(ctx, s.set.GreetTimeout.D())
	defer cancel()
	var mu sync.Mutex
	var wg sync.WaitGroup
	for _, d := range s.opt.Target.Daemons {
		wg.Go(func() {
			if s.fleet.Greet(ctx, ip, d) != nil {
				mu.Lock()
				defer mu.Unlock()
				daemons = append(daemons, d)
			}
		})
	}
	wg.Wait()
	slices.Sort(daemons)
	return daemons
}

// answers reports whether the server at ip answers ping and every daemon greets.
func (s *senses) answers(ctx context.Context, ip netip.Addr) bool {
	if s.ping(ctx, ip) != nil {
		return false
	}
	return len(s.ungreeted(ctx, ip)) == 0
}

// holds asks by ARP whether g, and nobody else, answers for vip.
func (s *senses) holds(ctx context.Context, g cluster.Guest, vip netip.Addr) (mine, others bool, err error) {
	own, macs, err := s.whoHave(ctx, g.IP, vip)
	for _, mac := range macs {
		if slices.Contains(own, mac) {
			mine = true
		} else {
			others = true
		}
	}
	return mine, others, err
}

// lacks reports whether the target does not answer for vip while it answers for
// its own address: of one that does not, or not in time, nothing is proved.
func (s *senses) lacks(ctx context.Context, vip netip.Addr) bool {
	own, macs, err := s.whoHave(ctx, s.opt.Target.IP, vip)
	return err == nil && len(own) > 0 && !slices.ContainsFunc(macs, func(mac cluster.MAC) bool { return slices.Contains(own, mac) })
}

// whoHave asks by ARP who answers for a server's own address and for vip, at once.
func (s *senses) whoHave(ctx context.Context, ip, vip netip.Addr) (own, macs []cluster.MAC, err error) {
	ctx, cancel := s.clk.Timeout(ctx, s.set.PingTimeout.D())
	defer cancel()
	var ownErr, macErr error
	var wg sync.WaitGroup
	wg.Go(func() { own, ownErr = s.fleet.WhoHas(ctx, ip) })
	wg.Go(func() { macs, macErr = s.fleet.WhoHas(ctx, vip) })
	wg.Wait()
	if err := cmp.Or(ownErr, macErr); err != nil {
		return nil, nil, err
	}
	return own, macs, nil
}

// guestCall bounds one call into a guest or to a hypervisor.
func (k *kit) guestCall(ctx context.Context) (context.Context, context.CancelFunc) {
	return k.clk.Timeout(ctx, cluster.CallLimit)
}

// slowTimeout bounds a call that
// works on memory (pause, boot command), migrateTimeout a live migration.
const (
	slowTimeout    = 30 * time.Second
	migrateTimeout = 120 * time.Second
)
