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
func (b *boots) reset(ctx context.Context, srv mgmtdata.Server, limit time.Duration, ours bool) error {
	switch err := b.permit(ctx, srv, ours); {
	case errors.Is(err, errBack):
		return nil
	case err != nil:
		return fmt.Errorf("cannot reset %s: %w", srv.Host, err)
	}
	g := b.guest(srv.Host)
	err := b.powered(ctx, srv, limit, func(ctx context.Context) error { return b.resetFenced(ctx, g, ours) })
	if err == nil {
		if err := b.Resets.Answered(ctx, srv.Host); err != nil && b.news("resets", err.Error()) {
			b.log(ctx).Error().Err(err).Msg(MsgNoLedger)
		}
	}
	return err
}

// permitPoll is how often one that waits asks again.
const permitPoll = time.Second

// room waits until there is room for a boot of srv, until last.
func (b *boots) room(ctx context.Context, srv mgmtdata.Server, last time.Time) error {
	r := watch.RoomBy(b.Settings, cluster.Work{}, func(ctx context.Context) (w cluster.Work, err error) {
		err = b.quick(ctx, func(ctx context.Context) error { w, err = b.Fleet.Work(ctx, b.guest(srv.Host)); return err })
		return w, err
	})
	for {
		err := r.Await(ctx, b.Clock)
		if !errors.Is(err, watch.ErrNoRoom) || b.Clock.Now().After(last) {
			return err
		}
		if b.news("reset "+srv.Host, err.Error()) {
			b.log(ctx).Warn().Str("server", srv.Host).Err(err).Msg(MsgNoRoom)
		}
	}
}

// errBack says that a server has come back while its reset waited.
var errBack = errors.New("it has come back")

// isBack reports whether a server that waits for its reset is well again. One behind
// a fence of ours answers nobody before it was stripped.
func (b *boots) isBack(ctx context.Context, srv mgmtdata.Server, ours bool) bool {
	return (!ours || b.unfenced(ctx, b.guest(srv.Host), b.beat()) == nil) && b.answers(ctx, srv) == nil
}

// permit waits until srv may be reset, for as long as another server of its
// group may take; its backup serves meanwhile.
func (b *boots) permit(ctx context.Context, srv mgmtdata.Server, ours bool) error {
	began := b.Clock.Now()
	last := began.Add(b.Settings.Brake.ResetPause.D())
	if err := b.room(ctx, srv, last); err != nil {
		return err
	}
	for {
		if b.Clock.Since(began) >= permitPoll && b.isBack(ctx, srv, ours) {
			return errBack
		}
		due, err := b.Resets.Permit(ctx, srv.Host, srv.Group)
		if err != nil || due.IsZero() {
			return err
		}
		if due.After(last) {
			return fmt.Errorf("too many servers were reset, the next one may be at %s", due.Format(time.DateTime))
		}
		if b.news("reset "+srv.Host, due.Format(time.DateTime)) {
			b.log(ctx).Warn().Str("server", srv.Host).Time("until", due).Msg(MsgResetWaits)
		}
		if err := b.Clock.Sleep(ctx, permitPoll); err != nil {
			return err
		}
	}
}

// wakeTurn is the wake slot of one silent host. It is kept until the host
// answers, or has had wake_deadline: then nothing boots there, and others may
// be woken while it is tried on.
type wakeTurn struct {
	d       *kit
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
