package dsrs

import (
	"context"
	"slices"
	"sync/atomic"
	"time"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/ipc"
	"pss-msbs/pkg/task"
)

// tending is the care of the servers of a normal real server: one job a server
// at most, so that none delays another or the monitoring.
type tending struct {
	jobs   map[string]*task.Task
	left   map[string]bool // monitors that were about to end when the host came back
	seen   map[string]time.Time
	care   map[string]*care
	asleep bool // begun while the real server was suspended: only monitors are tended
}

// care is when a server may be tried again.
type care struct {
	next  time.Time
	pause time.Duration
}

func (s *strip) beginTending() *tending {
	if s.tending == nil {
		s.tending = &tending{jobs: map[string]*task.Task{}, left: map[string]bool{},
			seen: map[string]time.Time{}, care: map[string]*care{}}
	}
	return s.tending
}

// endTending cancels every job and waits for it.
func (s *strip) endTending() {
	if s.tending == nil {
		return
	}
	for _, j := range s.tending.jobs {
		j.Cancel()
	}
	for _, j := range s.tending.jobs {
		j.Stop()
	}
	s.tending = nil
}

// adopt takes over what a recovery left to do: monitors that were about to
// end, and guests still cut off.
func (s *strip) adopt(ctx context.Context, o *outage, left []string) {
	t := s.beginTending()
	for _, host := range left {
		t.left[host] = true
	}
	for host, g := range o.fenced {
		if !s.isLine4(host) || t.left[host] {
			s.unfenceBeside(ctx, g)
		}
	}
}

// unfenceBeside strips g and lifts its fence beside all else.
func (s *strip) unfenceBeside(ctx context.Context, g cluster.Guest) {
	jobs, name := s.beginTending().jobs, "fence "+g.Host
	if !jobs[name].Running() {
		jobs[name] = task.Go(s.background(ctx), func(ctx context.Context) { s.unfence(ctx, g) })
	}
}

// tend starts what the servers of line 4 need. It reports whether something was
// seen that must be looked at again soon.
func (d *DSRS) tend(ctx context.Context, r ipc.Reply) (hurry bool) {
	ctx = d.background(ctx)
	t, p := d.beginTending(), d.placementOf(r)
	t.asleep = false
	for _, host := range d.Data.Servers {
		orphan, stopped := slices.Contains(r.Orphans, host), slices.Contains(r.Stopped, host)
		held := orphan || d.Monitors.Held(host)
		lonely := !held && (stopped || len(p.here[host]) > 0)
		since := t.unbroken("orphan "+host, orphan, d.Clock.Now())
		alone := t.unbroken("monitor "+host, lonely, d.Clock.Now())
		c, free := t.careOf(host), t.left[host]
		switch {
		case t.jobs[host].Running():
		case lonely && alone >= d.interval():
			t.jobs[host] = task.Go(ctx, func(ctx context.Context) { d.tendMonitor(ctx, host) })
		case d.Clock.Now().Before(c.next): // another try at the server itself is not due
		case orphan && since < soon && !free:
			t.jobs[host] = task.Go(ctx, func(ctx context.Context) { d.stripOne(ctx, p, host) })
			hurry = true
		case orphan:
			t.jobs[host] = task.Go(ctx, func(ctx context.Context) { d.tendOrphan(ctx, host, c, free) })
		case stopped:
			t.jobs[host] = task.Go(ctx, func(ctx context.Context) { d.tendStopped(ctx, host, c, len(p.here) == 0) })
		case held && free && len(p.here[host]) == 0:
			hurry = true // until its monitor has ended or recovered it
		default:
			delete(t.left, host)
		}
	}
	return hurry
}

// tendAsleep starts the monitors, which nobody runs, of a suspended real
// server's stopped servers: they wait for it as their dsrs does.
func (d *DSRS) tendAsleep(ctx context.Context, r ipc.Reply) {
	ctx = d.background(ctx)
	t := d.beginTending()
	t.asleep = true
	for _, host := range d.Data.Servers {
		lonely := slices.Contains(r.Stopped, host) && !d.Monitors.Held(host)
		alone := t.unbroken("monitor "+host, lonely, d.Clock.Now())
		if lonely && alone >= d.interval() && !t.jobs[host].Running() {
			t.jobs[host] = task.Go(ctx, func(ctx context.Context) { d.tendMonitor(ctx, host) })
		}
	}
}

func (k *kit) interval() time.Duration { return k.Settings.DSRS.MonitorInterval.D() }

// unbroken is how long the fact has been seen without a break; 0 at first sight.
func (t *tending) unbroken(fact string, seen bool, now time.Time) time.Duration {
	if !seen {
		delete(t.seen, fact)
		return 0
	}
	if t.seen[fact].IsZero() {
		t.seen[fact] = now
	}
	return now.Sub(t.seen[fact])
}

func (t *tending) careOf(host string) *care {
	if t.care[host] == nil {
		t.care[host] = &care{}
	}
	return t.care[host]
}

// failed puts the next try off, by a pause that grows.
func (c *care) failed(now time.Time) {
	c.pause = min(max(2*c.pause, packetInterval), longestPause)
	c.next = now.Add(c.pause)
}

// tendOrphan restores a separated server of a healthy host that nobody owns,
// within the restart budget. A server whose host was out a moment ago is part
// of that recovery and costs no budget.
func (d *DSRS) tendOrphan(ctx context.Context, host string, c *care, free bool) {
	owner, err := d.Monitors.Own(host)
	if err != nil {
		return // somebody took it up
	}
	due, err := d.Limits.BeginRecovery(host)
	if err == nil && !due.IsZero() && !free {
		owner.Release()
		c.next = due
		d.log(ctx).Error().Str("server", host).Time("until", due).Msg(MsgBudget)
		return
	}
	d.log(ctx).Warn().Str("server", host).Msg(MsgOrphan)
	g, err := d.restoreServer(ctx, host, false, new(atomic.Bool))
	if ctx.Err() == nil { // else the recovery is continued later
		_ = d.Limits.EndRecovery(host, outcome(err))
	}
	d.report(ctx, host, err)
	if err != nil {
		owner.Release()
		c.failed(d.Clock.Now())
		return
	}
	c.pause = 0
	g.handOver(ctx, owner)
}

// tendStopped starts a server in access stop that is off, without VIP; not on an
// idle real server, which may be suspended at any moment. But a server whose boot
// hangs there would keep it awake for ever, so that is reset.
func (d *DSRS) tendStopped(ctx context.Context, host string, c *care, idle bool) {
	state, err := d.guestState(ctx, d.guest(host))
	if err != nil || state != cluster.GuestBooting && (idle || !state.Dead()) {
		return
	}
	if state == cluster.GuestBooting && d.bootsBySelf(ctx, host) {
		return
	}
	if err = d.bootNamed(ctx, host); err != nil {
		c.failed(d.Clock.Now())
	}
	d.report(ctx, host, err)
}

// bootsBySelf waits for the services of a server that boots, as long as a boot
// may take.
func (b *boots) bootsBySelf(ctx context.Context, host string) bool {
	srv, err := b.Servers.Server(host)
	return err == nil && b.awaitServices(ctx, srv, b.Settings.DBSS.RecoverDeadline.D()/3) == nil
}

// tendMonitor starts the dbss of a server that no process monitors: the one
// that a dsrs started has no launcher. What it should have found ended is
// ended first: a backup that serves nothing.
func (d *DSRS) tendMonitor(ctx context.Context, host string) {
	owner, err := d.Monitors.Own(host)
	if err != nil {
		return
	}
	srv, err := d.Servers.Server(host)
	if err != nil {
		owner.Release()
		d.report(ctx, host, err)
		return
	}
	d.giving(srv).handOver(ctx, owner)
}
