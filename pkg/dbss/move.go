package dbss

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/ipc"
)

// moving relieves the management server: the backup of a target that does not
// come back migrates, live, to the target's real server or, where that lacks
// the memory, to the active one with most of it. The row goes first.
func (m *Monitor) moving(ctx context.Context) (State, string) {
	_, _ = m.lookBeforeMonitor(ctx) // names the active real servers
	err := errors.New("no active real server has the memory")
	for _, to := range m.destinations(ctx) {
		if err = m.migrate(ctx, to); err == nil {
			return HandingOver, "the backup moved"
		}
	}
	m.alarm("backup server stays on the management server", err)
	return HandingOver, "the backup cannot move"
}

// destinations are the active real servers with room, the target's own first.
func (c *care) destinations(ctx context.Context) []netip.Addr {
	need := c.opt.Settings.ServerOf(c.opt.Target.Backup).MemoryKB
	free := map[netip.Addr]int64{}
	for _, real := range c.active {
		cctx, cancel := c.guestCall(ctx)
		if kb, err := c.fleet.FreeMemoryKB(cctx, real); err == nil && kb >= need {
			free[real] = kb
		}
		cancel()
	}
	out := slices.DeleteFunc(slices.Clone(c.active), func(real netip.Addr) bool { return free[real] == 0 })
	slices.SortStableFunc(out, func(a, b netip.Addr) int {
		switch c.real {
		case a:
			return -1
		case b:
			return 1
		}
		return cmp.Compare(free[b], free[a])
	})
	return out
}

// migrate is A5 moving, the migration, A5 moved; a failed migration puts the
// row back.
func (c *care) migrate(ctx context.Context, to netip.Addr) error {
	from := c.backup.guest
	if err := c.relocate(ctx, ipc.Moving, to); err != nil {
		return err
	}
	c.log.Info().Str("step", string(ipc.A5)).Stringer("to", to).Msg(MsgMigration)
	err := c.migrateInTurn(ctx, from, to)
	if err == nil || c.fleet.Arrives(ctx, from.On(to), err) {
		c.backup.guest = from.On(to)
		_ = c.relocate(ctx, ipc.Moved, to) // the row says so since Moving
		c.log.Info().Str("step", string(ipc.A5)).Stringer("to", to).Msg(MsgMigrated)
		return nil
	}
	c.backup.guest = from
	c.log.Warn().Str("step", string(ipc.A5)).Stringer("to", to).Str("error", err.Error()).Msg(MsgNotMigrated)
	return fmt.Errorf("cannot move the backup to %s: %w", to, errors.Join(err, c.relocate(ctx, ipc.Moved, from.Real)))
}

// migrateInTurn migrates within the slots that all programs share.
func (c *care) migrateInTurn(ctx context.Context, from cluster.Guest, to netip.Addr) error {
	release, err := c.opt.MoveSlot(ctx)
	if err != nil {
		return err
	}
	defer release()
	ctx, cancel := c.clk.Timeout(ctx, migrateTimeout)
	defer cancel()
	return c.fleet.Migrate(ctx, from, to)
}

// endMove puts the row right of a move in which a predecessor was killed.
func (c *care) endMove(ctx context.Context) {
	if c.backup == nil || len(c.view.of(c.opt.Target.Backup)) == 0 {
		return
	}
	is := c.backup.found(ctx, c.backup.guest)
	if is == c.backup.guest {
		return
	}
	if err := c.relocate(ctx, ipc.Moved, is.Real); err != nil {
		c.alarm("the backup's row cannot be put right", err)
		return
	}
	c.log.Info().Str("step", string(ipc.A5)).Stringer("on", is.Real).Msg(MsgNotMigrated)
	c.backup.guest = is
}

func (f *files) relocate(ctx context.Context, outcome ipc.Outcome, to netip.Addr) error {
	_, err := f.call(ctx, ipc.Request{Verb: ipc.A5, Backup: ipc.BackupOf(f.opt.Target), Outcome: outcome, Real: to})
	return err
}

// startFloor is the least that the start or end of a process gets on the wall clock,
// however fast an emulated fleet runs.
const startFloor = 10 * time.Second

// handingOver starts the backup's own monitor and ends once that one monitors.
func (m *Monitor) handingOver(ctx context.Context) (State, string) {
	if !m.backupMonitored() {
		sctx, cancel := context.WithTimeout(ctx, max(m.clk.Wall(slowTimeout), startFloor))
		defer cancel()
		if err := m.opt.Monitors.Start(sctx, m.opt.Target.Backup); err != nil {
			m.alarm("the backup's monitor cannot be started", err)
			return m.later(ctx, Recovering, "the backup's monitor cannot be started")
		}
	}
	m.calm("the backup's monitor cannot be started")
	m.log.Info().Str("server", m.opt.Target.Backup).Msg(MsgHandedOver)
	return Ended, "the backup's monitor runs"
}
