package dbss

import (
	"context"
	"errors"
	"sync"
	"time"

	"pss-msbs/pkg/cluster"
)

// restartTries is how often stopped daemons are restarted before the target is
// taken for frozen (SPEC 5).
const restartTries = 2

// restarting restarts the stopped daemons inside the target (Table 5: "Service
// program stop").
func (m *Monitor) restarting(ctx context.Context) (State, string) {
	daemons := m.trouble.daemons
	for range restartTries {
		m.log.Info().Strs("daemons", daemons).Msg(MsgServiceRestart)
		err := m.restartDaemons(ctx, m.target(), daemons)
		if errors.Is(err, cluster.ErrHostSilent) && m.ping(ctx, m.opt.Target.IP) != nil {
			return m.later(ctx, Reexamining, "neither its real server nor it answers")
		}
		if daemons = m.awaitGreetings(ctx); len(daemons) == 0 {
			m.timed(m.log.Info(), m.trouble.stamps).Msg(MsgServiceRestarted)
			m.timed(m.log.Info(), m.trouble.stamps).Str("trouble", string(m.trouble.kind)).Msg(MsgTargetRecovered)
			m.backup.rest(ctx)
			return Normal, "service answers again"
		}
	}
	m.trouble.kind, m.trouble.daemons = freeze, daemons
	m.log.Info().Strs("daemons", daemons).Msg("service program does not come back")
	return TakingOver, "service does not come back"
}

// restartDaemons restarts the daemons in g at once.
func (s *senses) restartDaemons(ctx context.Context, g cluster.Guest, daemons []string) error {
	ctx, cancel := s.guestCall(ctx)
	defer cancel()
	errs := make([]error, len(daemons))
	var wg sync.WaitGroup
	for i, d := range daemons {
		wg.Go(func() { errs[i] = s.fleet.RestartDaemon(ctx, g, d) })
	}
	wg.Wait()
	err := errors.Join(errs...)
	if err != nil {
		s.alarm("service program cannot be restarted", err)
	}
	return err
}

// awaitGreetings waits for as long as a service may say nothing before it is
// frozen, and returns the daemons that do not greet by then: one on a busy server
// greets slowly.
func (s *senses) awaitGreetings(ctx context.Context) (silent []string) {
	ctx, cancel := s.clk.Timeout(ctx, max(s.set.GreetTimeout.D(), s.set.FreezeDeadline.D()))
	defer cancel()
	greets := make([]bool, len(s.opt.Target.Daemons))
	var all sync.WaitGroup
	for i, d := range s.opt.Target.Daemons {
		all.Go(func() { greets[i] = s.greets(ctx, d) })
	}
	all.Wait()
	for i, d := range s.opt.Target.Daemons {
		if !greets[i] {
			silent = append(silent, d)
		}
	}
	return silent
}

// greets reports whether a daemon of the target greets before ctx ends. Tries
// overlap: one that began in a freeze may hear nothing after its end.
func (s *senses) greets(ctx context.Context, daemon string) bool {
	ctx, cancel := context.WithCancel(ctx)
	var tries sync.WaitGroup
	defer tries.Wait()
	defer cancel()
	greeted := make(chan struct{}, 1)
	for {
		failed := make(chan struct{})
		tries.Go(func() {
			if s.fleet.Greet(ctx, s.opt.Target.IP, daemon) != nil {
				close(failed)
				return
			}
			select {
			case greeted <- struct{}{}:
			default:
			}
		})
		select {
		case <-greeted:
			return true
		case <-failed:
			_ = s.clk.Sleep(ctx, 50*time.Millisecond)
		case <-s.clk.After(s.set.PingInterval.D()):
		}
		if ctx.Err() != nil {
			return false
		}
	}
}
