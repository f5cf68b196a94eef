package dbss

import (
	"context"
	"fmt"
	"sync"
	"time"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/settings"
	"pss-msbs/pkg/task"
	"pss-msbs/pkg/watch"
)

// Monitor is the DBSS of one target. What it embeds are its layers: each knows those
// before it only.
type Monitor struct {
	*files
	*care // and in it the addresses, and what fences owe
	board

	state   State
	trouble trouble
	ready   sync.Once
	watcher *watch.Watcher
	greeted bool // "normal state" was said since the last change

	waitingSince    time.Time // in state Waiting
	reported        time.Time // by the hypervisor, about the target
	overloadedSince time.Time // zero: it is not
	idle            bool      // there was nothing to do from the start

	job   *task.Task // the background job
	tries int        // background jobs that failed since A3

	changed <-chan struct{}
}

// New returns a monitor in state Starting.
func New(opt Options) *Monitor {
	k := &kit{opt: opt, set: opt.Settings.DBSS, fast: opt.Settings.Profile != settings.Paper, clk: opt.Clock, log: opt.Log,
		fleet: guard(opt.Fleet, opt.Clock)}
	f := &files{senses: &senses{kit: k}, real: opt.Target.Real}
	m := &Monitor{files: f, care: newCare(f), board: board{f}, state: Starting}
	return m
}

// State is where the monitor stands; only for the goroutine of Run, or after it.
func (m *Monitor) State() State { return m.state }

// Idle tells, after Run, whether there was nothing to do from the start: the
// target's dsrs is to bring it back, and another monitor cares for the backup.
func (m *Monitor) Idle() bool { return m.idle }

// Run monitors until ctx ends, or until the backup's own monitor has taken over.
func (m *Monitor) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer m.stopTasks()
	defer cancel()
	m.watcher = m.watch(ctx, m.target)
	if m.fast {
		m.changed = m.opt.Companion.Watch(ctx)
	}
	for m.state != Ended {
		next, why := m.step(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err := m.transition(next, why); err != nil {
			return err
		}
	}
	return nil
}

func (m *Monitor) stopTasks() {
	for _, t := range []*task.Task{m.job, m.fencing, m.sub} {
		t.Stop()
	}
	if m.backup != nil {
		m.backup.stop()
	}
	m.watcher.Stop()
	m.backupWatch.Stop()
}

// step does the work of the present state and says which one comes next and why.
func (m *Monitor) step(ctx context.Context) (State, string) {
	switch m.state {
	case Starting:
		return m.starting(ctx)
	case Waiting:
		return m.waiting(ctx)
	case Normal:
		return m.normal(ctx)
	case Reexamining:
		return m.reexamining(ctx)
	case Restarting:
		return m.restarting(ctx)
	case TakingOver:
		return m.takingOver(ctx)
	case Recovering:
		return m.recovering(ctx)
	case GivingBack:
		return m.givingBack(ctx)
	case Moving:
		return m.moving(ctx)
	case HandingOver:
		return m.handingOver(ctx)
	}
	return Ended, "unknown state"
}

// later is to after a pause: what failed is tried again then.
func (m *Monitor) later(ctx context.Context, to State, why string) (State, string) {
	_ = m.clk.Sleep(ctx, m.set.PingInterval.D())
	return to, why
}

// transition is the only place where the state changes.
func (m *Monitor) transition(to State, why string) error {
	if to == m.state {
		return nil
	}
	if !m.state.mayFollow(to) {
		return fmt.Errorf("cannot go from %s to %s (%s)", m.state, to, why)
	}
	m.log.Debug().Str("from", string(m.state)).Str("to", string(to)).Str("why", why).Msg("state changed")
	m.state = to
	m.greeted = false
	if to == Waiting {
		m.waitingSince = m.clk.Now()
		m.said.Forget(topicWaiting)
	}
	if to != Recovering {
		m.unwatchBackup()
	}
	if to == Normal {
		m.forgetEvents()
		m.observe()
	}
	return nil
}

// observe starts an observation of the target, if it is watched.
func (m *Monitor) observe() {
	if m.watcher != nil {
		m.watcher.Begin(m.clk.Now())
	}
}

// forgetEvents drops what hypervisors reported of the trouble that is over.
func (e *ear) forgetEvents() {
	for {
		select {
		case <-e.events:
		default:
			return
		}
	}
}

// target is the monitored server where the files place it.
func (f *files) target() cluster.Guest {
	return cluster.Guest{Host: f.opt.Target.Host, IP: f.opt.Target.IP, Real: f.real}
}

// standsIn reports whether the target is itself a serving backup: its .dat names
// neither VIP nor real server (paper, section 2.9).
func (k *kit) standsIn() bool { return !k.opt.Target.VIP.IsValid() && !k.opt.Target.Real.IsValid() }
