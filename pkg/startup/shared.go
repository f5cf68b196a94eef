package startup

import (
	"pss-msbs/pkg/budget"
	"pss-msbs/pkg/clock"
	"pss-msbs/pkg/daemon"
	"pss-msbs/pkg/doubt"
	"pss-msbs/pkg/settings"
)

// Board is the board of doubts in the run directory.
func Board(d daemon.Dirs, set settings.Settings, clk clock.Clock) *doubt.Board {
	b := set.Brake
	return &doubt.Board{Dir: d.Run, Clock: clk, Targets: func() int { return doubt.Homes(d.Conf) },
		Brake: doubt.Brake{Share: b.StormShare, Least: b.StormLeast, Window: b.StormWindow.D(), Longest: b.StormLongest.D()}}
}

// Resets is the ledger of all programs' resets in the state directory.
func Resets(d daemon.Dirs, set settings.Settings, clk clock.Clock) budget.Resets {
	b := set.Brake
	return budget.Resets{Dir: d.State, Clock: clk, Limit: b.MaxResets, Window: b.ResetWindow.D(), Pause: b.ResetPause.D()}
}
