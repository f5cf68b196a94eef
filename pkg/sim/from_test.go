package sim_test

import (
	"context"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"pss-msbs/pkg/clock"
	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/mgmtdata"
	"pss-msbs/pkg/settings"
	"pss-msbs/pkg/sim"
	"pss-msbs/pkg/sim/spec"
)

// partly is a fleet in the middle of its life: M2 serves, M1's VIP stands with
// its backup on the management server, Ms serves, W1 is in access stop, F1 is
// in separation on a host that is in neither real file, RS3 sleeps.
func partly() (cluster.Tables, []mgmtdata.Server, []mgmtdata.Real) {
	row := func(group string, real netip.Addr, vip int, host string, own int) cluster.ServerRow {
		return cluster.ServerRow{Group: group, Real: real, VIP: ip(vip), Host: host, IP: ip(own)}
	}
	t := cluster.Tables{
		Operation:  []cluster.ServerRow{row("Mail", mgmt, 101, "Mb", 61), row("Mail", rs1, 104, "Ms", 51)},
		AccessStop: []cluster.ServerRow{row("Mail", rs3, 104, "M2", 4), row("Web", rs1, 102, "W1", 2)},
		Separation: []cluster.ServerRow{row("Mail", rs1, 101, "M1", 1), row("FTP", rs2, 103, "F1", 3)},
		Spares:     []cluster.SpareRow{{Group: "Mail", Host: "Ms", IP: ip(51)}, {Group: "FTP", Host: "Fs", IP: ip(53)}},
		Real:       []cluster.RealRow{{IP: rs1, MAC: mac(1)}},
		Suspended:  []cluster.RealRow{{IP: rs3, MAC: mac(3)}},
	}
	dat := func(vip int, host string, own int, group, daemon, backup string, bip int, real netip.Addr) mgmtdata.Server {
		d := mgmtdata.Server{VIP: ip(vip), Host: host, IP: ip(own), Group: group, Daemons: []string{daemon}, Backup: backup, Real: real}
		if backup != "" {
			d.BackupIP = ip(bip)
		}
		return d
	}
	servers := []mgmtdata.Server{dat(101, "M1", 1, "Mail", "postfix", "Mb", 61, rs1), dat(104, "M2", 4, "Mail", "postfix", "Mb2", 64, rs3),
		dat(102, "W1", 2, "Web", "httpd", "", 0, rs1), dat(103, "F1", 3, "FTP", "vsftpd", "", 0, rs2),
		{Host: "Mb", IP: ip(61), Group: "Mail", Daemons: []string{"postfix"}}}
	return t, servers, []mgmtdata.Real{{IP: rs1, Host: "RS1", MAC: mac(1)}, {IP: rs2, Host: "RS2", MAC: mac(2)}}
}

func TestFleetBeginsAsTheFilesSay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tables, servers, reals := partly()
		set := settings.Default()
		set.Management.IP = mgmt
		begin, err := sim.FromTables(tables, servers, reals, set)
		ok(t, err)
		m, err := sim.New(begin, clock.Clock{})
		ok(t, err)
		defer m.Close()
		s, err := m.Status(t.Context(), sim.Query{})
		ok(t, err)
		for n, want := range []struct {
			name  string
			state spec.HostState
		}{{"management", sim.Active}, {"RS1", sim.Active}, {"RS2", sim.Off}, {"172.21.14.203", sim.Suspended}} {
			if h := s.Hosts[n]; h.Name != want.name || h.State != want.state {
				t.Errorf("host %d is %s, %s; want %v", n, h.Name, h.State, want)
			}
		}
		if s.Watts != 31 {
			t.Errorf("%g W", s.Watts)
		}
		for _, g := range s.Guests {
			want := map[string]cluster.GuestState{"M1": "off", "F1": "off", "Mb2": "off", "Fs": "absent"}[g.Host]
			if want == "" {
				want = cluster.GuestRunning
			}
			if g.State != want {
				t.Errorf("%s is %s, want %s", g.Host, g.State, want)
			}
		}
		for vip, want := range map[int]string{101: "Mb", 104: "Ms"} {
			if got := m.Holders(ip(vip)); len(got) != 1 || got[0] != want {
				t.Errorf("%d is held by %v, want %s", vip, got, want)
			}
		}
		wakesWithItsServer(t, m)
		alone(t, m)
	})
}

// wakesWithItsServer expects M2 to sleep and wake with RS3.
func wakesWithItsServer(t *testing.T, m *sim.Model) {
	t.Helper()
	m2 := cluster.Guest{Host: "M2", IP: ip(4), Real: rs3}
	if pings(t.Context(), m, m2) {
		t.Error("a server on a suspended host answers")
	}
	ok(t, m.WakeReal(t.Context(), mac(3)))
	time.Sleep(8600 * time.Millisecond)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	ok(t, m.Greet(ctx, m2.IP, "postfix"))
}

func TestFleetNeedsAManagementServer(t *testing.T) {
	tables, servers, reals := partly()
	if _, err := sim.FromTables(tables, servers, reals, settings.Default()); err == nil {
		t.Error("emulated without a management server")
	}
}

func TestContradictionsAreRefused(t *testing.T) {
	for name, change := range map[string]func(*sim.Spec){
		"two hosts at one address":   func(s *sim.Spec) { s.Hosts = append(s.Hosts, s.Hosts[0]) },
		"two servers of one name":    func(s *sim.Spec) { s.Guests = append(s.Guests, s.Guests[0]) },
		"a server at home nowhere":   func(s *sim.Spec) { s.Guests[0].Home = ip(99) },
		"a server that runs nowhere": func(s *sim.Spec) { s.Guests[0].On = ip(99) },
	} {
		s := paperSpec()
		change(&s)
		if m, err := sim.New(s, clock.Clock{}); err == nil {
			m.Close()
			t.Errorf("%s: accepted", name)
		}
	}
}
