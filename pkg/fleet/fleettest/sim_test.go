package fleettest

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"pss-msbs/pkg/clock"
	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/sim"
	"pss-msbs/pkg/sim/spec"
)

// TestEmulatedFleet: the emulated fleet does what libvirt does (pkg/lab has the
// same test on real guests).
func TestEmulatedFleet(t *testing.T) {
	ip := netip.MustParseAddr
	rs1, rs2, m1, vip := ip("172.21.14.201"), ip("172.21.14.202"), ip("172.21.14.1"), ip("172.21.14.101")
	spec := sim.Spec{
		Management: ip("172.21.14.200"), Times: spec.DefaultTimes(), Balancer: sim.Balancer{Off: true}, StripDeadline: time.Second,
		Hosts: []sim.HostSpec{
			{Name: "RS1", IP: rs1, MAC: cluster.MAC{2, 0, 0, 0, 0, 1}, MemoryKB: 8 << 20},
			{Name: "RS2", IP: rs2, MAC: cluster.MAC{2, 0, 0, 0, 0, 2}, MemoryKB: 8 << 20},
		},
		Guests: []sim.GuestSpec{{Host: "M1", IP: m1, Group: "Web", Kind: sim.Virtual, Daemons: []string{"httpd"}, Home: rs1, MemoryKB: 1 << 20, Cores: 1, NetworkMbps: 1000}},
		VIPs:   []sim.VIPSpec{{VIP: vip, Group: "Web"}},
	}
	synctest.Test(t, func(t *testing.T) {
		m, err := sim.New(spec, clock.Clock{})
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		Conformance(t, m, World{
			Guest: cluster.Guest{Host: "M1", IP: m1, Real: rs1}, Other: rs2, VIP: vip, Daemon: "httpd", Boot: time.Minute,
			Crash: func() error { return m.Inject(sim.Fault{Kind: sim.VMCrash, Target: "M1"}) },
			Hold: func(hold bool) error {
				if hold {
					return m.Inject(sim.Fault{Kind: sim.VMFreeze, Target: "M1"})
				}
				return m.Heal("M1")
			},
			Busy: func(busy bool) error {
				if busy {
					return m.Inject(sim.Fault{Kind: sim.Overload, Target: "M1"})
				}
				return m.Heal("M1")
			},
		})
	})
}
