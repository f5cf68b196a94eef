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
	*strip
	back *handover.GiveBack
	srv  mgmtdata.Server
}

// giveBack moves the VIPs of a server that answers from its backup to it, and
// commits that with B4. It reports whether B4 ran, which also returned the real
// server's row. Before the backup loses anything, and before anybody has to wait
// for the lock, the server answers.
func (s *strip) giveBack(ctx context.Context, srv mgmtdata.Server) (g *giving, b4 bool, err error) {
	if err := s.answers(ctx, srv); err != nil {
		return nil, false, err
	}
	g = s.giving(srv)
	err = g.back.Run(ctx)
	if errors.Is(err, handover.ErrNotUndone) {
		s.log(ctx).Error().Str("server", srv.Host).Err(err).Msg(MsgNotUndone)
	}
	_, b4 = g.back.Committed()
	return g, b4, err
}

// giving is srv's give-back.
func (s *strip) giving(srv mgmtdata.Server) *giving {
	target, backup := s.guest(srv.Host), ipc.BackupOf(srv)
	give := &handover.GiveBack{Sif: s.Sif, Servers: s.Fleet, Clock: s.Clock, Target: target, Group: srv.Group,
		Commits: ipc.Request{Verb: ipc.B4, Host: s.Data.Host, Real: s.Data.IP, MAC: s.Data.MAC,
			Servers: []ipc.Restored{{Target: ipc.Server{Host: srv.Host, IP: srv.IP, Group: srv.Group}, Backup: backup}}},
		HoldTime: s.Settings.Lock.Hold.D(), BySSH: s.Settings.Guest.BySSH(),
		Repelled: func(err error) {
			if err == nil && s.outage != nil {
				s.outage.fence(target)
			}
		}}
	if backup != nil {
		give.Backup = cluster.Guest{Host: srv.Backup, IP: srv.BackupIP, Real: s.Settings.Management.IP}
	}
	return &giving{strip: s, back: give, srv: srv}
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
func (s *strip) startMonitor(ctx context.Context, host string, owner Owner) {
	if err := s.patiently(ctx, monitorTimeout, owner.Start); err != nil {
		if s.news("monitor "+host, err.Error()) {
			s.log(ctx).Error().Str("server", host).Err(err).Msg(MsgNoMonitor)
		}
		return
	}
	s.news("monitor "+host, "")
	s.log(ctx).Info().Str("server", host).Msg(MsgMonitor)
}
