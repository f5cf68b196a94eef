package dbss

import (
	"context"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/detector"
	"pss-msbs/pkg/watch"
)

// watch starts to watch the guest that at names.
func (m *Monitor) watch(ctx context.Context, at func() cluster.Guest) *watch.Watcher {
	put := func(q detector.Question) func(context.Context) (cluster.GuestState, error) {
		g := at()
		return func(ctx context.Context) (cluster.GuestState, error) { return m.put(ctx, g, q) }
	}
	return watch.New(ctx, m.clk, watch.Config(m.opt.Settings, m.clk), m.opt.Target.Daemons, put)
}

// put is a question about g as the fleet understands it.
func (m *Monitor) put(ctx context.Context, g cluster.Guest, q detector.Question) (cluster.GuestState, error) {
	f := m.fleet
	switch q.Kind {
	case detector.Ping:
		return "", f.Ping(ctx, g.IP)
	case detector.Greet:
		return "", f.Greet(ctx, g.IP, q.Daemon)
	case detector.Agent:
		_, err := f.Addrs(ctx, g)
		return "", err
	case detector.Hypervisor:
		return f.GuestState(ctx, g)
	case detector.Host:
		if !g.Real.IsValid() {
			return "", watch.ErrUnknown
		}
		return "", f.Ping(ctx, g.Real)
	}
	return "", m.askReferences(ctx)
}

func (m *Monitor) askReferences(ctx context.Context) error {
	return watch.References(ctx, m.opt.Settings.Network.References, m.fleet.Ping)
}
