package hands

import (
	"pss-msbs/pkg/plan"
)

// Errors of the re-check under the lock.
var (
	ErrStale    = plan.ErrStale
	ErrRecovery = plan.ErrRecovery
)

// Change is one group's part of a shift: its VIP moves and its new condition,
// which become true together or not at all.
type Change = plan.Change
