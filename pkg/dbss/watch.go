package dbss

import (
	"context"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/detector"
	"pss-msbs/pkg/watch"
)

// watch starts to watch the guest that at names.
func (s *senses) watch(ctx context.Context, at func() cluster.Guest) *watch.Watcher {
	put := func(q detector.Question) func(context.Context) (detector.Word, error) {
		g := at()
		return func(ctx context.Context) (detector.Word, error) { return s.put(ctx, g, q) }
	}
	return watch.New(ctx, s.clk, watch.Config(s.opt.Settings, s.clk), s.opt.Target.Daemons, put)
}

// put is a question about g as the fleet understands it.
func (s *senses) put(ctx context.Context, g cluster.Guest, q detector.Question) (w detector.Word, err error) {
	f := s.fleet
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
		err = s.askReferences(ctx)
	}
	return w, err
}

func (s *senses) askReferences(ctx context.Context) error {
	return watch.References(ctx, s.opt.Settings.Network.References, s.fleet.Ping)
}

// roomOf is where g stands, since the reading was, which may be zero.
func (s *senses) roomOf(g cluster.Guest, was cluster.Work) watch.Room {
	return watch.RoomBy(s.opt.Settings, was, func(ctx context.Context) (cluster.Work, error) {
		ctx, cancel := s.guestCall(ctx)
		defer cancel()
		return s.fleet.Work(ctx, g)
	})
}
