package handover

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"pss-msbs/pkg/clock"
	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/ipc"
)

// Servers is the fleet of a give-back, which keeps account of late commands.
type Servers interface {
	Network
	Account
	AddVIP(ctx context.Context, g cluster.Guest, vip netip.Addr) error
	DelVIP(ctx context.Context, g cluster.Guest, vip netip.Addr) error
	Quiet(ctx context.Context, g cluster.Guest) error
	Gone(ctx context.Context, g cluster.Guest) bool
	Rests(ctx context.Context, g cluster.Guest) bool
	GuestState(ctx context.Context, g cluster.Guest) (cluster.GuestState, error)
	SetLink(ctx context.Context, g cluster.Guest, up bool) error
	Destroy(ctx context.Context, g cluster.Guest) error
}

// GiveBack is the end of a recovery (paper, Fig. 9): a target that serves again
// gets its VIPs back from its backup, under a hold, and A5 or B4 makes the rows
// follow. A backup that does not give its VIPs is cut off, for nothing of value is
// on it, and so is a target that does not let go of them where it is undone.
type GiveBack struct {
	Sif      Sif
	Servers  Servers
	Clock    clock.Clock
	Target   cluster.Guest
	Backup   cluster.Guest // on the management server; without host: none
	Group    string
	Commits  ipc.Request   // A5 or B4
	HoldTime time.Duration // for which sif holds the lock
	BySSH    bool          // guests have no link that could be cut
	// Repelled is told of the target that was cut off as it did not let go, or why
	// it could not be; it may be called from several goroutines.
	Repelled func(err error)

	session *ipc.Session
	rows    ipc.HeldRows
	reply   ipc.Reply
	done    bool // the rows were changed, by this

	turn chan struct{} // whoever is in it looks at the backup as a whole
	cut  atomic.Bool
}

// The deadlines of a give-back, in emulated time.
const (
	forceAfter = time.Second     // for one address of a server that does not obey
	againTime  = 6 * time.Second // for another hold
)

// Run does it all or, undone, nothing.
func (g *GiveBack) Run(ctx context.Context) error {
	if err := g.quiet(ctx); err != nil {
		return err
	}
	if err := g.hold(ctx); err != nil {
		return err
	}
	defer func() { g.session.Close() }()
	held, cancel := g.session.Within(ctx, g.HoldTime)
	defer cancel()
	g.find(held)
	g.turn = make(chan struct{}, 1)
	h := &Handover{Network: g.Servers, Clock: g.Clock, Legs: g.legs(), Rows: g, Acts: g, Undo: cluster.CallLimit}
	err := h.Run(held)
	if err != nil && !errors.Is(err, ErrNotUndone) {
		g.release(ctx)
	}
	return err
}

// release says that nothing is left of what was begun: else sif marks it.
func (g *GiveBack) release(ctx context.Context) {
	ctx, cancel := g.Clock.Limit(context.WithoutCancel(ctx), cluster.CallLimit)
	defer cancel()
	_ = g.session.Release(ctx) // it may have ended
}

// Cut reports whether the backup was cut off, or destroyed.
func (g *GiveBack) Cut() bool { return g.cut.Load() }

// Committed reports whether A5 or B4 was done, and what it replied.
func (g *GiveBack) Committed() (ipc.Reply, bool) { return g.reply, g.done }

// VIPs are those that the target got.
func (g *GiveBack) VIPs() []netip.Addr { return g.rows.Returning(g.Target.Host, g.Backup.Host) }

// quiet waits, without the lock, until no job can stop the target any more.
func (g *GiveBack) quiet(ctx context.Context) error {
	ctx, cancel := g.Clock.Limit(ctx, cluster.CallLimit)
	defer cancel()
	return g.Servers.Quiet(ctx, g.Target)
}

func (g *GiveBack) hold(ctx context.Context) error {
	s, err := HoldFor(ctx, g.Sif, g.Servers, g.Target, ipc.Request{Backup: g.backup()})
	if err == nil && s.Reply.Rows == nil {
		s.Close()
		err = errors.New("cannot give back: the hold names no rows")
	}
	if err != nil {
		return err
	}
	g.session, g.rows = s, *s.Reply.Rows
	return nil
}

// backup is the backup as a request names it.
func (g *GiveBack) backup() *ipc.Server {
	if g.Backup.Host == "" {
		return nil
	}
	return &ipc.Server{Host: g.Backup.Host, IP: g.Backup.IP, Group: g.Group}
}

// legs are the VIPs that come back: those of the target that its backup or nobody
// holds, and whatever else the backup holds.
func (g *GiveBack) legs() []Leg {
	var backup []cluster.Guest
	if g.Backup.Host != "" {
		backup = []cluster.Guest{g.Backup}
	}
	var out []Leg
	for _, vip := range g.VIPs() {
		out = append(out, Leg{VIP: vip, From: backup, To: g.Target, Returns: g.rows.BackupOperation.HasVIP(vip)})
	}
	return out
}

// find sets where the backup is: where it runs, on the management server first. The
// rows may be wrong where a move was cut off: between them and its migration, or
// with a migration that nobody waited for.
func (g *GiveBack) find(ctx context.Context) {
	home, named := g.Backup, g.Backup
	for _, r := range g.rows.BackupOperation {
		named = named.On(r.Real)
	}
	switch {
	case g.Backup.Host == "" || g.lives(ctx, home):
	case named != home && g.lives(ctx, named):
		g.Backup = named
	default:
		g.Backup = g.anywhere(ctx, named)
	}
}

// anywhere asks all real servers at once; where none runs the backup it is as named.
func (g *GiveBack) anywhere(ctx context.Context, named cluster.Guest) cluster.Guest {
	reals := append(slices.Clone(g.session.Reply.Active), g.Target.Real)
	has := make([]bool, len(reals))
	var all sync.WaitGroup
	for i, real := range reals {
		all.Go(func() { has[i] = g.lives(ctx, named.On(real)) })
	}
	all.Wait()
	if i := slices.Index(has, true); i >= 0 {
		return named.On(reals[i])
	}
	return named
}

func (g *GiveBack) lives(ctx context.Context, b cluster.Guest) bool {
	ctx, cancel := g.Clock.Limit(ctx, cluster.CallLimit)
	defer cancel()
	st, err := g.Servers.GuestState(ctx, b)
	return err == nil && !st.Dead() && st != cluster.GuestSaved
}

// Commit implements Rows. Where nothing of the target is in separation there is
// nothing to change.
func (g *GiveBack) Commit(ctx context.Context) (err error) {
	if len(g.rows.TargetSeparation) == 0 {
		return nil
	}
	g.reply, err = g.session.Call(ctx, g.Commits)
	g.done = err == nil
	if err != nil && !ipc.Unchanged(err) {
		err = cluster.Unknown(err)
	}
	return err
}

// Look implements Rows. While the hold stands nobody can look, nor need to.
func (g *GiveBack) Look(ctx context.Context) bool {
	ctx, cancel := g.Clock.Limit(context.WithoutCancel(ctx), cluster.CallLimit)
	defer cancel()
	r, err := g.Sif.Call(ctx, ipc.Request{Verb: ipc.A1, Host: g.Target.Host})
	if err == nil && r.State != cluster.Separated {
		g.reply, g.done = r, true
	}
	return g.done
}

// Hold implements Rows.
func (g *GiveBack) Hold(ctx context.Context) (serves []netip.Addr, done bool, err error) {
	g.session.Close()
	ctx, cancel := g.Clock.Limit(ctx, againTime)
	defer cancel()
	if err := g.hold(ctx); err != nil {
		return nil, false, err
	}
	return g.rows.BackupOperation.VIPs(), len(g.rows.TargetSeparation) == 0, nil
}

// Lost implements Rows.
func (g *GiveBack) Lost() bool { return g.session.Over() }

// Whole implements Rows.
func (g *GiveBack) Whole(ctx context.Context) (context.Context, context.CancelFunc) {
	return g.session.Whole(ctx)
}

// Fit implements Acts.
func (g *GiveBack) Fit(context.Context, Leg) error { return nil }

// Begin implements Acts.
func (g *GiveBack) Begin(context.Context, []Leg) error { return nil }

// On implements Acts.
func (g *GiveBack) On(ctx context.Context, l Leg) error { return g.Servers.AddVIP(ctx, l.To, l.VIP) }

// Off implements Acts: a backup that is off answers for nothing, and one that does
// not obey is cut off. One that is paused was stripped before, unless it served:
// then somebody else has paused it, and may resume it at any moment.
func (g *GiveBack) Off(ctx context.Context, l Leg) error {
	if len(l.From) == 0 {
		return nil
	}
	why := g.takeOff(ctx, g.Backup, l.VIP)
	if why == nil {
		return nil
	}
	if !l.Returns && g.Servers.Rests(ctx, g.Backup) {
		return nil
	}
	if err := g.inTurn(ctx, g.force); err != nil {
		return fmt.Errorf("%w, and it cannot be cut off: %w", why, err)
	}
	return nil
}

// inTurn does what concerns all VIPs of the backup.
func (g *GiveBack) inTurn(ctx context.Context, do func(context.Context) error) error {
	select {
	case g.turn <- struct{}{}:
		defer func() { <-g.turn }()
		return do(ctx)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// force makes sure that the backup answers for nothing.
func (g *GiveBack) force(ctx context.Context) error {
	if g.Cut() || g.Servers.Gone(ctx, g.Backup) {
		return nil
	}
	var err error
	if g.BySSH {
		err = g.Servers.Destroy(ctx, g.Backup)
	} else if err = g.Servers.SetLink(ctx, g.Backup, false); err != nil && ctx.Err() == nil {
		err = g.Servers.Destroy(ctx, g.Backup)
	}
	g.cut.Store(err == nil)
	return err
}

func (g *GiveBack) takeOff(ctx context.Context, from cluster.Guest, vip netip.Addr) error {
	ctx, cancel := g.Clock.Limit(ctx, forceAfter)
	defer cancel()
	return g.Servers.DelVIP(ctx, from, vip)
}

// LetGo implements Acts: a target that does not obey is cut off.
func (g *GiveBack) LetGo(ctx context.Context, l Leg) error {
	err := g.takeOff(ctx, l.To, l.VIP)
	if err == nil {
		return nil
	}
	if !g.BySSH {
		err = g.Servers.SetLink(ctx, l.To, false)
	}
	g.Repelled(err)
	return err
}

// Return implements Acts. A backup that was cut off is connected first.
func (g *GiveBack) Return(ctx context.Context, l Leg) error {
	if err := g.inTurn(ctx, g.join); err != nil {
		return err
	}
	return g.Servers.AddVIP(ctx, g.Backup, l.VIP)
}

func (g *GiveBack) join(ctx context.Context) error {
	if !g.Cut() {
		return nil
	}
	err := g.Servers.SetLink(ctx, g.Backup, true)
	g.cut.Store(err != nil)
	return err
}
