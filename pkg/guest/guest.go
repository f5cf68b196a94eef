// Package guest does what has to be done inside a virtual server: its
// addresses, its clock, its daemons and its load. Commands are argument lists;
// nothing from a file reaches a shell.
//
// A command ends within the guest: it is run by the guest's own timeout(1), of
// coreutils or of busybox from 1.30 on. One whose caller gave up thus ends soon
// after, or, where the guest stood still meanwhile, soon after it goes on.
package guest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/command"
)

// Wait returns the output of a started command once it has ended.
type Wait func(ctx context.Context) ([]byte, error)

// Transport reaches into a guest: Agent or SSH.
type Transport interface {
	// Start returns once the command runs; ctx covers the whole command where
	// the transport runs it, and the start alone where the guest does. The guest
	// kills a command that lasts longer than limit; 0: it may last.
	Start(ctx context.Context, g cluster.Guest, argv []string, limit time.Duration) (Wait, error)
	SetClock(ctx context.Context, g cluster.Guest, now func() time.Time) error
}

// Options says how guests are made. Argument lists have {daemon}, {interface}
// and {vip} replaced.
type Options struct {
	Interface string   // carries the VIPs
	Restart   []string // restarts {daemon}
	Announce  []string // gratuitous ARP for {vip} on {interface}
	Announce6 []string // unsolicited neighbour advertisement
	Now       func() time.Time
}

// Commands are the operations inside guests.
type Commands struct {
	transport Transport
	opt       Options
	behind    sync.WaitGroup // announcements whose end nobody waited for
}

// New returns the operations inside guests that t reaches.
func New(t Transport, opt Options) *Commands {
	if opt.Now == nil {
		opt.Now = time.Now
	}
	return &Commands{transport: t, opt: opt}
}

// Close waits for announcements that are still under way, a few seconds at most.
func (c *Commands) Close() error { c.behind.Wait(); return nil }

// Run runs argv in g and returns its output. It lasts no longer than ctx.
func (c *Commands) Run(ctx context.Context, g cluster.Guest, argv []string) ([]byte, error) {
	return run(ctx, c.transport, g, argv, left(ctx))
}

func run(ctx context.Context, t Transport, g cluster.Guest, argv []string, limit time.Duration) ([]byte, error) {
	wait, err := t.Start(ctx, g, argv, limit)
	if err != nil {
		return nil, err
	}
	return wait(ctx)
}

// left is the time that ctx leaves; 0: it has no deadline.
func left(ctx context.Context) time.Duration {
	end, ok := ctx.Deadline()
	if !ok {
		return 0
	}
	return max(time.Until(end), 1)
}

// bounded is argv as the guest's own timeout runs it: in whole seconds, as not
// every timeout knows others, rounded up.
func bounded(argv []string, limit time.Duration) []string {
	if limit <= 0 {
		return argv
	}
	seconds := int((limit + time.Second - 1) / time.Second)
	return append([]string{"timeout", "-s", "KILL", strconv.Itoa(seconds)}, argv...)
}

// What timeout says of a command that it has killed: 124, or, as what it sends
// cannot be caught, the command's own end, which a shell calls 137.
const (
	timedOut    = 124
	killed      = 9
	shellKilled = 128 + killed
)

// commandError is nil for a command that ended well. One that was killed did not
// end in time: cluster.ErrAgentSilent, and nobody knows how far it came.
func commandError(g cluster.Guest, argv []string, code, signal int, stderr []byte) error {
	why := string(bytes.TrimSpace(stderr))
	switch {
	case signal == killed || code == timedOut || code == shellKilled:
		return cluster.Unknown(fmt.Errorf("cannot run %q in %s: killed, it took too long: %w", argv, g.Host, cluster.ErrAgentSilent))
	case signal != 0:
		return fmt.Errorf("cannot run %q in %s: signal %d %s", argv, g.Host, signal, why)
	case code != 0:
		return fmt.Errorf("cannot run %q in %s: exit code %d %s", argv, g.Host, code, why)
	}
	return nil
}

// givenUp is the error of a command whose context has ended under way; one that was
// not done by its deadline is cluster.ErrAgentSilent.
func givenUp(ctx context.Context, g cluster.Guest, argv []string) error {
	err := ctx.Err()
	if errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("%w: %w", cluster.ErrAgentSilent, err)
	}
	return cluster.Unknown(fmt.Errorf("cannot run %s in %s: %w", argv[0], g.Host, err))
}

// address runs a command that changes or lists addresses, which the guest ends
// within cluster.AddressLimit.
func (c *Commands) address(ctx context.Context, g cluster.Guest, argv []string) ([]byte, error) {
	limit := cluster.AddressLimit
	if d := left(ctx); d > 0 {
		limit = min(d, limit)
	}
	return run(ctx, c.transport, g, argv, limit)
}

// Addrs lists the addresses of g that others can reach.
func (c *Commands) Addrs(ctx context.Context, g cluster.Guest) ([]netip.Addr, error) {
	all, err := c.addresses(ctx, g)
	if err != nil {
		return nil, err
	}
	var out []netip.Addr
	for _, a := range all {
		if !a.Host {
			out = append(out, a.Prefix.Addr())
		}
	}
	return out, nil
}

func (c *Commands) addresses(ctx context.Context, g cluster.Guest) ([]Address, error) {
	out, err := c.address(ctx, g, []string{"ip", "-o", "addr"})
	if err != nil {
		return nil, err
	}
	return ParseAddrs(out)
}

// AddVIP puts vip on g, usable at once, and announces it.
func (c *Commands) AddVIP(ctx context.Context, g cluster.Guest, vip netip.Addr) error {
	argv := []string{"ip", "addr", "replace", single(vip), "dev", c.opt.Interface}
	if vip.Is6() {
		argv = append(argv, "nodad")
	}
	if _, err := c.address(ctx, g, argv); err != nil {
		return fmt.Errorf("cannot add %v: %w", vip, err)
	}
	return cluster.Unknown(c.Announce(ctx, g, vip)) // it is there
}

// DelVIP takes vip off g, whatever interface and prefix length it has there.
func (c *Commands) DelVIP(ctx context.Context, g cluster.Guest, vip netip.Addr) error {
	_, err := c.address(ctx, g, []string{"ip", "addr", "del", single(vip), "dev", c.opt.Interface})
	if err == nil {
		return nil
	}
	all, lerr := c.addresses(ctx, g)
	if lerr != nil {
		return fmt.Errorf("cannot remove %v: %w", vip, lerr)
	}
	for _, a := range all {
		if a.Prefix.Addr() != vip {
			continue
		}
		if _, err := c.address(ctx, g, []string{"ip", "addr", "del", a.Prefix.String(), "dev", a.Interface}); err != nil {
			return fmt.Errorf("cannot remove %v: %w", vip, err)
		}
	}
	return nil
}

// single spells a VIP as the one address of its network, so that it never
// becomes the source address of the guest's own traffic.
func single(vip netip.Addr) string { return netip.PrefixFrom(vip, vip.BitLen()).String() }

// The bounds of an announcement: its frame leaves when the command starts, but
// some versions of arping stay for a second; only an early failure is told.
const (
	announceGrace = 60 * time.Millisecond
	announceLimit = 3 * time.Second
)

// Announce tells the network that vip is at g, by a frame that g itself sends.
func (c *Commands) Announce(ctx context.Context, g cluster.Guest, vip netip.Addr) error {
	argv := c.opt.Announce
	if vip.Is6() {
		argv = c.opt.Announce6
	}
	argv = command.Expand(argv, "{interface}", c.opt.Interface, "{vip}", vip.String())
	if err := c.startAndLeave(ctx, g, argv); err != nil {
		return fmt.Errorf("cannot announce %v: %w", vip, err)
	}
	return nil
}

// startAndLeave returns the command's error if it has one soon; a command that
// goes on is waited for behind the caller's back.
func (c *Commands) startAndLeave(ctx context.Context, g cluster.Guest, argv []string) error {
	behind, cancel := context.WithTimeout(context.WithoutCancel(ctx), announceLimit)
	started, ended := make(chan struct{}), make(chan error, 1)
	c.behind.Go(func() {
		defer cancel()
		wait, err := c.transport.Start(behind, g, argv, announceLimit)
		if err == nil {
			close(started)
			_, err = wait(behind)
		}
		ended <- err
	})
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-started:
	}
	select {
	case err := <-ended:
		return err
	case <-time.After(announceGrace):
		return nil
	}
}

// SetClock sets the clock of g to now: a resumed guest's stood still.
func (c *Commands) SetClock(ctx context.Context, g cluster.Guest) error {
	if err := c.transport.SetClock(ctx, g, c.opt.Now); err != nil {
		return fmt.Errorf("cannot set the clock of %s: %w", g.Host, err)
	}
	return nil
}

// restartLimit is how long a restart may go on in the guest, whoever waits for
// it: one that is killed half way leaves the daemon stopped.
const restartLimit = 30 * time.Second

// RestartDaemon restarts a service daemon of g.
func (c *Commands) RestartDaemon(ctx context.Context, g cluster.Guest, daemon string) error {
	argv := command.Expand(c.opt.Restart, "{daemon}", daemon)
	if _, err := run(ctx, c.transport, g, argv, max(left(ctx), restartLimit)); err != nil {
		return fmt.Errorf("cannot restart %s: %w", daemon, err)
	}
	return nil
}
