package dbss_test

import (
	"context"
	"errors"
	"net/netip"
	"sync"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/dbss"
	"pss-msbs/pkg/ipc"
	"pss-msbs/pkg/mgmtdata"
	"pss-msbs/pkg/sim"
)

// tapped is the fleet and the sif of one monitor, with a tap before and after
// each call that changes something.
type tapped struct {
	*sim.Model
	*ipc.Client
	r       *rig
	monitor string
}

var _ dbss.Fleet = (*tapped)(nil)

func (t *tapped) tap(ctx context.Context, op, host string, call func() error) error {
	if t.r.taps != nil {
		t.r.taps(point{ctx: ctx, monitor: t.monitor, op: op, host: host})
	}
	if err := ctx.Err(); err != nil { // killed at this point
		return err
	}
	err := call()
	if t.r.taps != nil {
		t.r.taps(point{monitor: t.monitor, op: op, host: host, after: true, err: err})
	}
	if cut := ctx.Err(); cut != nil {
		return cut
	}
	return err
}

// drive is tap for what goes by the guest's hypervisor.
func (t *tapped) drive(ctx context.Context, op, host string, call func() error) error {
	return t.tap(ctx, op, host, func() error {
		if err := t.r.refused(host); err != nil {
			return err
		}
		return call()
	})
}

func (t *tapped) Addrs(ctx context.Context, g cluster.Guest) ([]netip.Addr, error) {
	if err := t.r.refused(g.Host); err != nil {
		return nil, err
	}
	if t.r.noAgent.Load() {
		return nil, cluster.ErrAgentSilent
	}
	return t.Model.Addrs(ctx, g)
}

func (t *tapped) Work(ctx context.Context, g cluster.Guest) (cluster.Work, error) {
	w, err := t.Model.Work(ctx, g)
	if t.r.noTime.Load() {
		w.Idle = 0
	}
	return w, err
}

func (t *tapped) GuestState(ctx context.Context, g cluster.Guest) (cluster.GuestState, error) {
	if err := t.r.refused(g.Host); err != nil {
		return "", err
	}
	return t.Model.GuestState(ctx, g)
}

func (t *tapped) WhoHas(ctx context.Context, ip netip.Addr) ([]cluster.MAC, error) {
	if t.r.noARP.Load() {
		return nil, nil
	}
	return t.Model.WhoHas(ctx, ip)
}

// refused is how a hypervisor's calls end at once whose connection is known to be gone.
func (r *rig) refused(host string) error {
	if gone := r.gone.Load(); gone != nil && *gone == host {
		return cluster.ErrHostSilent
	}
	return nil
}

func (t *tapped) AddVIP(ctx context.Context, g cluster.Guest, vip netip.Addr) error {
	return t.drive(ctx, "AddVIP", g.Host, func() error { return t.Model.AddVIP(ctx, g, vip) })
}

func (t *tapped) DelVIP(ctx context.Context, g cluster.Guest, vip netip.Addr) error {
	return t.drive(ctx, "DelVIP", g.Host, func() error { return t.Model.DelVIP(ctx, g, vip) })
}

func (t *tapped) SetLink(ctx context.Context, g cluster.Guest, up bool) error {
	return t.drive(ctx, "SetLink", g.Host, func() error { return t.Model.SetLink(ctx, g, up) })
}

func (t *tapped) Resume(ctx context.Context, g cluster.Guest) error {
	return t.drive(ctx, "Resume", g.Host, func() error { return t.Model.Resume(ctx, g) })
}

func (t *tapped) Pause(ctx context.Context, g cluster.Guest) error {
	return t.drive(ctx, "Pause", g.Host, func() error { return t.Model.Pause(ctx, g) })
}

func (t *tapped) Start(ctx context.Context, g cluster.Guest) error {
	return t.drive(ctx, "Start", g.Host, func() error { return t.Model.Start(ctx, g) })
}

func (t *tapped) Reset(ctx context.Context, g cluster.Guest) error {
	return t.drive(ctx, "Reset", g.Host, func() error { return t.Model.Reset(ctx, g) })
}

func (t *tapped) Destroy(ctx context.Context, g cluster.Guest) error {
	return t.drive(ctx, "Destroy", g.Host, func() error { return t.Model.Destroy(ctx, g) })
}

func (t *tapped) Migrate(ctx context.Context, g cluster.Guest, to netip.Addr) error {
	return t.drive(ctx, "Migrate", g.Host, func() error { return t.Model.Migrate(ctx, g, to) })
}

func (t *tapped) Announce(ctx context.Context, g cluster.Guest, vip netip.Addr) error {
	return t.drive(ctx, "Announce", g.Host, func() error { return t.Model.Announce(ctx, g, vip) })
}

// companion is the sif side of a tap.
type companion struct{ t *tapped }

var _ dbss.Companion = companion{}

func (c companion) Call(ctx context.Context, req ipc.Request) (reply ipc.Reply, err error) {
	op := string(req.Verb)
	if req.Outcome != "" {
		op += " " + string(req.Outcome)
	}
	err = c.t.tap(ctx, op, req.Host, func() error {
		reply, err = c.t.Client.Call(ctx, req)
		return err
	})
	return reply, err
}

func (c companion) Hold(ctx context.Context, req ipc.Request) (s *ipc.Session, err error) {
	err = c.t.tap(ctx, string(ipc.Hold), req.Host, func() error {
		s, err = c.t.Client.Hold(ctx, req)
		return err
	})
	return s, err
}

func (c companion) Watch(ctx context.Context) <-chan struct{} { return c.t.Client.Watch(ctx) }

// launcher starts and ends monitors within the rig.
type launcher struct{ r *rig }

var _ dbss.Monitors = launcher{}

func (l launcher) Running(name string) (bool, error) {
	l.r.mu.Lock()
	defer l.r.mu.Unlock()
	return l.r.monitors[name] != nil, nil
}

func (l launcher) Start(ctx context.Context, name string) error {
	if l.r.noLaunch {
		return errors.New("no such program")
	}
	dat, err := mgmtdata.ReadServer(l.r.conf + "/" + name + ".dat")
	if err != nil {
		return err
	}
	run := l.r.startDat(dat)
	select {
	case <-run.ready:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (l launcher) Stop(ctx context.Context, name string) error {
	l.r.mu.Lock()
	run := l.r.monitors[name]
	l.r.mu.Unlock()
	if run != nil {
		run.stop()
	}
	return nil
}

// once calls f at the first point that matches.
func once(match func(point) bool, f func()) func(point) {
	var o sync.Once
	return func(p point) {
		if match(p) {
			o.Do(f)
		}
	}
}

func (t *tapped) RestartDaemon(ctx context.Context, g cluster.Guest, daemon string) error {
	return t.drive(ctx, "RestartDaemon", g.Host, func() error { return t.Model.RestartDaemon(ctx, g, daemon) })
}
