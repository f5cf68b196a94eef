package dsrs

import (
	"context"
	"errors"
	"time"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/handover"
	"pss-msbs/pkg/ipc"
	"pss-msbs/pkg/mgmtdata"
)

// giving is one server taking its VIPs back from its backup.
type giving struct {
	*DSRS
	back *handover.GiveBack
	srv  mgmtdata.Server
}

// giveBack moves the VIPs of a server that answers from its backup to it, and
// commits that with B4. It reports whether B4 ran, which also returned the real
// server's row. Before the backup loses anything, and before anybody has to wait
// for the lock, the server answers.
func (d *DSRS) giveBack(ctx context.Context, srv mgmtdata.Server) (g *giving, b4 bool, err error) {
	if err := d.answers(ctx, srv); err != nil {
		return nil, false, err
	}
	g = d.giving(srv)
	err = g.back.Run(ctx)
	if errors.Is(err, handover.ErrNotUndone) {
		d.log(ctx).Error().Str("server", srv.Host).Err(err).Msg(MsgNotUndone)
	}
	_, b4 = g.back.Committed()
	return g, b4, err
}

// giving is srv's give-back.
func (d *DSRS) giving(srv mgmtdata.Server) *giving {
	target, backup := d.guest(srv.Host), backupOf(srv)
	give := &handover.GiveBack{Sif: d.Sif, Servers: d.Fleet, Clock: d.Clock, Target: target, Group: srv.Group,
		Commits: ipc.Request{Verb: ipc.B4, Host: d.Data.Host, Real: d.Data.IP, MAC: d.Data.MAC,
			Servers: []ipc.Restored{{Target: ipc.Server{Host: srv.Host, IP: srv.IP, Group: srv.Group}, Backup: backup}}},
		HoldTime: d.Settings.Lock.Hold.D(), BySSH: d.Settings.Guest.BySSH(),
		Repelled: func(err error) {
			if err == nil && d.outage != nil {
				d.outage.fence(target)
			}
		}}
	if backup != nil {
		give.Backup = cluster.Guest{Host: srv.Backup, IP: srv.BackupIP, Real: d.Settings.Management.IP}
	}
	return &giving{DSRS: d, back: give, srv: srv}
}

func backupOf(srv mgmtdata.Server) *ipc.Server {
	if srv.Backup == "" {
		return nil
	}
	return &ipc.Server{Host: srv.Backup, IP: srv.BackupIP, Group: srv.Group}
}

// handOver ends what stood in for a server that serves again: a backup that
// moved or was cut off is destroyed, the server's own dbss starts with the
// monitor lock, the backup's ends. The new dbss puts the backup to its rest,
// creating it anew first where it was destroyed: only who may need it again
// pauses it.
func (g *giving) handOver(ctx context.Context, owner Owner) {
	moved := g.back.Cut() || g.back.Backup.Real != g.Settings.Management.IP
	if g.back.Backup.Host != "" && moved {
		g.endBackupMonitor(ctx) // it would report the trouble that this is
		g.remove(ctx, g.back.Backup)
	}
	g.startMonitor(ctx, g.srv.Host, owner)
	if g.back.Backup.Host != "" && !moved {
		g.endBackupMonitor(ctx)
	}
}

func (g *giving) endBackupMonitor(ctx context.Context) {
	err := g.patiently(ctx, stopTimeout, func(ctx context.Context) error { return g.Monitors.Stop(ctx, g.back.Backup.Host) })
	if err != nil {
		g.log(ctx).Error().Str("server", g.back.Backup.Host).Err(err).Msg(MsgMonitorStays)
		return
	}
	g.log(ctx).Info().Str("server", g.back.Backup.Host).Msg(MsgMonitorEnd)
}

const (
	stopTimeout    = 10 * time.Second // a dbss ends between two calls
	monitorTimeout = 30 * time.Second // a dbss, its sif and the first A1
	migrateTimeout = 3 * time.Minute
)

// startMonitor starts a server's dbss, which takes the lock over.
func (d *DSRS) startMonitor(ctx context.Context, host string, owner Owner) {
	if err := d.patiently(ctx, monitorTimeout, owner.Start); err != nil {
		if d.news("monitor "+host, err.Error()) {
			d.log(ctx).Error().Str("server", host).Err(err).Msg(MsgNoMonitor)
		}
		return
	}
	d.news("monitor "+host, "")
	d.log(ctx).Info().Str("server", host).Msg(MsgMonitor)
}
