package dsrs

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/ipc"
	"pss-msbs/pkg/mgmtdata"
)

// giving is one server taking its VIPs back from its backup, under hold.
type giving struct {
	*DSRS
	srv     mgmtdata.Server
	target  cluster.Guest
	backup  cluster.Guest // zero where there is none
	session *ipc.Session
	rows    ipc.HeldRows
	moved   []*movedVIP

	mu  sync.Mutex
	cut bool // the backup was cut off, for its agent was silent
}

// movedVIP is how far a VIP has come on its way back.
type movedVIP struct {
	vip     netip.Addr
	off, on bool // off the backup, on the target; or it was tried
}

// giveBack moves the VIPs of a server that answers from its backup to it, and
// commits that with B4. On a failure every address change is undone. It tells
// whether B4 ran, which also returned the real server's row. Before the backup
// loses anything, and before anybody has to wait for the lock, the server answers.
func (d *DSRS) giveBack(ctx context.Context, srv mgmtdata.Server) (g *giving, b4 bool, err error) {
	err = errors.Join(d.answers(ctx, srv), d.quick(ctx, func(ctx context.Context) error { return d.Fleet.Quiet(ctx, d.guest(srv.Host)) }))
	if err != nil {
		return nil, false, err
	}
	session, err := d.hold(ctx, srv)
	if err != nil {
		return nil, false, err
	}
	defer session.Close()
	g = &giving{DSRS: d, srv: srv, target: d.guest(srv.Host), session: session}
	if session.Reply.Rows != nil {
		g.rows = *session.Reply.Rows
	}
	g.backup = g.findBackup()
	ctx, cancel := session.Within(ctx, d.Settings.Lock.Hold.D())
	defer cancel()
	b4 = len(g.rows.TargetSeparation) > 0
	unchanged := true
	if err = g.move(ctx); err == nil && b4 {
		err = g.commit(ctx)
		unchanged = ipc.Unchanged(err)
	}
	if err != nil {
		g.revert(ctx, unchanged)
		return g, false, err
	}
	return g, b4, nil
}

// hold takes the lock over the files for a change of srv's addresses. Servers that
// may still get a VIP of it are waited for without it.
func (d *DSRS) hold(ctx context.Context, srv mgmtdata.Server) (*ipc.Session, error) {
	req := ipc.Request{Host: srv.Host, Backup: backupOf(srv)}
	s, err := d.Sif.Hold(ctx, req)
	if err != nil || !d.expect(s) {
		return s, err
	}
	s.Close()
	for _, vip := range ipc.VIPsOf(s.Reply.Moving) {
		_ = d.Fleet.Free(ctx, d.guest(srv.Host), vip)
	}
	if s, err = d.Sif.Hold(ctx, req); err == nil {
		d.expect(s)
	}
	return s, err
}

// expect reckons with the servers to which pss may have given VIPs of a hold's
// target; it reports whether one may still get one.
func (d *DSRS) expect(s *ipc.Session) (open bool) {
	for _, move := range s.Reply.Moving {
		for _, g := range move.On {
			open = d.Fleet.Expect(g, move.VIP, move.Given) || open
		}
	}
	return open
}

func backupOf(srv mgmtdata.Server) *ipc.Server {
	if srv.Backup == "" {
		return nil
	}
	return &ipc.Server{Host: srv.Backup, IP: srv.BackupIP, Group: srv.Group}
}

// findBackup is where the rows say that the backup is: on the management
// server, unless it has moved.
func (g *giving) findBackup() cluster.Guest {
	if g.srv.Backup == "" {
		return cluster.Guest{}
	}
	b := cluster.Guest{Host: g.srv.Backup, IP: g.srv.BackupIP, Real: g.Settings.Management.IP}
	for _, r := range g.rows.BackupOperation {
		b.Real = r.Real
	}
	return b
}

// locate corrects findBackup where a move was cut off: between its row and its
// migration, or with a migration that nobody waited for.
func (g *giving) locate(ctx context.Context) {
	if g.backup.Host == "" {
		return
	}
	home := g.backup.On(g.Settings.Management.IP)
	switch {
	case g.lives(ctx, home):
		g.backup = home
	case g.backup == home || !g.lives(ctx, g.backup):
		g.backup.Real = g.whereLives(ctx, g.backup, append(g.session.Reply.Active, g.Data.IP))
	}
}

// whereLives asks all real servers at once; where none has g it stays where it was.
func (d *DSRS) whereLives(ctx context.Context, g cluster.Guest, reals []netip.Addr) netip.Addr {
	has := make([]bool, len(reals))
	var wg sync.WaitGroup
	for i, real := range reals {
		wg.Go(func() { has[i] = d.lives(ctx, g.On(real)) })
	}
	wg.Wait()
	if i := slices.Index(has, true); i >= 0 {
		return reals[i]
	}
	return g.Real
}

func (d *DSRS) lives(ctx context.Context, g cluster.Guest) bool {
	state, err := d.lookAt(ctx, g)
	return err == nil && !state.Dead() && state != cluster.GuestSaved
}

// vips are those that the target gets.
func (g *giving) vips() []netip.Addr { return g.rows.Returning(g.srv.Host, g.srv.Backup) }

// move changes the addresses: nobody but the backup may answer for a VIP
// before it goes on the target, nobody but the target afterwards. The VIPs go at
// the same time, as the hold does not last for one after the other.
func (g *giving) move(ctx context.Context) error {
	var located sync.WaitGroup
	located.Go(func() { g.locate(ctx) })
	own, err := g.Fleet.WhoHas(ctx, g.target.IP)
	located.Wait()
	if err != nil || len(own) == 0 {
		return fmt.Errorf("cannot find %s: %v", g.target.Host, err)
	}
	var backup []cluster.MAC
	if g.backup.Host != "" {
		if backup, err = g.Fleet.WhoHas(ctx, g.backup.IP); err != nil {
			return fmt.Errorf("cannot find %s: %v", g.backup.Host, err)
		}
	}
	for _, vip := range g.vips() {
		g.moved = append(g.moved, &movedVIP{vip: vip})
	}
	return g.each(func(v *movedVIP) error { return g.moveOne(ctx, v, own, backup) })
}

// each does f at once for every VIP and joins the errors.
func (g *giving) each(f func(*movedVIP) error) error {
	errs := make([]error, len(g.moved))
	var wg sync.WaitGroup
	for i, v := range g.moved {
		wg.Go(func() { errs[i] = f(v) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

func (g *giving) moveOne(ctx context.Context, v *movedVIP, own, backup []cluster.MAC) error {
	vip := v.vip
	holders, err := g.Fleet.WhoHas(ctx, vip)
	if err != nil {
		return fmt.Errorf("cannot ask who holds %s: %v", vip, err)
	}
	for _, m := range holders {
		if !slices.Contains(own, m) && !slices.Contains(backup, m) {
			return fmt.Errorf("cannot move %s: %s answers for it", vip, m)
		}
	}
	if g.backup.Host != "" {
		v.off = true
		if err := g.off(ctx, vip); err != nil {
			return err
		}
	}
	v.on = true
	if err := g.Fleet.AddVIP(ctx, g.target, vip); err != nil {
		return fmt.Errorf("cannot put %s on %s: %v", vip, g.target.Host, err)
	}
	return g.verify(ctx, vip, own)
}

// off takes vip from the backup; a backup whose agent is silent is cut off.
func (g *giving) off(ctx context.Context, vip netip.Addr) error {
	err := g.within(ctx, callTimeout/3, func(ctx context.Context) error { return g.Fleet.DelVIP(ctx, g.backup, vip) })
	if err == nil || g.idle(ctx) {
		return nil
	}
	if lerr := g.Fleet.SetLink(ctx, g.backup, false); lerr != nil {
		return fmt.Errorf("cannot take %s off %s: %v", vip, g.backup.Host, err)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.cut = true
	return nil
}

// idle reports whether the backup cannot answer because it does not run.
func (g *giving) idle(ctx context.Context) bool {
	state, err := g.Fleet.GuestState(ctx, g.backup)
	return err == nil && (state.Dead() || state == cluster.GuestPaused || state == cluster.GuestSaved)
}

// verify asks until the target alone answers for vip.
func (g *giving) verify(ctx context.Context, vip netip.Addr, own []cluster.MAC) error {
	var holders []cluster.MAC
	for range 3 {
		var err error
		if holders, err = g.Fleet.WhoHas(ctx, vip); err != nil {
			return fmt.Errorf("cannot ask who holds %s: %v", vip, err)
		}
		if len(holders) == 1 && slices.Contains(own, holders[0]) {
			return nil
		}
		_ = g.Clock.Sleep(ctx, retryAgent)
	}
	return fmt.Errorf("cannot verify %s on %s: %d answer for it", vip, g.target.Host, len(holders))
}

// commit is B4 of this server. A reply that was lost is no failure where the
// rows were changed.
func (g *giving) commit(ctx context.Context) error {
	_, err := g.session.Call(ctx, ipc.Request{Verb: ipc.B4, Host: g.Data.Host, Real: g.Data.IP, MAC: g.Data.MAC,
		Servers: []ipc.Restored{{Target: ipc.Server{Host: g.srv.Host, IP: g.srv.IP, Group: g.srv.Group}, Backup: backupOf(g.srv)}}})
	if err == nil || ipc.Unchanged(err) {
		return err
	}
	ctx, cancel := g.limit(context.WithoutCancel(ctx), callTimeout)
	defer cancel()
	r, aerr := g.Sif.Call(ctx, ipc.Request{Verb: ipc.A1, Host: g.srv.Host})
	if aerr == nil && (r.State == cluster.Operating || r.State == cluster.AccessStop) {
		return nil
	}
	return err
}

// revert undoes the address changes, also when ctx has ended. If the rows are
// surely unchanged the target lets go before anything else, and before anybody
// else gets the lock. Where the hold ran out meanwhile the rows are read under
// another one: what the backup no longer serves does not go back to it.
func (g *giving) revert(ctx context.Context, unchanged bool) {
	late := ctx.Err() != nil
	ctx = context.WithoutCancel(ctx)
	if unchanged && !g.letAllGo(ctx) {
		return
	}
	session := g.session
	if late || session.Over() {
		g.session.Close()
		hctx, cancel := g.limit(ctx, b3Timeout)
		defer cancel()
		again, err := g.Sif.Hold(hctx, ipc.Request{Host: g.srv.Host, Backup: backupOf(g.srv)})
		g.rows = ipc.HeldRows{}
		if err == nil {
			defer again.Close()
			g.expect(again)
			g.rows, session = *again.Reply.Rows, again
		}
		if err == nil && len(g.rows.TargetSeparation) == 0 {
			return // it was done after all
		}
	}
	ctx, cancel := session.Whole(ctx)
	defer cancel()
	if !unchanged && !g.letAllGo(ctx) {
		return
	}
	g.notUndone(ctx, g.putBack(ctx))
}

// letAllGo has the target let go of what it got; if it does not, nothing goes
// back: two holders are worse than none.
func (g *giving) letAllGo(ctx context.Context) bool {
	err := g.each(func(v *movedVIP) error {
		if !v.on {
			return nil
		}
		return g.quick(ctx, func(ctx context.Context) error { return g.letGo(ctx, v.vip) })
	})
	return !g.notUndone(ctx, err)
}

// putBack gives the backup what it had, as the rows are now.
func (g *giving) putBack(ctx context.Context) error {
	if g.cut {
		if err := g.link(ctx, g.backup, true); err != nil {
			return err
		}
	}
	serves := g.rows.BackupOperation.VIPs()
	return g.each(func(v *movedVIP) error {
		if !v.off || !slices.Contains(serves, v.vip) {
			return nil
		}
		return g.quick(ctx, func(ctx context.Context) error { return g.Fleet.AddVIP(ctx, g.backup, v.vip) })
	})
}

func (g *giving) notUndone(ctx context.Context, err error) bool {
	if err != nil {
		g.log(ctx).Error().Str("server", g.srv.Host).Err(err).Msg(MsgNotUndone)
	}
	return err != nil
}

// letGo makes sure that the target no longer answers for vip: where its agent
// is silent its link goes down, until it is booted again.
func (g *giving) letGo(ctx context.Context, vip netip.Addr) error {
	err := g.within(ctx, callTimeout/3, func(ctx context.Context) error { return g.Fleet.DelVIP(ctx, g.target, vip) })
	if err == nil {
		return nil
	}
	if g.Fleet.SetLink(ctx, g.target, false) != nil {
		return err
	}
	if g.outage != nil {
		g.outage.fence(g.target)
	}
	return nil
}

// handOver ends what stood in for a server that serves again: a backup that
// moved or was cut off is destroyed, the server's own dbss starts with the
// monitor lock, the backup's ends. The new dbss puts the backup to its rest,
// creating it anew first where it was destroyed: only who may need it again
// pauses it.
func (g *giving) handOver(ctx context.Context, owner Owner) {
	moved := g.cut || g.backup.Real != g.Settings.Management.IP
	if g.backup.Host != "" && moved {
		g.endBackupMonitor(ctx) // it would report the trouble that this is
		g.remove(ctx, g.backup)
	}
	g.startMonitor(ctx, g.srv.Host, owner)
	if g.backup.Host != "" && !moved {
		g.endBackupMonitor(ctx)
	}
}

func (g *giving) endBackupMonitor(ctx context.Context) {
	err := g.patiently(ctx, stopTimeout, func(ctx context.Context) error { return g.Monitors.Stop(ctx, g.backup.Host) })
	if err != nil {
		g.log(ctx).Error().Str("server", g.backup.Host).Err(err).Msg(MsgMonitorStays)
		return
	}
	g.log(ctx).Info().Str("server", g.backup.Host).Msg(MsgMonitorEnd)
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
