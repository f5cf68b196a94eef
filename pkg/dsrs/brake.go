package dsrs

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/mgmtdata"
	"pss-msbs/pkg/watch"
)

// reset resets a server that hangs, behind a fence of ours or not, and returns
// once its services answer: within the limits over all programs, of which the
// one of its group passes as soon as the other server answers.
func (d *DSRS) reset(ctx context.Context, srv mgmtdata.Server, limit time.Duration, ours bool) error {
	switch err := d.permit(ctx, srv, ours); {
	case errors.Is(err, errBack):
		return nil
	case err != nil:
		return fmt.Errorf("cannot reset %s: %w", srv.Host, err)
	}
	g := d.guest(srv.Host)
	err := d.powered(ctx, srv, limit, func(ctx context.Context) error { return d.resetFenced(ctx, g, ours) })
	if err == nil {
		if err := d.Resets.Answered(ctx, srv.Host); err != nil && d.news("resets", err.Error()) {
			d.log(ctx).Error().Err(err).Msg(MsgNoLedger)
		}
	}
	return err
}

// permitPoll is how often one that waits asks again.
const permitPoll = time.Second

// room waits until there is room for a boot of srv, until last.
func (d *DSRS) room(ctx context.Context, srv mgmtdata.Server, last time.Time) error {
	r := watch.Room{Least: watch.LeastIdle(d.Settings), Work: func(ctx context.Context) (w cluster.Work, err error) {
		err = d.quick(ctx, func(ctx context.Context) error { w, err = d.Fleet.Work(ctx, d.guest(srv.Host)); return err })
		return w, err
	}}
	for {
		err := r.Await(ctx, d.Clock)
		if !errors.Is(err, watch.ErrNoRoom) || d.Clock.Now().After(last) {
			return err
		}
		if d.news("reset "+srv.Host, err.Error()) {
			d.log(ctx).Warn().Str("server", srv.Host).Err(err).Msg(MsgNoRoom)
		}
	}
}

// errBack says that a server has come back while its reset waited.
var errBack = errors.New("it has come back")

// permit waits until srv may be reset, for as long as another server of its
// group may take; its backup serves meanwhile. One that is behind a fence of ours
// cannot come back by itself.
func (d *DSRS) permit(ctx context.Context, srv mgmtdata.Server, ours bool) error {
	began := d.Clock.Now()
	last := began.Add(d.Settings.Brake.ResetPause.D())
	if err := d.room(ctx, srv, last); err != nil {
		return err
	}
	for {
		if !ours && d.Clock.Since(began) >= permitPoll && d.answers(ctx, srv) == nil {
			return errBack
		}
		due, err := d.Resets.Permit(ctx, srv.Host, srv.Group)
		if err != nil || due.IsZero() {
			return err
		}
		if due.After(last) {
			return fmt.Errorf("too many servers were reset, the next one may be at %s", due.Format(time.DateTime))
		}
		if d.news("reset "+srv.Host, due.Format(time.DateTime)) {
			d.log(ctx).Warn().Str("server", srv.Host).Time("until", due).Msg(MsgResetWaits)
		}
		if err := d.Clock.Sleep(ctx, permitPoll); err != nil {
			return err
		}
	}
}

// wakeTurn is the wake slot of one silent host. It is kept until the host
// answers, or has had wake_deadline: then nothing boots there, and others may
// be woken while it is tried on.
type wakeTurn struct {
	d       *DSRS
	since   time.Time
	release func()
}

// has reports whether packets may be sent. Slots that cannot be used keep no host dead.
func (t *wakeTurn) has() bool {
	if !t.since.IsZero() {
		if t.d.Clock.Since(t.since) >= t.d.Settings.PSS.WakeDeadline.D() {
			t.end()
		}
		return true
	}
	release, err := t.d.Limits.WakeSlot()
	if release == nil && err == nil {
		return false
	}
	t.since = t.d.Clock.Now()
	if err == nil {
		t.release = sync.OnceFunc(release)
	}
	return true
}

func (t *wakeTurn) end() {
	if t.release != nil {
		t.release()
	}
}
