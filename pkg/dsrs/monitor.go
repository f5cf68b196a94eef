package dsrs

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/ipc"
)

// soon is the wait for a second look at what a launcher may mend by itself
// (it restarts a monitor after 1 s).
const soon = 2 * time.Second

// health is what one look at the real server found.
type health struct {
	ping, hypervisor error
	late             bool // the first ping was not answered
}

func (h health) ok() bool { return h.ping == nil && h.hypervisor == nil }

func (h health) err() error { return errors.Join(h.ping, h.hypervisor) }

// kind names the trouble for the log.
func (h health) kind() string {
	if h.ping != nil {
		return "network"
	}
	return "virtualization software"
}

// look pings the real server and, if it answers, asks its hypervisor.
func (s *senses) look(ctx context.Context) health {
	began := s.Clock.Now()
	h := health{ping: s.pingFor(ctx, s.Settings.DSRS.PingTimeout.D())}
	h.late = s.Clock.Since(began) >= s.beat()
	if h.ping == nil {
		h.hypervisor = s.quick(ctx, func(ctx context.Context) error { return s.Fleet.HypervisorAlive(ctx, s.Data.IP) })
	}
	return h
}

// pingFor pings every beat until the first answer, for at most limit: a packet
// lost while the host was coming back costs one beat only. Each ping is as
// patient as any, so that a slow network is no silent host.
func (s *senses) pingFor(ctx context.Context, limit time.Duration) error {
	limited, cancel := s.Clock.Timeout(ctx, limit)
	var open sync.WaitGroup
	defer open.Wait()
	defer cancel()
	answered := make(chan struct{}, 1)
	for {
		open.Go(func() {
			ctx, cancel := s.Clock.Timeout(limited, s.Settings.DSRS.PingTimeout.D())
			defer cancel()
			if s.Fleet.Ping(ctx, s.Data.IP) == nil {
				select {
				case answered <- struct{}{}:
				default:
				}
			}
		})
		select {
		case <-answered:
			return nil
		case <-limited.Done():
			return fmt.Errorf("cannot ping %s: %w", s.Data.IP, cluster.ErrNoAnswer)
		case <-s.Clock.After(s.beat()):
		}
	}
}

// ping pings once and waits one beat.
func (s *senses) ping(ctx context.Context, ip netip.Addr) error {
	ctx, cancel := s.Clock.Timeout(ctx, s.beat())
	defer cancel()
	return s.Fleet.Ping(ctx, ip)
}

// lookTimeout bounds B1: the lock is kept for 5 s at most, and a monitoring
// does not wait for whoever keeps it longer.
const lookTimeout = 6 * time.Second

// normal is one monitoring: B1, a look at the real server, and what its
// servers lack. When the files changed before the next one is due, only B1 and
// the servers are looked at.
func (d *DSRS) normal(ctx context.Context) (State, string) {
	r, err := d.askWithin(ctx, ipc.B1, lookTimeout)
	switch {
	case err != nil:
		if ctx.Err() == nil && d.news("sif", err.Error()) {
			d.Log.Warn().Str("step", "B1").Err(err).Msg(MsgNoSif)
		}
	case r.State == cluster.RealAsleep:
		return Suspended, "suspension-real file"
	case r.State == cluster.RealOutside:
		d.beginOutage(true)
		d.Log.Info().Str("step", "B1").Str("files", string(r.State)).Msg(MsgResumed)
		return Waiting, "in neither real file"
	default:
		d.news("sif", "")
	}
	if d.Clock.Now().Before(d.due) {
		return d.between(ctx, r, err == nil)
	}
	return d.examine(ctx, r, err == nil)
}

// examine looks at an active real server and, where the files could be asked,
// tends its servers.
func (d *DSRS) examine(ctx context.Context, r ipc.Reply, asked bool) (State, string) {
	d.due = d.Clock.Now().Add(d.interval())
	h := d.look(ctx)
	if !h.ok() {
		return d.detect(h)
	}
	if h.late || asked && !d.seen {
		d.stripHere(ctx, r, h.late)
	}
	d.sound = d.Clock.Now()
	d.seen = d.seen || asked
	if asked && d.news("state", MsgNormal) {
		d.Log.Info().Str("step", "B1").Msg(MsgNormal)
	}
	return d.tendAndRest(ctx, r, asked)
}

// stripHere is for a host of which it is not known how long it has been answering:
// dsrs has just started, or it was silent until a moment ago.
func (d *DSRS) stripHere(ctx context.Context, r ipc.Reply, late bool) {
	if late {
		d.stripAnswering(ctx)
	} else {
		d.stripSeparated(ctx, r)
	}
	d.due = d.Clock.Now().Add(d.interval()) // what is seen from now on must last an interval
}

// between two monitorings a silent host is no trouble yet. But its servers'
// monitors may take over meanwhile, so its first answer is listened for: stale
// VIPs must go within strip_deadline.
func (d *DSRS) between(ctx context.Context, r ipc.Reply, asked bool) (State, string) {
	if d.ping(ctx, d.Data.IP) == nil {
		d.sound = d.Clock.Now()
		return d.tendAndRest(ctx, r, asked)
	}
	if d.listen(ctx, d.due.Sub(d.Clock.Now())) == nil {
		d.stripAnswering(ctx)
	}
	return Normal, "monitoring"
}

func (d *DSRS) tendAndRest(ctx context.Context, r ipc.Reply, asked bool) (State, string) {
	pause := d.due.Sub(d.Clock.Now())
	if !asked || d.tend(ctx, r) {
		pause = min(pause, soon)
	}
	d.rest(ctx, pause)
	return Normal, "monitoring"
}

// detect begins an outage.
func (d *DSRS) detect(h health) (State, string) {
	d.beginOutage(h.ping != nil)
	d.due = time.Time{}
	d.news("state", MsgTrouble)
	d.Log.Warn().Str("kind", h.kind()).Err(h.err()).Msg(MsgTrouble)
	return Trouble, "no answer"
}

// suspended waits, one B1 an interval, until the PSS has woken the real server.
func (d *DSRS) suspended(ctx context.Context) (State, string) {
	if t := d.tending; t != nil && !t.asleep {
		d.endTending()
	}
	d.endOutage()
	if d.news("state", MsgSuspended) {
		d.Log.Info().Str("step", "B1").Msg(MsgSuspended)
	}
	d.rest(ctx, d.Settings.DSRS.MonitorInterval.D())
	r, err := d.askWithin(ctx, ipc.B1, lookTimeout)
	if err == nil && r.State == cluster.RealAsleep {
		d.tendAsleep(ctx, r)
	}
	if err != nil || r.State == cluster.RealAsleep {
		return Suspended, "still suspended"
	}
	return Normal, "no longer suspended"
}

// rest waits for the emulated duration p, or less when the files change.
func (s *senses) rest(ctx context.Context, p time.Duration) {
	ctx, cancel := s.Clock.Timeout(ctx, p)
	defer cancel()
	select {
	case <-ctx.Done():
	case _, open := <-s.changed:
		if !open {
			<-ctx.Done()
			return
		}
		// A change is often one of several: let them come together.
		_ = s.Clock.Sleep(ctx, settle)
	}
}

// settle is how long one change of the files is waited out.
const settle = 100 * time.Millisecond
