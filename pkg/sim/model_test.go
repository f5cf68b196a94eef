package sim_test

import (
	"context"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pss-msbs/pkg/clock"
	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/fleet"
	"pss-msbs/pkg/sim"
	"pss-msbs/pkg/sim/spec"
)

var _ fleet.Driver = (*sim.Model)(nil)

func ip(last int) netip.Addr { return netip.AddrFrom4([4]byte{172, 21, 14, byte(last)}) }

var (
	rs1, rs2, rs3, mgmt = ip(201), ip(202), ip(203), ip(200)
	m1                  = cluster.Guest{Host: "M1", IP: ip(1), Real: rs1}
	f2                  = cluster.Guest{Host: "F2", IP: ip(6), Real: rs3}
	mb                  = cluster.Guest{Host: "Mb", IP: ip(61), Real: mgmt}
	fs                  = cluster.Guest{Host: "Fs", IP: ip(53), Real: rs1}
)

func mac(n byte) cluster.MAC { return cluster.MAC{2, 0, 0, 0, 0, n} }

// paperSpec is the paper's system (SPEC 1).
func paperSpec() sim.Spec {
	s := sim.Spec{Management: mgmt, Times: spec.DefaultTimes(), Balancer: spec.DefaultBalancer(), StripDeadline: time.Second, References: []netip.Addr{ip(210), ip(220)}}
	for n := range 3 {
		s.Hosts = append(s.Hosts, sim.HostSpec{Name: "RS" + string(rune('1'+n)), IP: ip(201 + n), MAC: mac(byte(n + 1)), ActiveW: 28, SuspendedW: 3, MemoryKB: 8 << 20})
	}
	daemons := map[string][]string{"Mail": {"dovecot", "postfix"}, "Web": {"httpd"}, "FTP": {"vsftpd"}}
	add := func(host, group string, own int, kind spec.Kind, home, on netip.Addr, vips ...netip.Addr) {
		s.Guests = append(s.Guests, sim.GuestSpec{Host: host, IP: ip(own), Group: group, Kind: kind, Daemons: daemons[group],
			Home: home, On: on, VIPs: vips, MemoryKB: 2 << 20, Cores: 1, NetworkMbps: 1000})
	}
	for n, h := range []struct{ name, group, backup string }{{"M1", "Mail", "Mb"}, {"W1", "Web", "Wb"}, {"F1", "FTP", "Fb"}, {"M2", "Mail", "Mb2"}, {"W2", "Web", "Wb2"}, {"F2", "FTP", "Fb2"}} {
		real := ip(201 + n/2)
		add(h.name, h.group, 1+n, sim.Virtual, real, real, ip(101+n))
		add(h.backup, h.group, 61+n, sim.Backup, mgmt, netip.Addr{})
		s.VIPs = append(s.VIPs, sim.VIPSpec{VIP: ip(101 + n), Group: h.group})
	}
	for n, sp := range []string{"Ms", "Ws", "Fs"} {
		add(sp, []string{"Mail", "Web", "FTP"}[n], 51+n, sim.Spare, netip.Addr{}, netip.Addr{})
	}
	return s
}

// play runs do in a bubble of virtual time with the paper's system.
func play(t *testing.T, change func(*sim.Spec), do func(t *testing.T, ctx context.Context, m *sim.Model)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := paperSpec()
		if change != nil {
			change(&s)
		}
		m := newModel(t, s)
		defer m.Close()
		do(t, t.Context(), m)
	})
}

func newModel(t *testing.T, s sim.Spec) *sim.Model {
	t.Helper()
	m, err := sim.New(s, clock.Clock{})
	ok(t, err)
	return m
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// near reports whether got is want, with a little for the calls around it.
func near(got, want time.Duration) bool { return got >= want && got <= want+200*time.Millisecond }

// until waits for ok and returns how long that took.
func until(t *testing.T, ok func() bool) time.Duration {
	t.Helper()
	begin := time.Now()
	for !ok() {
		if time.Since(begin) > time.Hour {
			t.Fatal("it never came about")
		}
		time.Sleep(10 * time.Millisecond)
	}
	return time.Since(begin)
}

func is(t *testing.T, ctx context.Context, m *sim.Model, g cluster.Guest, want cluster.GuestState) {
	t.Helper()
	if got, err := m.GuestState(ctx, g); err != nil || got != want {
		t.Errorf("%s on %s is %q (%v), want %q", g.Host, g.Real, got, err, want)
	}
}

// greets asks with a deadline, as every caller does.
func greets(ctx context.Context, m *sim.Model, at netip.Addr, daemon string) bool {
	ctx, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
	defer cancel()
	return m.Greet(ctx, at, daemon) == nil
}

// alone fails the test if the fleet recorded anything that must never happen.
func alone(t *testing.T, m *sim.Model, want ...string) {
	t.Helper()
	var got []string
	for _, v := range m.Violations() {
		got = append(got, v.Kind)
	}
	if !slices.Equal(got, want) {
		t.Errorf("violations %v, want %v", got, want)
	}
}
