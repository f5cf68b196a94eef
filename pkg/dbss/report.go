package dbss

import (
	"time"

	"github.com/rs/zerolog"
)

// The messages of the system log from which the times of Fig. 12 and 13 and of
// Table 5 are read.
const (
	MsgNormal            = "normal state"
	MsgAccessStop        = "access stop state"
	MsgResumed           = "monitoring resumed"
	MsgNotInFiles        = "target is not in the files, waiting"
	MsgNetworkTrouble    = "network trouble detected"
	MsgServiceTrouble    = "service trouble detected"
	MsgConfirmed         = "re-examined: trouble confirmed"
	MsgNoTrouble         = "re-examined: no trouble"
	MsgHolding           = "trouble is not believed yet, holding"
	MsgOverloaded        = "target server is overloaded"
	MsgBusy              = "target server is overloaded and says nothing"
	MsgNoReset           = "target server may not be reset yet"
	MsgNoBackupReset     = "backup server may not be reset yet"
	MsgServiceRestart    = "service program restart"
	MsgServiceRestarted  = "service program restarted"
	MsgSeparated         = "target server separated"
	MsgFenced            = "target server fenced"
	MsgFenceOwed         = "target server cannot be fenced, its host is silent"
	MsgNotFenced         = "target server cannot be fenced although its host answers"
	MsgBackupStart       = "backup server start"
	MsgBackupStarted     = "backup server started"
	MsgBackupPaused      = "backup server paused"
	MsgBackupTrouble     = "backup server trouble detected"
	MsgBackupMended      = "backup server mended"
	MsgFunctionRecovered = "server function recovered"
	MsgInOperation       = "backup server in operation"
	MsgFailed            = "no backup server, VIPs left to pss"
	MsgJobStart          = "recovery of the target server start"
	MsgJudged            = "target server judged"
	MsgRestart           = "target server restart"
	MsgRestarted         = "target server restarted"
	MsgStripped          = "VIPs removed from the returned target server"
	MsgTargetNormal      = "target server normal"
	MsgNotRecovered      = "target server not recovered"
	MsgBudget            = "restart budget used up, the backup server keeps serving"
	MsgTargetRecovered   = "target server recovered"
	MsgMigration         = "backup server migration start"
	MsgMigrated          = "backup server migrated"
	MsgNotMigrated       = "backup server not migrated"
	MsgHandedOver        = "monitoring handed over to the backup's monitor"
	MsgIdle              = "target is left to the dsrs of its real server, waiting"
	MsgVIPRemoved        = "VIP that the files do not name removed"
	MsgVIPRestored       = "missing VIP put back"
)

// alarm logs a failure once: again only when its text changes or after calm.
func (k *kit) alarm(key string, err error) {
	if k.said.News(key, err.Error()) {
		k.log.Warn().Str("error", err.Error()).Msg(key)
	}
}

// calm forgets an alarm, so that its return is news.
func (k *kit) calm(key string) { k.said.Forget(key) }

// stamps are the instants that Table 5 counts from.
type stamps struct {
	detected time.Time
	fault    time.Time // where a hypervisor's event told it
}

// timed adds the time since the trouble was detected and since the fault.
func (k *kit) timed(e *zerolog.Event, s stamps) *zerolog.Event {
	if !s.detected.IsZero() {
		e = e.Str("after_detection", k.since(s.detected))
	}
	if !s.fault.IsZero() {
		e = e.Str("after_fault", k.since(s.fault))
	}
	return e
}

func (k *kit) since(t time.Time) string {
	return k.clk.Since(t).Round(10 * time.Millisecond).String()
}
