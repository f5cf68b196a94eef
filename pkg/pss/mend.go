package pss

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/edits"
	"pss-msbs/pkg/mgmtdata"
)

// mend makes reality follow the files: who holds which VIP, which spares run
// with sif and dbss, which hosts sleep.
func (s *System) mend(ctx context.Context, t cluster.Tables) {
	s.mendMoving(ctx, t)
	s.mendVIPs(ctx, t)
	var all sync.WaitGroup
	all.Go(func() { s.mendMonitors(ctx, t) })
	all.Go(func() { s.mendBackups(ctx, t) })
	all.Go(func() { s.mendSpares(ctx, t) })
	all.Go(func() { s.mendSleep(ctx, t) })
	all.Wait()
}

// mendVIPs puts stray VIPs where the files have them, one after the other. On
// slow guests each may keep the lock for seconds: it is then left free for half
// as long, so that everybody who waits for it gets it in between.
func (s *System) mendVIPs(ctx context.Context, t cluster.Tables) {
	astray := s.ops.Astray(ctx, t)
	if len(astray) == 0 {
		return
	}
	known := s.ops.Known(ctx, t) // not under the lock: a real server may be slow to say
	for _, vip := range astray {
		if _, moving := s.opt.Moving.Get(vip); moving {
			continue // it was looked at
		}
		began := s.opt.Clock.Now()
		mended, err := s.ops.Settle(ctx, vip, known)
		s.said.once("mend "+vip.String(), err, "VIP not mended")
		if mended {
			s.report.mended("VIP " + vip.String())
		}
		if s.opt.Clock.Sleep(ctx, min(s.opt.Clock.Since(began)/2, longestRest)) != nil {
			return
		}
	}
}

// longestRest is the longest pause between two VIPs: a stray one has two holders.
const longestRest = time.Second

// mendMoving ends the moves that a pss was killed in, or could not end, beside each
// other: each waits for servers.
func (s *System) mendMoving(ctx context.Context, t cluster.Tables) {
	moves, err := s.opt.Moving.All()
	s.said.once("moving", err, "moving VIPs not known")
	var all sync.WaitGroup
	for _, m := range moves {
		all.Go(func() {
			mended, err := s.ops.Finish(ctx, t, m)
			if ctx.Err() == nil {
				s.said.once("moving "+m.VIP.String(), err, "VIP of a cut-off move not mended")
			}
			if mended {
				s.report.mended("VIP " + m.VIP.String())
			}
		})
	}
	all.Wait()
}

// mendMonitors starts the sif and dbss of every spare in use and ends those of
// the others. A spare's processes outlive a pss that died and are adopted; those
// of a spare that failed end as it is thrown away.
func (s *System) mendMonitors(ctx context.Context, t cluster.Tables) {
	failed, unknown := s.opt.Abandoned()
	for _, spare := range t.Spares {
		rows := t.Rows().Of(spare.Host)
		running, err := s.opt.Monitors.Running(spare.Host)
		switch {
		case err != nil:
		case t.Lost(spare.Host): // its monitor has ended, and there is nothing to monitor
			continue
		case len(rows) > 0 && !running:
			s.adopt(ctx, s.serverData().Spare(spare, rows[0].Real, rows[0].VIP))
			continue
		case unknown != nil || slices.Contains(failed, spare.Host):
		case len(rows) == 0 && running && !s.spares.claimed(spare.Host):
			if err = s.opt.Monitors.Stop(ctx, spare.Host); err == nil {
				s.mended("monitor of unused spare " + spare.Host + " ended")
			}
		}
		if ctx.Err() == nil {
			s.said.once("monitor "+spare.Host, err, "monitor of a spare not mended")
		}
	}
}

func (s *System) mended(what string) {
	s.opt.Log.Warn().Str("what", what).Msg("mended")
	s.report.mended(what)
}

// adopt starts a monitor that should run, beside everything else: one that
// cannot be started must not keep other groups from their shifts.
func (s *System) adopt(ctx context.Context, dat mgmtdata.Server) {
	if !s.adopts.claim(dat.Host) {
		return
	}
	s.jobs.Go(func() {
		defer s.adopts.release(dat.Host)
		short, cancel := s.opt.Clock.Timeout(ctx, s.opt.Settings.PSS.SpareDeadline.D())
		defer cancel()
		err := s.opt.Monitors.Ensure(short, dat)
		if ctx.Err() == nil && !s.said.once("monitor "+dat.Host, err, "monitor not started") {
			s.mended("monitor of " + dat.Host + " started")
		}
	})
}

// mendBackups starts the monitor of a serving backup that has lost it: it was
// started by another dbss and has no launcher. Its target's dbss watches it
// too, so only when neither was there for a whole interval: one may hand over to
// the other, or be started again by its launcher.
func (s *System) mendBackups(ctx context.Context, t cluster.Tables) {
	data, seen, now := s.serverData(), map[string]time.Time{}, s.opt.Clock.Now()
	for _, g := range t.Operation.Guests() {
		target, is := data.TargetOf(g.Host)
		if !is || s.monitored(g.Host) || s.monitored(target.Host) {
			continue
		}
		since, known := s.orphans[g.Host]
		if !known {
			since = now
		}
		if seen[g.Host] = since; now.Sub(since) < s.opt.Settings.Measure.Interval.D()*9/10 {
			continue
		}
		dat, known := data.Of(g.Host)
		if !known {
			dat = mgmtdata.Server{Host: g.Host, IP: g.IP, Group: target.Group, Daemons: target.Daemons}
		}
		s.adopt(ctx, dat)
	}
	s.orphans = seen
}

// monitored reports whether somebody monitors host; where that cannot be found
// out it counts as monitored.
func (s *System) monitored(host string) bool {
	running, err := s.opt.Monitors.Running(host)
	return err != nil || running
}

// mendSpares has every spare that serves nothing created, if it does not exist
// yet or was lost, and put to rest. One in access stop may run: it may be wanted
// again soon.
func (s *System) mendSpares(ctx context.Context, t cluster.Tables) {
	placed, err := s.ops.Placed(ctx, t)
	failed, unknown := s.opt.Abandoned()
	awake := s.awake(t)
	for _, spare := range t.Spares {
		if t.Serves(spare.Host) || s.spares.claimed(spare.Host) || unknown != nil || slices.Contains(failed, spare.Host) {
			continue // one that failed is thrown away first
		}
		p, runs := placed[spare.Host]
		g := cluster.Guest{Host: spare.Host, IP: spare.IP, Real: p.Real}
		if runs && t.AccessStop.Has(spare.Host) {
			continue
		}
		if !runs {
			if g.Real = awake.Birthplace(spare.Group); !g.Real.IsValid() || err != nil || s.saved(ctx, g) {
				continue // nowhere to create it, perhaps it runs where nobody answered, or it is at rest
			}
		}
		s.create(ctx, g, spare.Group, runs)
	}
}

// saved reports whether the spare is at rest; where nobody says it counts as such.
func (s *System) saved(ctx context.Context, g cluster.Guest) bool {
	ctx, cancel := s.opt.Clock.Timeout(ctx, cluster.CallLimit)
	defer cancel()
	state, err := s.opt.Fleet.GuestState(ctx, g)
	return err != nil || state == cluster.GuestSaved
}

// create creates one spare behind the cycles, or puts one to rest that runs
// without need.
func (s *System) create(ctx context.Context, g cluster.Guest, group string, runs bool) {
	if s.pauses.Waits("create "+g.Host, s.opt.Clock.Now()) || !s.spares.claim(g.Host) {
		return
	}
	s.jobs.Go(func() {
		defer s.look() // a VIP may wait for it
		defer s.spares.release(g.Host)
		t, ok := s.fresh(ctx)
		if !ok || t.Serves(g.Host) || s.saved(ctx, g) {
			return // meanwhile: the files and where it runs were asked before it was claimed
		}
		err := s.ops.Create(ctx, g, group)
		if ctx.Err() != nil || errors.Is(err, edits.ErrStale) {
			return // its real server was put to sleep: the next look finds another
		}
		if s.said.once("create "+g.Host, err, "spare server not created") {
			s.pauses.Failed("create "+g.Host, s.opt.Clock.Now(), s.opt.Settings.Measure.Interval.D(), longestPause)
			return
		}
		s.pauses.Clear("create " + g.Host)
		s.pauses.Clear(startOf(g.Host))
		if runs {
			s.mended("unused spare " + g.Host + " put to rest")
		}
	})
}

// claims are what somebody is busy with: spares being created, put to rest, or
// started to take a failed server's VIPs.
type claims struct {
	mu   sync.Mutex
	busy map[string]bool
}

func (n *claims) claim(host string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.busy[host] {
		return false
	}
	if n.busy == nil {
		n.busy = map[string]bool{}
	}
	n.busy[host] = true
	return true
}

func (n *claims) release(host string) { n.mu.Lock(); defer n.mu.Unlock(); delete(n.busy, host) }

func (n *claims) any() bool { n.mu.Lock(); defer n.mu.Unlock(); return len(n.busy) > 0 }

func (n *claims) claimed(host string) bool { n.mu.Lock(); defer n.mu.Unlock(); return n.busy[host] }

// mendSleep puts hosts to sleep that the files have asleep and that are awake,
// and notes of the others which have answered again after a missed wake.
func (s *System) mendSleep(ctx context.Context, t cluster.Tables) {
	var all sync.WaitGroup
	for _, r := range t.Suspended {
		all.Go(func() {
			slept, err := s.power.SleepAgain(ctx, r.IP)
			if slept {
				s.mended("real server " + r.IP.String() + " suspended, as the files have it")
			}
			if ctx.Err() == nil && !errors.Is(err, edits.ErrNeeded) {
				s.said.once("sleep "+r.IP.String(), err, "real server is awake though the files have it asleep")
			}
		})
	}
	for _, r := range t.Real {
		if s.power.Wakes.Proved(r.IP) {
			continue
		}
		all.Go(func() {
			if s.power.Answers(ctx, r.IP) {
				s.said.once("prove "+r.IP.String(), s.power.Wakes.Woke(r.IP, 0), "wake not remembered")
			}
		})
	}
	all.Wait()
}
