// Package edits holds every edit of the seven files, as pure functions of what
// they say: those of the managers (A3, A4, A5, B3, B4, paper, Fig. 9), and those
// of pss that move a VIP, set a condition, and put a real server to sleep. Each
// looks whether the files, as they are under the lock by now, still fit it, and
// else refuses and changes nothing. sif and pss run them within one transaction
// of conffile; the model check in pkg/model runs the same ones over every
// interleaving.
//
// An edit replaces the rows of a file and never writes into them: a copy of the
// tables that was made before keeps what it had.
package edits

import (
	"errors"
	"fmt"

	"pss-msbs/pkg/cluster"
)

// Errors of the edits of pss.
var (
	// ErrStale says that the files no longer fit the plan.
	ErrStale = errors.New("the files have changed")
	// ErrRecovery says that a server of the group went to separation.
	ErrRecovery = errors.New("recovery under way")
	// ErrNeeded says that the files do not let a real server sleep.
	ErrNeeded = errors.New("the files need it awake")
)

// Refusal is why the files do not fit an edit of a manager.
type Refusal struct {
	Standing cluster.Standing // of the server concerned, where that explains it
	Why      string
}

func (r *Refusal) Error() string { return r.Why }

// Refuse makes a Refusal.
func Refuse(standing cluster.Standing, format string, args ...any) error {
	return &Refusal{Standing: standing, Why: fmt.Sprintf(format, args...)}
}
