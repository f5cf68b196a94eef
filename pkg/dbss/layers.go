package dbss

import (
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"pss-msbs/pkg/clock"
	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/logonce"
	"pss-msbs/pkg/settings"
	"pss-msbs/pkg/task"
	"pss-msbs/pkg/watch"
)

// kit is what every part of a monitor works with.
type kit struct {
	opt   Options
	set   settings.DBSS
	fast  bool
	clk   clock.Clock
	log   zerolog.Logger
	fleet guarded
	said  logonce.Book
}

// senses ask and touch servers.
type senses struct{ *kit }

// files are what sif says of the target, and the lock over it.
type files struct {
	*senses
	view   view         // what they said last
	real   netip.Addr   // the target's real server
	active []netip.Addr // active real servers, as sif last named them
}

// debts are what a fence of the target still owes.
type debts struct {
	*files
	debt atomic.Value // fenceDebt
}

// vips look after the target's own addresses.
type vips struct {
	*files
	mendFailed int
	agentless  atomic.Bool // its agent was gone when it was sound
}

// care looks after the backup, and the target's addresses while it stands in.
type care struct {
	*files
	debts
	vips
	ear
	backup  *standby // nil: the target has none
	fencing *task.Task

	beat        time.Time      // last full look at the serving backup
	held        time.Time      // last look at its VIPs
	announced   time.Time      // its last gratuitous ARP
	backupWatch *watch.Watcher // of the serving backup

	pressed  atomic.Bool // the background job has started or reset the target
	unserved atomic.Bool // nobody serves VIPs of the target
	unwanted atomic.Bool // the target is in no file and still has VIPs: it is stripped only
}

func newCare(f *files) *care {
	c := &care{files: f, debts: debts{files: f}, vips: vips{files: f}, ear: ear{files: f, events: make(chan cluster.Event, 16)}}
	c.debt.Store(noDebt)
	if f.opt.Target.Backup != "" {
		c.backup = newStandby(f)
	}
	return c
}

// board is where monitors post what they doubt.
type board struct{ *files }

// ear hears what hypervisors report of the target.
type ear struct {
	*files
	events chan cluster.Event
	sub    *task.Task // reads the events of subbed
	subbed netip.Addr
}
