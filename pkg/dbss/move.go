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
func (m *Monitor) destinations(ctx context.Context) []netip.Addr {
	need := m.opt.Settings.ServerOf(m.opt.Target.Backup).MemoryKB
	free := map[netip.Addr]int64{}
	for _, real := range m.active {
		cctx, cancel := m.guestCall(ctx)
		if kb, err := m.fleet.FreeMemoryKB(cctx, real); err == nil && kb >= need {
			free[real] = kb
		}
		cancel()
	}
	out := slices.DeleteFunc(slices.Clone(m.active), func(real netip.Addr) bool { return free[real] == 0 })
	slices.SortStableFunc(out, func(a, b netip.Addr) int {
		if a == m.real || b == m.real {
			return map[bool]int{true: -1, false: 1}[a == m.real]
		}
		return cmp.Compare(free[b], free[a])
	})
	return out
}

// migrate is A5 moving, the migration, A5 moved; a failed migration puts the
// row back.
func (m *Monitor) migrate(ctx context.Context, to netip.Addr) error {
	from := m.backup.guest
	if err := m.relocate(ctx, ipc.Moving, to); err != nil {
		return err
	}
	m.log.Info().Str("step", string(ipc.A5)).Stringer("to", to).Msg(MsgMigration)
	err := m.migrateInTurn(ctx, from, to)
	if err == nil || m.fleet.Arrives(ctx, from.On(to), err) {
		m.backup.guest = from.On(to)
		_ = m.relocate(ctx, ipc.Moved, to) // the row says so since Moving
		m.log.Info().Str("step", string(ipc.A5)).Stringer("to", to).Msg(MsgMigrated)
		return nil
	}
	m.backup.guest = from
	m.log.Warn().Str("step", string(ipc.A5)).Stringer("to", to).Str("error", err.Error()).Msg(MsgNotMigrated)
	return fmt.Errorf("cannot move the backup to %s: %w", to, errors.Join(err, m.relocate(ctx, ipc.Moved, from.Real)))
}

// migrateInTurn migrates within the slots that all programs share.
func (m *Monitor) migrateInTurn(ctx context.Context, from cluster.Guest, to netip.Addr) error {
	release, err := m.opt.MoveSlot(ctx)
	if err != nil {
		return err
	}
	defer release()
	ctx, cancel := m.clk.Timeout(ctx, migrateTimeout)
	defer cancel()
	return m.fleet.Migrate(ctx, from, to)
}

// endMove puts the row right of a move in which a predecessor was killed.
func (m *Monitor) endMove(ctx context.Context) {
	if m.backup == nil || len(m.view.of(m.opt.Target.Backup)) == 0 {
		return
	}
	is := m.backup.found(ctx, m.backup.guest)
	if is == m.backup.guest {
		return
	}
	if err := m.relocate(ctx, ipc.Moved, is.Real); err != nil {
		m.alarm("the backup's row cannot be put right", err)
		return
	}
	m.log.Info().Str("step", string(ipc.A5)).Stringer("on", is.Real).Msg(MsgNotMigrated)
	m.backup.guest = is
}

func (m *Monitor) relocate(ctx context.Context, outcome ipc.Outcome, to netip.Addr) error {
	_, err := m.call(ctx, ipc.Request{Verb: ipc.A5, Backup: m.backupServer(), Outcome: outcome, Real: to})
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
			_ = m.clk.Sleep(ctx, m.set.PingInterval.D())
			return Recovering, "the backup's monitor cannot be started"
		}
	}
	m.calm("the backup's monitor cannot be started")
	m.log.Info().Str("server", m.opt.Target.Backup).Msg(MsgHandedOver)
	return Ended, "the backup's monitor runs"
}
