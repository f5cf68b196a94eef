package pss

import (
	"context"
	"sync"

	"pss-msbs/pkg/ahead"
	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/load"
	"pss-msbs/pkg/settings"
)

// measure measures every distinct server in operation, in parallel, each with
// its own deadline: one that hangs delays the others by that at most.
func (s *System) measure(ctx context.Context, t cluster.Tables) map[string]load.Server {
	out := map[string]load.Server{}
	var mu sync.Mutex
	var all sync.WaitGroup
	for _, g := range t.Operation.Guests() {
		all.Go(func() {
			v, err := s.average(ctx, g)
			if ctx.Err() == nil && !s.left(ctx, g, err) && s.said.News("measure "+g.Host, text(err)) && err != nil {
				s.opt.Log.Warn().Err(err).Msg("server not measured")
			}
			mu.Lock()
			defer mu.Unlock()
			out[g.Host] = v
		})
	}
	all.Wait()
	return out
}

// left reports whether a server that could not be measured left operation
// meanwhile: that is no trouble of its own.
func (s *System) left(ctx context.Context, g cluster.Guest, err error) bool {
	if err == nil {
		return false
	}
	t, unknown := s.opt.Files.View(ctx)
	return unknown == nil && !t.Operation.Has(g.Host)
}

// average takes the samples of one server: A_n of equations (1)-(3). A sample is
// free and one second of sar, which take several on a real server under load: the
// server has four fifths of the cycle.
func (s *System) average(ctx context.Context, g cluster.Guest) (load.Server, error) {
	samples := max(s.opt.Settings.Measure.Samples, 1)
	ctx, cancel := s.opt.Clock.Timeout(ctx, s.opt.Settings.Measure.Interval.D()*4/5)
	defer cancel()
	out := load.Server{Host: g.Host, Capacity: capacity(s.opt.Settings.ServerOf(g.Host))}
	var sum Sample
	for range samples {
		v, err := s.opt.Meter.Measure(ctx, g)
		if err != nil {
			return out, err
		}
		sum.MemKB, sum.CPUPercent, sum.NetKBs = sum.MemKB+v.MemKB, sum.CPUPercent+v.CPUPercent, sum.NetKBs+v.NetKBs
		if v.MaxMemKB > 0 {
			out.Capacity.MemKB = v.MaxMemKB
		}
	}
	n := float64(samples)
	out.Reading = load.Reading{MemKB: sum.MemKB / n, CPUPercent: sum.CPUPercent / n, NetKBs: sum.NetKBs / n}
	out.Measured = true
	return out, nil
}

func capacity(v settings.Server) load.Capacity {
	return load.Capacity{MemKB: float64(v.MemoryKB), Cores: float64(v.Cores), NetKBs: load.RatedKBs(v.NetworkMbps)}
}

// groups puts together what the cycle knows of each group.
func (s *System) groups(t cluster.Tables, servers map[string]load.Server) []load.Group {
	now, view := s.opt.Clock.Now(), s.ahead(t)
	out := make([]load.Group, 0, len(t.State))
	for _, row := range t.State {
		class := s.opt.Settings.ClassOf(row.Group)
		g := load.Group{Name: row.Group, Condition: row.Condition, Rules: ahead.Rules(class, s.opt.Settings.TypeOf(row.Group)),
			Separated: t.Unserved(row.Group)}
		for _, server := range t.Operation.InGroup(row.Group).Guests() {
			g.Servers = append(g.Servers, servers[server.Host])
		}
		if class.LookAhead {
			g.Ahead = view.Layouts(row.Group)
		}
		g.Accesses, g.FullTime = s.counts.Clients(now, t.Rows().InGroup(row.Group).VIPs(), class)
		out = append(out, g)
	}
	return out
}

// count counts the accesses of this cycle.
func (s *System) count(ctx context.Context) {
	ctx, cancel := s.opt.Clock.Timeout(ctx, cluster.CallLimit)
	defer cancel()
	of, err := s.opt.Accesses.Accesses(ctx)
	if ctx.Err() == nil {
		s.said.once("accesses", err, "accesses not counted, no group goes to PS2")
	}
	if err != nil {
		s.counts.Lost()
		return
	}
	longest := s.opt.Settings.Class.PS2Window.D()
	for _, g := range s.opt.Settings.Group {
		longest = max(longest, g.Class.PS2Window.D())
	}
	s.counts.Take(s.opt.Clock.Now(), of, longest)
}
