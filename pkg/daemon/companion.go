package daemon

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/rs/zerolog"

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
// d.SifSocket(target). It ends with Close, with ctx, or with this process. The
// caller has the monitor lock of target: a sif that listens there has lost its
// master, and goes.
func StartSif(ctx context.Context, d Dirs, target string, clk clock.Clock, log zerolog.Logger) (*Companion, error) {
	evict(ctx, d.SifSocket(target))
	cmd := Command{Program: "sif", Name: target, Args: []string{"--target", target}, Dirs: d, Life: true}
	return keepSif(ctx, cmd, clk, log)
}

func keepSif(ctx context.Context, cmd Command, clk clock.Clock, log zerolog.Logger) (*Companion, error) {
	p, err := startTimely(ctx, cmd, clk)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	c := &Companion{Socket: cmd.Dirs.SifSocket(cmd.Name), cancel: cancel}
	c.wg.Go(func() { killHanging(ctx, c.Socket, clk, log) })
	c.wg.Go(func() {
		for p != nil {
			select {
			case <-ctx.Done():
				p.end()
				return
			case <-p.Done():
				log.Error().Err(p.Err()).Msg("sif ended, starting another")
			}
			p = restart(ctx, cmd, clk, log)
		}
	})
	return c, nil
}

// Close ends the sif and waits for it.
func (c *Companion) Close() error {
	c.cancel()
	c.wg.Wait()
	return nil
}

// restart starts cmd at once and then each second until it is ready; nil when ctx ended.
func restart(ctx context.Context, cmd Command, clk clock.Clock, log zerolog.Logger) *Process {
	said := false
	for ctx.Err() == nil {
		p, err := startTimely(ctx, cmd, clk)
		if err == nil {
			return p
		}
		if !said {
			log.Error().Err(err).Msg("sif does not start, starting it again")
			said = true
		}
		_ = clk.Sleep(ctx, restartPause)
	}
	return nil
}

func startTimely(ctx context.Context, cmd Command, clk clock.Clock) (*Process, error) {
	ctx, cancel := context.WithTimeout(ctx, startDeadline)
	defer cancel()
	return Start(ctx, cmd)
}

// end closes the child's life pipe and waits; a child that does not follow is killed.
func (p *Process) end() {
	if p.life != nil {
		p.life.Close()
	}
	_ = p.Signal(syscall.SIGTERM)
	kill := time.AfterFunc(startDeadline, func() { _ = p.Signal(syscall.SIGKILL) })
	defer kill.Stop()
	<-p.done
}

// StartSpareSif starts the sif of a spare (or of a serving backup), detached:
// it outlives this process. adopt is the pid of its dbss that runs already, or 0.
func StartSpareSif(ctx context.Context, d Dirs, target string, adopt int) error {
	args := []string{"--target", target, "--spare"}
	if adopt != 0 {
		args = append(args, "--adopt", strconv.Itoa(adopt))
	}
	_, err := Start(ctx, Command{Program: "sif", Name: target, Args: args, Dirs: d, Detached: true})
	return err
}

// KeepSpareSif watches the sif at the socket of target, which this process (its
// dbss, pid self) did not start, and starts another one, which adopts this
// process, when it dies. Close ends the watch and leaves the sif.
func KeepSpareSif(ctx context.Context, d Dirs, target string, self int, clk clock.Clock, log zerolog.Logger) *Companion {
	ctx, cancel := context.WithCancel(ctx)
	c := &Companion{Socket: d.SifSocket(target), cancel: cancel}
	c.wg.Go(func() { killHanging(ctx, c.Socket, clk, log) })
	c.wg.Go(func() {
		for ctx.Err() == nil {
			if err := untilGone(ctx, c.Socket); err == nil {
				continue
			}
			sctx, cancel := context.WithTimeout(ctx, startDeadline)
			err := StartSpareSif(sctx, d, target, self)
			cancel()
			if err == nil {
				log.Error().Msg("sif ended, started another")
			} else if ctx.Err() == nil {
				log.Error().Err(err).Msg("cannot start another sif")
				_ = clk.Sleep(ctx, restartPause)
			}
		}
	})
	return c
}

// untilGone keeps an idle connection to the sif at socket; its end is the
// sif's (nil when ctx ended first).
func untilGone(ctx context.Context, socket string) error {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "unix", socket)
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	_, _ = io.Copy(io.Discard, conn)
	if ctx.Err() != nil {
		return nil
	}
	return fmt.Errorf("sif at %s ended", socket)
}

// StartMonitor starts dbss with the management data dat as a process of its
// own, handing it the monitor lock where lock is not nil, and returns its pid
// once it monitors. name is the server's.
func StartMonitor(ctx context.Context, d Dirs, name, dat string, lock *MonitorLock) (pid int, err error) {
	p, err := Start(ctx, Command{Program: "dbss", Name: name, Args: []string{dat}, Dirs: d, Lock: lock, Detached: true})
	if err != nil {
		return 0, err
	}
	return p.PID, nil
}

const (
	endGrace = 5 * time.Second // for a dbss that is to end, on the wall clock
	endPoll  = 20 * time.Millisecond
)

// EndMonitor ends the dbss of name and waits until it has; none is no error. One
// that does not follow, since it hangs, is killed by the pid in its monitor lock.
func EndMonitor(ctx context.Context, d Dirs, name string) error {
	asked, cancel := context.WithTimeout(ctx, endGrace)
	defer cancel()
	for asked.Err() == nil {
		if _, held, err := MonitorHolder(d.Run, name); err != nil || !held {
			return err
		}
		if Stop(asked, d, "dbss", name) == nil {
			return nil
		}
		_ = (clock.Clock{}).Sleep(asked, endPoll) // it may have just begun
	}
	return killMonitor(ctx, d, name)
}

// killMonitor kills the holder of a monitor lock.
func killMonitor(ctx context.Context, d Dirs, name string) error {
	if ctx.Err() != nil {
		return fmt.Errorf("cannot end dbss-%s: %w", name, ctx.Err())
	}
	pid, held, err := MonitorHolder(d.Run, name)
	if err != nil || !held || pid <= 1 || pid == os.Getpid() {
		return err
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		return fmt.Errorf("cannot end dbss-%s: %v", name, err)
	}
	for held && ctx.Err() == nil {
		_ = (clock.Clock{}).Sleep(ctx, endPoll)
		_, held, err = MonitorHolder(d.Run, name)
	}
	return err
}
