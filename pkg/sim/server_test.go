package sim_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"pss-msbs/pkg/clock"
	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/fleet"
	"pss-msbs/pkg/sim"
	"pss-msbs/pkg/sim/remote"
	"pss-msbs/pkg/sim/spec"
)

var _ fleet.Driver = (*remote.Client)(nil)

// serve runs the paper's system at speed on a real socket and returns a client.
func serve(t *testing.T, speed float64) (*remote.Client, clock.Clock, string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "sim") // short: a socket's path is bounded
	ok(t, err)
	clk := clock.Clock{Epoch: time.Now(), Speed: speed}
	m, err := sim.New(paperSpec(), clk)
	ok(t, err)
	socket := filepath.Join(dir, "fleet.sock")
	l, err := net.Listen("unix", socket)
	ok(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- remote.NewServer(m).Serve(ctx, l) }()
	c, err := remote.Dial(socket, clk)
	ok(t, err)
	t.Cleanup(func() {
		c.Close()
		cancel()
		ok(t, <-done)
		m.Close()
		os.RemoveAll(dir)
	})
	return c, clk, socket
}

func within(t *testing.T, clk clock.Clock, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := clk.Timeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func TestClientDoesWhatTheModelDoes(t *testing.T) {
	c, clk, _ := serve(t, 50)
	ctx := within(t, clk, 10*time.Minute)
	s, err := c.GuestState(ctx, m1)
	if ok(t, err); s != cluster.GuestRunning {
		t.Errorf("M1 is %s", s)
	}
	ok(t, c.AddVIP(ctx, m1, ip(109)))
	addrs, err := c.Addrs(ctx, m1)
	if ok(t, err); len(addrs) != 3 || addrs[0] != m1.IP {
		t.Errorf("M1 has %v", addrs)
	}
	macs, err := c.WhoHas(ctx, ip(101))
	if ok(t, err); len(macs) != 1 || macs[0] != spec.GuestMAC(m1.IP) {
		t.Errorf("%v answer for 101", macs)
	}
	out, err := c.Run(ctx, m1, []string{"free", "-k"})
	if ok(t, err); len(out) == 0 {
		t.Error("free printed nothing")
	}
	list, err := c.Guests(ctx, rs1)
	if ok(t, err); len(list) != 2 {
		t.Errorf("RS1 has %v", list)
	}
	kb, err := c.FreeMemoryKB(ctx, rs1)
	if ok(t, err); kb != 4<<20 {
		t.Errorf("RS1 has %d KB free", kb)
	}
	n, err := c.Accesses(ctx)
	if ok(t, err); len(n) != 6 {
		t.Errorf("accesses of %v", n)
	}
}

func TestErrorsKeepTheirIdentityOnTheWire(t *testing.T) {
	c, clk, _ := serve(t, 20)
	ok(t, c.Inject(within(t, clk, time.Minute), sim.Fault{Kind: sim.RealFreeze, Target: "RS1"}))
	ok(t, c.Inject(within(t, clk, time.Minute), sim.Fault{Kind: sim.VMFreeze, Target: "F1"}))
	ok(t, c.Inject(within(t, clk, time.Minute), sim.Fault{Kind: sim.VMShutdown, Target: "M2"}))
	f1 := cluster.Guest{Host: "F1", IP: ip(3), Real: rs2}
	m2 := cluster.Guest{Host: "M2", IP: ip(4), Real: rs2}
	for _, tc := range []struct {
		name string
		err  error
		want error
	}{
		{"hypervisor of a frozen host", c.HypervisorAlive(within(t, clk, time.Second), rs1), cluster.ErrHostSilent},
		{"agent of a frozen guest", c.SetClock(within(t, clk, time.Second), f1), cluster.ErrAgentSilent},
		{"agent of a guest that is off", c.SetClock(within(t, clk, time.Second), m2), cluster.ErrAgentGone},
		{"ping of a frozen guest", c.Ping(within(t, clk, time.Second), f1.IP), cluster.ErrNoAnswer},
		{"no such daemon", c.Greet(within(t, clk, time.Second), ip(1), "telnetd"), cluster.ErrNoAnswer},
		{"unknown real server", c.HypervisorAlive(within(t, clk, time.Second), ip(9)), nil},
	} {
		for _, e := range []error{cluster.ErrHostSilent, cluster.ErrAgentSilent, cluster.ErrAgentGone, cluster.ErrNoAnswer} {
			if errors.Is(tc.err, e) != errors.Is(tc.want, e) {
				t.Errorf("%s: %v, is %q: %t", tc.name, tc.err, e, errors.Is(tc.err, e))
			}
		}
		if tc.err == nil {
			t.Errorf("%s: no error", tc.name)
		}
	}
}

func TestCallEndsAtTheCallersDeadline(t *testing.T) {
	c, clk, _ := serve(t, 20)
	ok(t, c.Inject(within(t, clk, time.Minute), sim.Fault{Kind: sim.Partition, Target: "RS2"}))
	begin := time.Now()
	err := c.HypervisorAlive(within(t, clk, 2*time.Second), rs2)
	if d := time.Since(begin); !errors.Is(err, cluster.ErrHostSilent) || d < 50*time.Millisecond || d > time.Second {
		t.Errorf("%v after %v", err, d)
	}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(10*time.Millisecond, cancel)
	if err := c.HypervisorAlive(ctx, rs2); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled call: %v", err)
	}
}

// TestSilenceLastsUntilTheDeadline: a caller knows a frozen daemon from a
// stopped one by whether its own deadline has passed.
func TestSilenceLastsUntilTheDeadline(t *testing.T) {
	c, clk, _ := serve(t, 20)
	ok(t, c.Inject(within(t, clk, time.Minute), sim.Fault{Kind: sim.ServiceFreeze, Target: "M1:postfix"}))
	ok(t, c.Inject(within(t, clk, time.Minute), sim.Fault{Kind: sim.ServiceStop, Target: "M2:postfix"}))
	for host, silent := range map[netip.Addr]bool{ip(1): true, ip(4): false} {
		ctx := within(t, clk, 2*time.Second)
		if err := c.Greet(ctx, host, "postfix"); err == nil || silent != (ctx.Err() != nil) {
			t.Errorf("%s: %v, deadline passed: %t, want %t", host, err, ctx.Err() != nil, silent)
		}
	}
}

func TestEventsReachAClient(t *testing.T) {
	c, clk, _ := serve(t, 50)
	ctx, cancel := context.WithCancel(t.Context())
	events, err := c.Events(ctx, rs1)
	ok(t, err)
	ok(t, c.Inject(ctx, sim.Fault{Kind: sim.VMShutdown, Target: "M1"}))
	var got []cluster.EventKind
	for len(got) < 2 {
		select {
		case e := <-events:
			got = append(got, e.Kind)
		case <-clk.After(time.Minute):
			t.Fatalf("only %v", got)
		}
	}
	if got[0] != cluster.EventAgentGone || got[1] != cluster.EventShutdown {
		t.Errorf("events %v", got)
	}
	cancel()
	for range events { // closed once its context ends
	}
}

func TestClientSaysThatNobodyServes(t *testing.T) {
	if _, err := remote.Dial(filepath.Join(t.TempDir(), "fleet.sock"), clock.Clock{}); err == nil {
		t.Error("dialled a socket that is not there")
	}
}
