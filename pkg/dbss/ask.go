package dbss

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"time"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/handover"
	"pss-msbs/pkg/ipc"
	"pss-msbs/pkg/task"
)

// view is what the files say of the target.
type view struct {
	state   cluster.Standing
	vips    []netip.Addr // of the target, in its state
	all     []netip.Addr // of the system
	out     bool         // its real server is in neither real file
	serving []ipc.ServedVIP
	moving  []netip.Addr // of vips: pss was killed as it moved them, or could not end that, so another server may answer
	failed  bool         // A4-failed was reported: what nobody serves is pss's
}

// heldBy reports whether host serves vip.
func (v view) heldBy(vip netip.Addr, host string) bool {
	return slices.ContainsFunc(v.serving, func(s ipc.ServedVIP) bool { return s.VIP == vip && s.Host == host })
}

// of lists the target's VIPs that host serves; host "" those that nobody does.
func (v view) of(host string) []netip.Addr {
	var out []netip.Addr
	for _, vip := range v.vips {
		served := slices.ContainsFunc(v.serving, func(s ipc.ServedVIP) bool { return s.VIP == vip && s.Host != "" })
		if v.heldBy(vip, host) || host == "" && !served {
			out = append(out, vip)
		}
	}
	return out
}

// lookBeforeMonitor is A1: access stop? Which VIPs, which real server?
func (c *care) lookBeforeMonitor(ctx context.Context) (view, error) { return c.look(ctx, ipc.A1) }

// lookAfterTrouble is A2: access stop by now?
func (c *care) lookAfterTrouble(ctx context.Context) (view, error) { return c.look(ctx, ipc.A2) }

func (c *care) look(ctx context.Context, verb ipc.Verb) (view, error) {
	r, err := c.call(ctx, ipc.Request{Verb: verb})
	if err != nil && ctx.Err() == nil {
		c.alarm("files cannot be asked", err)
	}
	if err != nil {
		return view{}, err
	}
	c.calm("files cannot be asked")
	return c.adopt(ctx, r), nil
}

// accept takes over what the reply of an edit says of the target.
func (c *care) accept(ctx context.Context, r ipc.Reply) error {
	if r.State == "" {
		_, err := c.lookBeforeMonitor(ctx)
		return err
	}
	c.adopt(ctx, r)
	handover.Expect(c.fleet, r.Moving)
	return nil
}

// adopt makes r the monitor's view of the files.
func (c *care) adopt(ctx context.Context, r ipc.Reply) view {
	v := view{state: r.State, vips: r.VIPs, all: r.AllVIPs, serving: r.Serving, failed: r.Failed, moving: ipc.VIPsOf(r.Moving), out: r.Real == string(cluster.RealOutside)}
	if real, err := netip.ParseAddr(r.Real); err == nil {
		c.real = real
	}
	if len(r.Active) > 0 {
		c.active = r.Active
	}
	c.view = v
	c.subscribe(ctx)
	if c.backup != nil {
		c.backup.locate(v)
	}
	return v
}

// call asks sif for the target.
func (f *files) call(ctx context.Context, req ipc.Request) (ipc.Reply, error) {
	req.Host = f.opt.Target.Host
	return f.opt.Companion.Call(ctx, req)
}

// hold takes the lock over the files for a change of the target's addresses.
func (f *files) hold(ctx context.Context) (*ipc.Session, error) {
	return handover.HoldFor(ctx, f.opt.Companion, f.fleet, f.target(), ipc.Request{Backup: ipc.BackupOf(f.opt.Target)})
}

// refused reports whether sif did not do what it was asked for, since the files
// no longer fit.
func refused(err error) bool {
	var r *ipc.RefusedError
	return errors.As(err, &r)
}

// route is where the files put a monitor that has no trouble under way.
func (f *files) route(v view) (State, string) {
	switch v.state {
	case cluster.Operating:
		return Normal, "in operation"
	case cluster.Separated:
		return f.routeSeparated(v)
	}
	return Waiting, string(v.state)
}

// routeSeparated resumes a recovery: takeover first if nobody serves.
func (f *files) routeSeparated(v view) (State, string) {
	if len(v.of("")) > 0 && !v.failed {
		return TakingOver, "in separation, nobody serves"
	}
	return Recovering, "in separation"
}

// subscribe follows the events of the target's real server (profile fast).
func (e *ear) subscribe(ctx context.Context) {
	if !e.fast || e.subbed == e.real || !e.real.IsValid() {
		return
	}
	e.sub.Stop()
	e.subbed = e.real
	e.sub = task.Start(ctx, e.followEvents)
}

// followEvents passes on what concerns the target.
func (e *ear) followEvents(ctx context.Context) error {
	for ctx.Err() == nil {
		events, err := e.fleet.Events(ctx, e.subbed)
		if err == nil {
			for ev := range events {
				if ev.Host == e.opt.Target.Host || ev.Host == "" {
					e.pass(ev)
				}
			}
		}
		_ = e.clk.Sleep(ctx, e.set.PingInterval.D())
	}
	return nil
}

// pass hands an event to the monitor; one that finds it busy is not news, for
// what the monitor is doing looks at the hypervisor anyway.
func (e *ear) pass(ev cluster.Event) {
	select {
	case e.events <- ev:
	default:
	}
}

// pause waits d or, profile fast, for a change of the files.
func (m *Monitor) pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-m.clk.After(d):
	case <-m.changed:
	}
}
