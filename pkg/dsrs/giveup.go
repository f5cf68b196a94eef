package dsrs

import (
	"cmp"
	"context"
	"errors"
	"net/netip"
	"slices"
	"sync"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/ipc"
	"pss-msbs/pkg/mgmtdata"
	"pss-msbs/pkg/task"
)

// givenUp raises the alarm once, moves the backups off the management server
// and keeps trying to reach the host with growing pauses. It listens all the
// time: whenever the host answers it must be stripped at once.
func (d *DSRS) givenUp(ctx context.Context) (State, string) {
	o := d.outage
	if o.pause == 0 {
		o.pause = firstPause
		d.Log.Error().Str("after_detection", d.since(o.detected)).Int("packets", o.packets).Msg(MsgGivenUp)
	}
	for ctx.Err() == nil {
		if !o.moves.Running() {
			o.moves = task.Go(d.background(ctx), func(ctx context.Context) { d.moveBackups(ctx, o) })
		}
		if next, why, moved := d.placeChanged(ctx); moved {
			return next, why
		}
		pause := o.pause
		o.pause = min(2*o.pause, longestPause)
		if !o.silent {
			_ = d.Clock.Sleep(ctx, pause)
			return HypervisorDown, "another try"
		}
		d.sendPacket(ctx)
		if d.awaitAnswer(ctx, pause) {
			return Stripping, "first answer"
		}
	}
	return GivenUp, "ended"
}

// room is the free memory of the real servers that may take a backup.
type room map[netip.Addr]int64

// moveBackups moves each backup that serves on the management server to the
// active real server with most free memory, if it fits there.
func (m *mover) moveBackups(ctx context.Context, o *outage) {
	if r, err := m.askWithin(ctx, ipc.B3, b3Timeout); err == nil {
		o.active = r.Active
	}
	var free room
	for _, host := range m.Data.Servers {
		srv, err := m.Servers.Server(host)
		if err != nil || srv.Backup == "" || ctx.Err() != nil {
			continue
		}
		free = m.moveBackup(ctx, o, srv, free)
	}
}

// moveBackup moves one, if its target is nobody's. The slot comes first: who
// waits for it owns nothing.
func (m *mover) moveBackup(ctx context.Context, o *outage, srv mgmtdata.Server, free room) room {
	release, err := m.Limits.MigrationSlot(ctx)
	if err != nil {
		return free
	}
	defer release()
	owner, err := m.Monitors.Own(srv.Host)
	if err != nil {
		return free // its monitor is still at work
	}
	defer owner.Release()
	if m.servesAtHome(ctx, srv) {
		if free == nil {
			free = m.freeMemory(ctx, o.active)
		}
		m.sendAway(ctx, srv, free)
	}
	return free
}

// servesAtHome reports whether the backup of srv serves and runs on the
// management server, also where the row of a move that was cut off says otherwise.
func (m *mover) servesAtHome(ctx context.Context, srv mgmtdata.Server) bool {
	r, err := m.Sif.Call(ctx, ipc.Request{Verb: ipc.A1, Host: srv.Host})
	if err != nil || r.State != cluster.Separated ||
		!slices.ContainsFunc(r.Serving, func(s ipc.ServedVIP) bool { return s.Host == srv.Backup }) {
		return false
	}
	state, err := m.guestState(ctx, cluster.Guest{Host: srv.Backup, IP: srv.BackupIP, Real: m.Settings.Management.IP})
	return err == nil && state == cluster.GuestRunning
}

// sendAway moves one backup to where it fits.
func (m *mover) sendAway(ctx context.Context, srv mgmtdata.Server, free room) {
	to, found := free.take(m.Settings.ServerOf(srv.Backup).MemoryKB)
	err := errNoRoom
	if found {
		err = m.migrate(ctx, srv, to)
	}
	if err != nil && m.news("move "+srv.Backup, err.Error()) {
		m.log(ctx).Error().Str("server", srv.Backup).Err(err).Msg(MsgNotMoved)
	}
}

var errNoRoom = errors.New("no active real server has room")

// freeMemory asks all real servers at once; one that does not answer has no room.
func (m *mover) freeMemory(ctx context.Context, reals []netip.Addr) room {
	var mu sync.Mutex
	var wg sync.WaitGroup
	free := room{}
	for _, ip := range reals {
		if ip == m.Data.IP {
			continue
		}
		wg.Go(func() {
			_ = m.quick(ctx, func(ctx context.Context) error {
				kb, err := m.Fleet.FreeMemoryKB(ctx, ip)
				if err == nil {
					mu.Lock()
					defer mu.Unlock()
					free[ip] = kb
				}
				return err
			})
		})
	}
	wg.Wait()
	return free
}

// take reserves kb on the real server with most free memory, the lowest
// address among equals.
func (r room) take(kb int64) (netip.Addr, bool) {
	var reals []netip.Addr
	for ip, free := range r {
		if free >= kb {
			reals = append(reals, ip)
		}
	}
	if len(reals) == 0 {
		return netip.Addr{}, false
	}
	best := slices.MinFunc(reals, func(a, b netip.Addr) int { return cmp.Or(cmp.Compare(r[b], r[a]), a.Compare(b)) })
	r[best] -= kb
	return best, true
}

// migrate moves a serving backup, row first; the row is put right again where
// the migration fails. Only the owner of the target may do this.
func (m *mover) migrate(ctx context.Context, srv mgmtdata.Server, to netip.Addr) error {
	home := m.Settings.Management.IP
	m.log(ctx).Info().Str("step", "A5").Str("server", srv.Backup).Stringer("to", to).Msg(MsgMoving)
	if err := m.reportMove(ctx, srv, ipc.Moving, to); err != nil {
		return err
	}
	backup := cluster.Guest{Host: srv.Backup, IP: srv.BackupIP, Real: home}
	err := m.within(ctx, migrateTimeout, func(ctx context.Context) error {
		return m.Fleet.Migrate(ctx, backup, to)
	})
	if err != nil && m.Fleet.Arrives(ctx, backup.On(to), err) {
		err = nil // only the news of it was lost
	}
	stays, ctx := to, context.WithoutCancel(ctx)
	if err != nil {
		stays = home
	}
	if err := errors.Join(err, m.reportMove(ctx, srv, ipc.Moved, stays)); err != nil {
		return err
	}
	m.log(ctx).Info().Str("step", "A5").Str("server", srv.Backup).Stringer("to", to).Msg(MsgMoved)
	return nil
}

func (m *mover) reportMove(ctx context.Context, srv mgmtdata.Server, o ipc.Outcome, to netip.Addr) error {
	ctx, cancel := m.limit(ctx, b3Timeout)
	defer cancel()
	_, err := m.Sif.Call(ctx, ipc.Request{Verb: ipc.A5, Host: srv.Host, Backup: ipc.BackupOf(srv), Outcome: o, Real: to})
	return err
}
