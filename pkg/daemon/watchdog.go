package daemon

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"

	"pss-msbs/pkg/clock"
)

// How a sif that hangs (stopped by a signal, say) is found: it gets the
// shortest request there is, which waits for no lock. Emulated time, but no
// less than the floors on the wall clock: the machine is no faster.
const (
	aliveInterval = time.Second
	aliveTimeout  = 3 * time.Second
	aliveFloor    = 500 * time.Millisecond
	farewell      = time.Second // for a sif whose master has just died
)

// killHanging kills the sif at socket whenever it no longer answers, until ctx
// ends; whoever keeps it starts another one.
func killHanging(ctx context.Context, socket string, clk clock.Clock, log zerolog.Logger) {
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
			return
		case <-time.After(max(clk.Wall(aliveInterval), aliveFloor)):
		}
		if pid, hangs := hanging(ctx, socket, max(clk.Wall(aliveTimeout), 2*aliveFloor)); hangs && ctx.Err() == nil {
			log.Error().Int("pid", pid).Msg("sif does not answer, killing it")
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}

// hanging asks the sif at socket for a sign of life and reports whether it runs
// and gives none.
func hanging(ctx context.Context, socket string, limit time.Duration) (pid int, hangs bool) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	conn, pid, err := dialOwn(ctx, socket)
	if err != nil {
		return 0, false
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
	if _, err = io.WriteString(conn, `{"verb":"release"}`+"\n"); err == nil {
		_, err = bufio.NewReader(io.LimitReader(conn, 4096)).ReadString('\n')
	}
	return pid, errors.Is(err, os.ErrDeadlineExceeded)
}

// evict ends a sif that still listens at socket although its master has died:
// for the monitor lock of its server is ours. One that ends by itself is waited for.
func evict(ctx context.Context, socket string) {
	conn, pid, err := dialOwn(ctx, socket)
	if err != nil {
		return
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(farewell))
	if _, err = io.Copy(io.Discard, conn); errors.Is(err, os.ErrDeadlineExceeded) {
		_ = syscall.Kill(pid, syscall.SIGKILL)
		_ = conn.SetDeadline(time.Now().Add(farewell))
		_, _ = io.Copy(io.Discard, conn)
	}
}

// dialOwn connects to a socket and tells which process of this user listens there.
func dialOwn(ctx context.Context, socket string) (net.Conn, int, error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "unix", socket)
	if err != nil {
		return nil, 0, err
	}
	pid, err := listenerOf(conn.(*net.UnixConn))
	if err != nil {
		conn.Close()
		return nil, 0, err
	}
	return conn, pid, nil
}

func listenerOf(conn *net.UnixConn) (pid int, err error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, err
	}
	var cred *unix.Ucred
	var serr error
	if err := raw.Control(func(fd uintptr) {
		cred, serr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil {
		return 0, err
	}
	switch {
	case serr != nil:
		return 0, serr
	case int(cred.Uid) != os.Getuid() || int(cred.Pid) == os.Getpid() || cred.Pid <= 1:
		return 0, errors.New("it is no sif of ours")
	}
	return int(cred.Pid), nil
}
