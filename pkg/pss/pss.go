// Package pss is the power-saving server system (paper, section 2.2, Fig. 2):
// it measures the servers in operation, classifies the load of each service
// group, and shifts groups between Moderate, PS1 and PS2.
//
// Three loops share the work, each waiting for nobody but itself:
//
//	cycles   every [measure] interval: measure, predict, classify, want;
//	         then hand the wants to
//	settle   mend what is not as the files say, plan all groups, carry out
//	         what is missing (one at a time; cycles go on meanwhile)
//	rescue   whenever the files change: VIPs whose server failed and that no
//	         backup takes go to another server of the group at once
//
// The files are the truth, so every settle is a reconciliation and a killed
// pss goes on from them at its next start.
package pss

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"pss-msbs/pkg/clock"
	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/doubt"
	"pss-msbs/pkg/ipc"
	"pss-msbs/pkg/load"
	"pss-msbs/pkg/logonce"
	"pss-msbs/pkg/notes"
	"pss-msbs/pkg/pss/ops"
	"pss-msbs/pkg/pss/power"
	"pss-msbs/pkg/pss/record"
	"pss-msbs/pkg/pss/retry"
	"pss-msbs/pkg/pss/window"
	"pss-msbs/pkg/settings"
)

// Files are the seven PSS files, watched.
type Files interface {
	ops.Files
	// Watch tells of changes until ctx ends.
	Watch(ctx context.Context) <-chan struct{}
	// Renew brings the last good copies up to date with hand edits.
	Renew(ctx context.Context) error
}

// Fleet is what pss needs of a fleet driver.
type Fleet interface {
	ops.Fleet
	power.Fleet
}

// Sample is one reading of a server (paper, section 2.5).
type Sample struct {
	MemKB, MaxMemKB float64 // used, and M_max; kilobytes
	CPUPercent      float64 // of all cores
	NetKBs          float64 // kilobytes sent and received a second
}

// Meter runs free and sar in a server.
type Meter interface {
	Measure(ctx context.Context, g cluster.Guest) (Sample, error)
}

// Accesses counts TCP SYNs to each VIP, never decreasing.
type Accesses interface {
	Accesses(ctx context.Context) (map[netip.Addr]uint64, error)
}

// Options is what pss needs.
type Options struct {
	Fleet    Fleet
	Files    Files
	Rescue   ops.Files // see conf.Rescue
	Monitors ops.Monitors
	Meter    Meter
	Accesses Accesses
	// Slot waits for one of the boot slots that all programs share; SpareSlot
	// for one of those that are not kept for recoveries.
	Slot, SpareSlot func(ctx context.Context) (release func(), err error)
	// WakeSlot waits for one of the wake slots that all programs share; nil: no limit.
	WakeSlot func(ctx context.Context) (release func(), err error)
	// Data reads the .dat files.
	Data func() (ops.Data, error)
	// Abandoned names the servers whose VIPs are pss's while they stand in
	// separation: fenced, and no backup takes them (SPEC 4).
	Abandoned func() ([]string, error)
	// Forget takes a server out of that set.
	Forget func(host string) error
	// Moving marks the VIPs whose addresses are being changed.
	Moving ipc.Moves
	// Doubts are what the monitors doubt, and which of it cannot be read; nil: nothing.
	Doubts func() ([]doubt.Doubt, error)
	// Changed reports whether settings.toml differs from Settings.
	Changed func() bool

	// LastGood says that pss may start from the last good copies of the files.
	LastGood bool
	// Ready, if set, is called once pss works.
	Ready func() error

	Settings settings.Settings
	Clock    clock.Clock
	Log      zerolog.Logger
	RunDir   string     // the last cycle is published here
	StateDir string     // wake-IP.json, start-HOST.json
	Notes    notes.Disk // where both are; nil: of the operating system
}

// System is the power-saving server system.
type System struct {
	opt     Options
	ops     *ops.Ops
	power   *power.Power
	decider *load.Decider
	counts  window.Counter
	said    said

	data struct {
		sync.Mutex
		ops.Data
	}
	last    cluster.Tables // last good view; only the cycles use it
	settles flight
	spares  claims
	rescues claims // groups
	adopts  claims // servers whose monitor is being started
	forced  forced
	relief  relief
	pauses  retry.Pauses
	orphans map[string]time.Time // since when nobody monitors a serving backup; only settle uses it
	report  report
	looks   chan struct{} // see look
	jobs    sync.WaitGroup
}

// New returns a system that has touched nothing yet.
func New(opt Options) *System {
	s := &System{opt: opt, decider: load.NewDecider(), looks: make(chan struct{}, 1), orphans: map[string]time.Time{}, relief: relief{}}
	s.said.log = opt.Log
	s.report = report{disk: opt.Notes, path: record.LastCycleFile(opt.RunDir), now: opt.Clock.Now, busy: s.settles.under, said: &s.said}
	s.ops = &ops.Ops{Fleet: ops.Guard(opt.Fleet, opt.Clock), Files: opt.Files, Rescue: opt.Rescue, Monitors: opt.Monitors, Clock: opt.Clock, Settings: opt.Settings,
		Log: opt.Log, Data: s.serverData, Slot: opt.Slot, Spare: opt.SpareSlot, Abandoned: opt.Abandoned, Forget: opt.Forget, Moving: opt.Moving,
		Starts: record.Starts{Dir: opt.StateDir, Disk: opt.Notes}}
	s.power = &power.Power{Fleet: opt.Fleet, Files: opt.Files, Clock: opt.Clock, Settings: opt.Settings, Log: opt.Log,
		Wakes: record.Wakes{Dir: opt.StateDir, Disk: opt.Notes, Clock: opt.Clock}, Starting: s.ops.Starting, Slot: opt.WakeSlot}
	return s
}

// Run works until ctx ends, and returns once everything it started has ended.
func (s *System) Run(ctx context.Context) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	if s.opt.Ready != nil {
		if err := s.opt.Ready(); err != nil {
			return err
		}
	}
	s.jobs.Go(func() { s.watch(ctx) })
	s.settleNow(ctx, nil) // the files are the truth: before anything is measured
	s.cycles(ctx)
	s.jobs.Wait()
	s.report.end()
	return nil
}

// begin reads the files once. Files that cannot be used keep pss from starting,
// unless it died and comes back: then it starts from their last good copies, so
// that failed servers are helped, and shifts nothing.
func (s *System) begin(ctx context.Context) error {
	data, err := s.opt.Data()
	if err != nil {
		return err
	}
	s.data.Data = data
	if s.last, err = s.opt.Files.View(ctx); err != nil && s.opt.LastGood {
		s.last, err = s.opt.Rescue.View(ctx)
	}
	if err != nil {
		return err
	}
	s.ops.Inherit()
	s.opt.Log.Info().Int("groups", len(s.last.State)).Int("servers", len(s.last.Operation)).Msg("pss started")
	return nil
}

// cycles runs one cycle each interval, at fixed times, until ctx ends.
func (s *System) cycles(ctx context.Context) {
	interval := s.opt.Settings.Measure.Interval.D()
	next := s.opt.Clock.Now()
	for ctx.Err() == nil {
		s.cycle(ctx)
		next = next.Add(interval)
		if late := s.opt.Clock.Since(next); late > 0 {
			next = next.Add(late.Truncate(interval))
		}
		if s.opt.Clock.Sleep(ctx, -s.opt.Clock.Since(next)) != nil {
			return
		}
	}
}

// takeoverPoll is how often pss looks, while a server is being taken over,
// whether that failed.
const takeoverPoll = 200 * time.Millisecond

// watch looks for abandoned VIPs whenever the files change, and each interval.
func (s *System) watch(ctx context.Context) {
	changes := s.opt.Files.Watch(ctx)
	for ctx.Err() == nil {
		pause := s.opt.Settings.Measure.Interval.D()
		if s.rescueAll(ctx) {
			pause = min(pause, takeoverPoll)
		}
		select {
		case <-ctx.Done():
		case <-s.opt.Clock.After(pause):
		case <-s.looks:
		case _, open := <-changes:
			if !open {
				changes = nil
			}
			if _, err := s.lookAtFiles(ctx); err == nil { // files that cannot be used stay out of the copies
				_ = s.opt.Files.Renew(ctx)
			}
		}
	}
}

// look has the abandoned VIPs looked at now.
func (s *System) look() {
	select {
	case s.looks <- struct{}{}:
	default: // about to be
	}
}

// serverData is the management data as last read.
func (s *System) serverData() ops.Data {
	s.data.Lock()
	defer s.data.Unlock()
	return s.data.Data
}

// reload reads the management data again; where it is faulty the last good one stays.
func (s *System) reload() {
	data, err := s.opt.Data()
	if s.said.once("data", err, "management data not readable, going on with the last good one") {
		return
	}
	s.data.Lock()
	defer s.data.Unlock()
	s.data.Data = data
}

// flight lets one of its kind run at a time.
type flight struct {
	mu   sync.Mutex
	busy bool
}

func (f *flight) begin() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.busy {
		return false
	}
	f.busy = true
	return true
}

func (f *flight) end() { f.mu.Lock(); defer f.mu.Unlock(); f.busy = false }

func (f *flight) under() bool { f.mu.Lock(); defer f.mu.Unlock(); return f.busy }

// said keeps the log to one message per outcome.
type said struct {
	log zerolog.Logger
	logonce.Book
}

// once logs err when it is another one than the last of its kind, and tells
// whether there is one.
func (s *said) once(kind string, err error, message string) bool {
	if s.News(kind, text(err)) && err != nil {
		s.log.Error().Err(err).Msg(message)
	}
	return err != nil
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// forced are the groups whose want became Moderate because a server without a
// backup failed.
type forced struct {
	mu     sync.Mutex
	groups map[string]bool
}

func (f *forced) add(group string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.groups == nil {
		f.groups = map[string]bool{}
	}
	f.groups[group] = true
}

// has reports whether group is forced; it is no more once it is in Moderate.
func (f *forced) has(group string, now cluster.Condition) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if now == cluster.Moderate {
		delete(f.groups, group)
	}
	return f.groups[group]
}
