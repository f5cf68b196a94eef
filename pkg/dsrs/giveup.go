package dsrs

import (
	"cmp"
	"context"
	"net/netip"
	"slices"
	"sync"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/ipc"
	"pss-msbs/pkg/mgmtdata"
)

// givenUp raises the alarm once, moves the backups off the management server
// and keeps trying to reach the host with growing pauses. It listens all the
// time: whenever the host answers it must be stripped at once.
func (d *DSRS) givenUp(ctx context.Context) (State, string) {
	o := d.outage
	if o.pause == 0 {
		o.pause = firstPause
		d.Log.Error().Str("after_detection", d.since(o.detected)).Int("packets", o.packets).Msg(MsgGivenUp)
		o.moves = startJob(background(ctx), d.moveBackups)
	}
	for ctx.Err() == nil {
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
func (d *DSRS) moveBackups(ctx context.Context) {
	if r, err := d.askWithin(ctx, ipc.B3, b3Timeout); err == nil {
		d.outage.active = r.Active
	}
	free := d.freeMemory(ctx, d.outage.active)
	for _, host := range d.Data.Servers {
		srv, err := d.Servers.Server(host)
		if err != nil || srv.Backup == "" || ctx.Err() != nil {
			continue
		}
		to, found := free.take(d.Settings.ServerOf(srv.Backup).MemoryKB)
		if !found {
			d.log(ctx).Error().Str("server", srv.Backup).Str("why", "no active real server has room").Msg(MsgNotMoved)
			continue
		}
		d.moveBackup(ctx, srv, to)
	}
}

// freeMemory asks all real servers at once; one that does not answer has no room.
func (d *DSRS) freeMemory(ctx context.Context, reals []netip.Addr) room {
	var mu sync.Mutex
	var wg sync.WaitGroup
	free := room{}
	for _, ip := range reals {
		if ip == d.Data.IP {
			continue
		}
		wg.Go(func() {
			_ = d.quick(ctx, func(ctx context.Context) error {
				kb, err := d.Fleet.FreeMemoryKB(ctx, ip)
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

// moveBackup migrates one serving backup, row first; the row is put right again
// where the migration fails. Only the owner of the target may do this.
func (d *DSRS) moveBackup(ctx context.Context, srv mgmtdata.Server, to netip.Addr) {
	owner, err := d.Monitors.Own(srv.Host)
	if err != nil {
		d.log(ctx).Info().Str("server", srv.Host).Msg(MsgLeft)
		return
	}
	defer owner.Release()
	home := d.Settings.Management.IP
	at, err := d.Sif.Call(ctx, ipc.Request{Verb: ipc.A1, Host: srv.Host})
	onManagement := slices.ContainsFunc(at.Serving, func(s ipc.ServedVIP) bool { return s.Host == srv.Backup && s.Real == home })
	if err != nil || at.State != ipc.Separated || !onManagement {
		return
	}
	log := d.log(ctx).With().Str("server", srv.Backup).Stringer("to", to).Logger()
	log.Info().Str("step", "A5").Msg(MsgMoving)
	if err = d.reportMove(ctx, srv, ipc.Moving, to); err == nil {
		err = d.within(ctx, migrateTimeout, func(ctx context.Context) error {
			return d.Fleet.Migrate(ctx, cluster.Guest{Host: srv.Backup, IP: srv.BackupIP, Real: home}, to)
		})
		stays := to
		if err != nil {
			stays = home
		}
		if rerr := d.reportMove(context.WithoutCancel(ctx), srv, ipc.Moved, stays); err == nil {
			err = rerr
		}
	}
	if err != nil {
		log.Error().Err(err).Msg(MsgNotMoved)
		return
	}
	log.Info().Str("step", "A5").Msg(MsgMoved)
}

func (d *DSRS) reportMove(ctx context.Context, srv mgmtdata.Server, o ipc.Outcome, to netip.Addr) error {
	ctx, cancel := d.limit(ctx, b3Timeout)
	defer cancel()
	_, err := d.Sif.Call(ctx, ipc.Request{Verb: ipc.A5, Host: srv.Host, Backup: backupOf(srv), Outcome: o, Real: to})
	return err
}
