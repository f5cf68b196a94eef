package daemon

import (
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"

	"pss-msbs/pkg/clock"
)

// restartPause is how long a launcher waits before it starts a program again.
const restartPause = time.Second

// startDeadline is how long a sif may take until it listens.
const startDeadline = 10 * time.Second

// Companion is the sif of this process: it runs until Close and is started
// again at the same socket whenever it dies or hangs.
type Companion struct {
	Socket string

	cancel context.CancelFunc
	wg     sync.WaitGroup
}

// StartSif starts the sif of target and returns once it listens at
// Dirs.SifSocket(target). It ends with Close, with ctx, or with this process. The
// caller has the monitor lock of target: a sif that listens there has lost its
// master, and goes.
func (e Env) StartSif(ctx context.Context, target string) (*Companion, error) {
	cmd := Command{Program: "sif", Name: target, Args: []string{"--target", target}, Life: true}
	p, err := e.startTimely(ctx, cmd)
	if err != nil {
		return nil, err
	}
	return e.companion(ctx, target, func(ctx context.Context) {
		for p != nil {
			select {
			case <-ctx.Done():
				_ = p.Stop(context.WithoutCancel(ctx))
				return
			case <-p.Done():
				e.Log.Error().Err(p.Err()).Msg("sif ended, starting another")
			}
			p = e.restart(ctx, cmd)
		}
	}), nil
}

// companion is the sif of target while keep sees to it.
func (e Env) companion(ctx context.Context, target string, keep func(context.Context)) *Companion {
	ctx, cancel := context.WithCancel(ctx)
	c := &Companion{Socket: e.Dirs.SifSocket(target), cancel: cancel}
	c.wg.Go(func() { e.Watchdog(ctx, c.Socket, e.Clock, e.Log) })
	c.wg.Go(func() { keep(ctx) })
	return c
}

// Close ends the sif, or the watch over one of a spare, and waits for it.
func (c *Companion) Close() error {
	c.cancel()
	c.wg.Wait()
	return nil
}

// restart starts cmd at once and then each second until it is ready; nil when ctx ended.
func (e Env) restart(ctx context.Context, cmd Command) Child {
	said := false
	for ctx.Err() == nil {
		p, err := e.startTimely(ctx, cmd)
		if err == nil {
			return p
		}
		if !said && ctx.Err() == nil {
			e.Log.Error().Err(err).Msg("sif does not start, starting it again")
			said = true
		}
		_ = e.Clock.Sleep(ctx, restartPause)
	}
	return nil
}

func (e Env) startTimely(ctx context.Context, cmd Command) (Child, error) {
	ctx, cancel := context.WithTimeout(ctx, startDeadline)
	defer cancel()
	return e.Start(ctx, cmd)
}

// StartSpareSif starts the sif of a spare (or of a serving backup), detached:
// it outlives this process. adopt is the pid of its dbss that runs already, or 0.
func (e Env) StartSpareSif(ctx context.Context, target string, adopt int) error {
	args := []string{"--target", target, "--spare"}
	if adopt != 0 {
		args = append(args, "--adopt", strconv.Itoa(adopt))
	}
	_, err := e.Start(ctx, Command{Program: "sif", Name: target, Args: args, Detached: true})
	return err
}

// KeepSpareSif watches the sif at the socket of target, which this process (its
// dbss) did not start, and starts another one, which adopts this process, when it
// dies. Close ends the watch and leaves the sif.
func (e Env) KeepSpareSif(ctx context.Context, target string) *Companion {
	return e.companion(ctx, target, func(ctx context.Context) {
		for ctx.Err() == nil {
			if err := e.untilGone(ctx, target); err == nil {
				continue
			}
			sctx, cancel := context.WithTimeout(ctx, startDeadline)
			err := e.StartSpareSif(sctx, target, e.PID())
			cancel()
			if err == nil {
				e.Log.Error().Msg("sif ended, started another")
			} else if ctx.Err() == nil {
				e.Log.Error().Err(err).Msg("cannot start another sif")
				_ = e.Clock.Sleep(ctx, restartPause)
			}
		}
	})
}

// untilGone keeps an idle connection to the sif of target; its end is the
// sif's (nil when ctx ended first).
func (e Env) untilGone(ctx context.Context, target string) error {
	conn, err := e.Dial(ctx, e.Dirs.SifSocket(target))
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	_, _ = io.Copy(io.Discard, conn)
	if ctx.Err() != nil {
		return nil
	}
	return fmt.Errorf("the sif of %s ended", target)
}

// StartMonitor starts the dbss of the server name, a process of its own, handing
// it the monitor lock where lock is not nil, and returns once it monitors.
func (e Env) StartMonitor(ctx context.Context, name string, lock Lock) (Child, error) {
	return e.Start(ctx, Command{Program: "dbss", Name: name, Args: []string{e.Dirs.Dat(name)}, Lock: lock, Detached: true})
}

const (
	endGrace = 5 * time.Second // for a dbss that is to end, on the wall clock
	endPoll  = 20 * time.Millisecond
)

// End implements Kernel. A dbss that does not follow, since it hangs, is killed by
// the pid in its monitor lock.
func (o OS) End(ctx context.Context, name string) error {
	asked, cancel := context.WithTimeout(ctx, endGrace)
	defer cancel()
	for asked.Err() == nil {
		if _, held, err := o.Holder(name); err != nil || !held {
			return err
		}
		if Stop(asked, o.Dirs, "dbss", name) == nil {
			return nil
		}
		_ = (clock.Clock{}).Sleep(asked, endPoll) // it may have just begun
	}
	return o.kill(ctx, name)
}

// kill kills the holder of a monitor lock.
func (o OS) kill(ctx context.Context, name string) error {
	if ctx.Err() != nil {
		return fmt.Errorf("cannot end dbss-%s: %w", name, ctx.Err())
	}
	pid, held, err := o.Holder(name)
	if err != nil || !held || pid <= 1 || pid == os.Getpid() {
		return err
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		return fmt.Errorf("cannot end dbss-%s: %v", name, err)
	}
	for held && ctx.Err() == nil {
		_ = (clock.Clock{}).Sleep(ctx, endPoll)
		_, held, err = o.Holder(name)
	}
	return err
}
