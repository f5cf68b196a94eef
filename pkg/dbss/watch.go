package dbss

import (
	"context"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/detector"
	"pss-msbs/pkg/watch"
)

// watch starts to watch the guest that at names.
func (m *Monitor) watch(ctx context.Context, at func() cluster.Guest) *watch.Watcher {
	put := func(q detector.Question) func(context.Context) (detector.Word, error) {
		g := at()
		return func(ctx context.Context) (detector.Word, error) { return m.put(ctx, g, q) }
	}
	return watch.New(ctx, m.clk, watch.Config(m.opt.Settings, m.clk), m.opt.Target.Daemons, put)
}

// put is a question about g as the fleet understands it.
func (m *Monitor) put(ctx context.Context, g cluster.Guest, q detector.Question) (w detector.Word, err error) {
	f := m.fleet
	switch q.Kind {
	case detector.Ping:
		err = f.Ping(ctx, g.IP)
	case detector.Greet:
		err = f.Greet(ctx, g.IP, q.Daemon)
	case detector.Agent:
		_, err = f.Addrs(ctx, g)
	case detector.Hypervisor:
		w.State, err = f.GuestState(ctx, g)
	case detector.Work:
		w.Work, err = f.Work(ctx, g)
	case detector.Host:
		if err = watch.ErrUnknown; g.Real.IsValid() {
			err = f.Ping(ctx, g.Real)
		}
	default:
		err = m.askReferences(ctx)
	}
	return w, err
}

func (m *Monitor) askReferences(ctx context.Context) error {
	return watch.References(ctx, m.opt.Settings.Network.References, m.fleet.Ping)
}

// roomOf is where g stands, since the reading was, which may be zero.
func (m *Monitor) roomOf(g cluster.Guest, was cluster.Work) watch.Room {
	return watch.Room{Least: watch.LeastIdle(m.opt.Settings), Was: was, Work: func(ctx context.Context) (cluster.Work, error) {
		ctx, cancel := m.guestCall(ctx)
		defer cancel()
		return m.fleet.Work(ctx, g)
	}}
}
