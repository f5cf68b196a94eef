package dsrs

import (
	"context"
	"time"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/ipc"
	"pss-msbs/pkg/task"
	"pss-msbs/pkg/watch"
)

const (
	packetInterval  = 10 * time.Second // between the tries of one wake
	firstPause      = 30 * time.Second // growing pauses, once they have failed
	longestPause    = 10 * time.Minute
	turnPoll        = time.Second      // a wake that waits for others
	hypervisorGrace = 10 * time.Second // a host that boots answers pings first
)

// beat is how often a silent real server is asked: often enough that
// strip_deadline can be met.
func (k *kit) beat() time.Duration { return k.Settings.DSRS.StripDeadline.D() / 4 }

// awaitAnswer pings until the first answer, for at most limit.
func (d *DSRS) awaitAnswer(ctx context.Context, limit time.Duration) bool {
	if limit <= 0 {
		return false
	}
	if d.listen(ctx, limit) != nil {
		return false
	}
	d.outage.answered = d.Clock.Now()
	d.Log.Info().Int("packets", d.outage.packets).
		Str("after_detection", d.since(d.outage.detected)).Msg(MsgAnswers)
	return true
}

// listen pings a silent host until it answers, for at most limit, and follows what
// the files say meanwhile: somebody may hold their lock when it does.
func (d *DSRS) listen(ctx context.Context, limit time.Duration) error {
	look := task.Go(ctx, d.keepLooking)
	defer look.Stop()
	return d.pingFor(ctx, limit)
}

// lookPause is how often the files are asked that nobody says have changed.
const lookPause = 5 * time.Second

// keepLooking asks what the files say whenever they change.
func (d *DSRS) keepLooking(ctx context.Context) {
	for {
		d.rest(ctx, lookPause)
		if ctx.Err() != nil {
			return
		}
		_, _ = d.askWithin(ctx, ipc.B2, cluster.CallLimit)
	}
}

// waiting gives a restarting host restart_wait to come back by itself.
func (d *DSRS) waiting(ctx context.Context) (State, string) {
	left := d.Settings.DSRS.RestartWait.D() - d.Clock.Since(d.entered)
	if d.awaitAnswer(ctx, left) {
		return Stripping, "first answer"
	}
	return Waking, "restart_wait is over"
}

// waking sends wake_tries magic packets, then more with growing pauses, and
// waits for the first answer until restore_deadline. While others are being
// woken it only listens.
func (d *DSRS) waking(ctx context.Context) (State, string) {
	turn := wakeTurn{d: d.kit}
	defer turn.end()
	for try := 0; ctx.Err() == nil; {
		left := d.restoreEnds().Sub(d.Clock.Now())
		if left <= 0 {
			return GivenUp, "restore_deadline"
		}
		if next, why, moved := d.placeChanged(ctx); moved {
			return next, why
		}
		pause := turnPoll
		if turn.has() {
			try++
			d.sendPacket(ctx)
			pause = d.pauseAfter(try)
		} else if d.news("wake", MsgWakeWaits) {
			d.Log.Info().Msg(MsgWakeWaits)
		}
		if d.awaitAnswer(ctx, min(left, pause)) {
			return Stripping, "first answer"
		}
	}
	return Waking, "ended"
}

// pauseAfter is the pause after so many magic packets.
func (d *DSRS) pauseAfter(packets int) time.Duration {
	pause := packetInterval
	for n := packets - d.Settings.DSRS.WakeTries; n >= 0 && pause < longestPause; n-- {
		pause = max(2*pause, firstPause)
	}
	return min(pause, longestPause)
}

// placeChanged looks, before anything is done to a silent host, whether
// somebody has put its row back meanwhile: a suspended host is not woken.
func (d *DSRS) placeChanged(ctx context.Context) (State, string, bool) {
	r, err := d.askWithin(ctx, ipc.B2, d.beat())
	if err != nil {
		return "", "", false
	}
	switch r.State {
	case cluster.RealAsleep:
		return Suspended, "its row stands in suspension-real", true
	case cluster.RealActive:
		d.endOutage()
		return Normal, "its row stands in real-server again", true
	}
	return "", "", false
}

// sendPacket sends one magic packet; the log names the first and a failure.
func (d *DSRS) sendPacket(ctx context.Context) {
	err := d.quick(ctx, func(ctx context.Context) error { return d.Fleet.WakeReal(ctx, d.Data.MAC) })
	if err != nil {
		if d.news("packet", err.Error()) {
			d.Log.Error().Err(err).Msg(MsgNoPacket)
		}
		return
	}
	if d.outage.packets++; d.outage.packets == 1 {
		d.Log.Info().Stringer("mac", d.Data.MAC).Msg(MsgPacket)
	}
}

// hypervisorDown restarts the virtualization software of a host that answers
// pings; nothing else of the host is touched.
func (d *DSRS) hypervisorDown(ctx context.Context) (State, string) {
	pause := packetInterval
	for ctx.Err() == nil {
		if d.outage.restarts++; d.outage.restarts == 1 {
			d.Log.Info().Msg(MsgHypervisor)
		}
		restart := task.Go(ctx, d.restartHypervisor)
		next, why := d.awaitHypervisor(ctx, pause) // it may come back by itself, and must be stripped then
		restart.Stop()
		if next != HypervisorDown {
			return next, why
		}
		if !d.Clock.Now().Before(d.restoreEnds()) {
			return GivenUp, "restore_deadline"
		}
		pause = min(2*pause, longestPause)
	}
	return HypervisorDown, "ended"
}

func (d *DSRS) restartHypervisor(ctx context.Context) {
	err := d.within(ctx, packetInterval, func(ctx context.Context) error {
		return d.Fleet.RestartHypervisor(ctx, d.Data.IP)
	})
	if err != nil && ctx.Err() == nil && d.news("hypervisor", err.Error()) {
		d.Log.Error().Err(err).Msg(MsgHypervisor)
	}
}

// awaitHypervisor looks at the host every beat for at most limit.
func (d *DSRS) awaitHypervisor(ctx context.Context, limit time.Duration) (State, string) {
	limit = max(min(limit, d.restoreEnds().Sub(d.Clock.Now())), packetInterval)
	ctx, cancel := d.Clock.Timeout(ctx, limit)
	defer cancel()
	looks, end := d.looks(ctx, int(limit/d.beat()), d.beat())
	defer end()
	patience := time.Duration(d.Settings.DSRS.ReexamineCount) * d.Settings.DSRS.PingTimeout.D()
	var hearing watch.Hearing
	meter := task.Go(ctx, func(ctx context.Context) { hearing.Measure(ctx, d.Clock) })
	defer meter.Stop()
	for silence := hearing.Begin(d.Clock.Now()); ; hearing.Step(d.Clock.Now(), &silence) {
		select {
		case <-ctx.Done():
			return HypervisorDown, "no answer yet"
		case h := <-looks:
			switch {
			case h.ok():
				d.outage.answered = d.Clock.Now()
				d.Log.Info().Str("after_detection", d.since(d.outage.detected)).Msg(MsgAnswers)
				return Stripping, "the virtualization software answers"
			case ctx.Err() != nil:
			case h.ping == nil:
				silence = hearing.Begin(d.Clock.Now())
			case hearing.Heard(silence, d.Clock.Now()) >= patience:
				d.outage.silent = true
				return Waiting, "the network is silent too"
			}
		}
	}
}
