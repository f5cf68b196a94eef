package startup

import (
	"pss-msbs/pkg/budget"
	"pss-msbs/pkg/doubt"
	"pss-msbs/pkg/ipc"
)

// Board is the board of doubts in the run directory.
func (b *Base) Board() *doubt.Board {
	set := b.Settings.Brake
	return &doubt.Board{Dir: b.Dirs.Run, Disk: b.Notes, Clock: b.Clock, PID: b.PID(), Alive: b.Alive,
		Fleet: func() doubt.Fleet { return doubt.FleetOf(b.Dirs.Conf) },
		Brake: doubt.Brake{Share: set.StormShare, Least: set.StormLeast, Window: set.StormWindow.D(), Longest: set.StormLongest.D()}}
}

// Resets is the ledger of all programs' resets in the state directory.
func (b *Base) Resets() budget.Resets {
	set := b.Settings.Brake
	return budget.Resets{Dir: b.Dirs.State, Disk: b.Notes, Clock: b.Clock,
		Limit: set.MaxResets, Window: set.ResetWindow.D(), Pause: set.ResetPause.D()}
}

// Budget is the recovery budget of a virtual server.
func (b *Base) Budget(host string) budget.File {
	set := b.Settings.DBSS
	return budget.File{Path: b.Dirs.Budget(host), Disk: b.Notes, Host: host, Limit: set.BudgetRecoveries, Window: set.BudgetWindow.D()}
}

// Failed are the servers whose VIPs are pss's, Moves the VIPs that it is moving.
func (b *Base) Failed() ipc.Failed { return ipc.Failed{Dir: b.Dirs.Run, Disk: b.Notes} }

// Moves are the VIPs that pss is moving.
func (b *Base) Moves() ipc.Moves { return ipc.Moves{Dir: b.Dirs.State, Disk: b.Notes} }
