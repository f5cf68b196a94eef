package dsrs

import (
	"context"
	"time"

	"github.com/rs/zerolog"
)

// The messages of the system log, in the manner of Fig. 13, from which the
// times of Table 5 are read; data stands in fields.
const (
	MsgState     = "state"
	MsgStarted   = "monitoring of the real server started"
	MsgNormal    = "real server normal"
	MsgSuspended = "real server suspended"
	MsgNoSif     = "files cannot be asked"
	MsgResumed   = "recovery resumed"

	MsgTrouble   = "real server trouble detected"
	MsgReexamine = "re-examination start"
	MsgGone      = "real server trouble gone"
	MsgCutOff    = "network references silent, nothing done"
	MsgReachable = "network references answer again"
	MsgConfirmed = "re-examined: trouble confirmed"
	MsgOut       = "real server taken out"
	MsgNotOut    = "real server not taken out"

	MsgWaiting    = "waiting for restart"
	MsgWakeWaits  = "wake waits for others"
	MsgPacket     = "magic packet sent"
	MsgNoPacket   = "magic packet not sent"
	MsgHypervisor = "virtualization software restart"
	MsgAnswers    = "real server answers"
	MsgStripped   = "stripped"
	MsgFenced     = "virtual server fenced"
	MsgUnfenced   = "virtual server fence lifted"
	MsgRemoved    = "misplaced or stale server removed"
	MsgLost       = "real server lost again"

	MsgOrphan       = "separated server without owner"
	MsgStart        = "virtual server start"
	MsgServerUp     = "virtual server started"
	MsgLeft         = "virtual server left to its monitor"
	MsgServer       = "virtual server recovered"
	MsgNotUndone    = "addresses not undone"
	MsgNoServer     = "virtual server not recovered"
	MsgMonitor      = "monitor started"
	MsgNoMonitor    = "monitor not started"
	MsgMonitorEnd   = "monitor of the backup ended"
	MsgMonitorStays = "monitor of the backup not ended"
	MsgBudget       = "restart budget used up"
	MsgResetWaits   = "reset waits for others"
	MsgNoRoom       = "reset waits for an idle processor"
	MsgNoLedger     = "ledger of resets not written"
	MsgRecovered    = "real server recovered"
	MsgNotBack      = "real server row not returned"

	MsgGivenUp  = "alarm: real server not restored"
	MsgMoving   = "backup moves"
	MsgMoved    = "backup moved"
	MsgNotMoved = "backup not moved"
)

// background is ctx for work beside the monitoring, which the log tells from that.
func (k *kit) background(ctx context.Context) context.Context {
	return k.Log.With().Str("job", "bg").Logger().WithContext(ctx)
}

// log is the logger of ctx: that of a background job, or the program's own.
func (k *kit) log(ctx context.Context) *zerolog.Logger {
	if l := zerolog.Ctx(ctx); l.GetLevel() != zerolog.Disabled {
		return l
	}
	return &k.Log
}

// since is the emulated time since t, as the log spells it.
func (k *kit) since(t time.Time) string {
	return k.Clock.Since(t).Round(10 * time.Millisecond).String()
}
