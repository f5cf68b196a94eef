package pss_test

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/mgmtdata"
)

// large writes a system of five real servers and four groups, with three
// servers in one group, two spares in another, and bases that differ.
func large(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var operation, real strings.Builder
	for n := range 5 {
		r := mgmtdata.Real{IP: ip(201 + n), Host: fmt.Sprintf("RS%d", n+1), MAC: cluster.MAC{2, 0, 0, 0, 0, byte(n + 1)}}
		for i, s := range servers {
			if s.real == n+1 {
				r.Servers = append(r.Servers, s.host)
				d := mgmtdata.Server{VIP: ip(101 + i), Host: s.host, IP: ip(1 + i), Group: s.group, Daemons: []string{s.daemon},
					Backup: s.host + "b", BackupIP: ip(61 + i), Real: r.IP}
				fmt.Fprintln(&operation, d.Group, d.Real, d.VIP, d.Host, d.IP)
				write(d.Host+".dat", string(mgmtdata.FormatServer(d)))
			}
		}
		fmt.Fprintln(&real, r.IP, r.MAC)
		write(r.Host+".dat", string(mgmtdata.FormatReal(r)))
	}
	write("operation.conf", operation.String())
	write("real-server.conf", real.String())
	write("access-stop.conf", "")
	write("separation.conf", "")
	write("suspension-real.conf", "")
	write("spare-server.conf", "Mail - - Ms 172.21.14.51\nWeb - - Ws 172.21.14.52\nWeb - - Wt 172.21.14.53\nFTP - - Fs 172.21.14.54\nBox - - Bs 172.21.14.55\nBox - - Bt 172.21.14.56\n")
	write("state.conf", `Mail Moderate 172.21.14.201 172.21.14.202
Web  Moderate 172.21.14.201 172.21.14.202
FTP  Moderate 172.21.14.202 172.21.14.201
Box  Moderate 172.21.14.201 172.21.14.202
`)
	write("settings.toml", "[management]\nip = \"172.21.14.200\"\n[fleet]\ndriver = \"sim\"\n")
	return dir
}

var servers = []struct {
	host, group, daemon string
	real                int
}{
	{"M1", "Mail", "postfix", 1}, {"M2", "Mail", "postfix", 2},
	{"W1", "Web", "httpd", 1}, {"W2", "Web", "httpd", 3}, {"W3", "Web", "httpd", 4},
	{"F1", "FTP", "vsftpd", 2}, {"F2", "FTP", "vsftpd", 5},
	{"B1", "Box", "dovecot", 4}, {"B2", "Box", "dovecot", 5},
}

// A round of five real servers and four groups: three sleep in PS1 and PS2.
func TestFiveRealServers(t *testing.T) {
	play(t, large(t), light, func(r *rig) {
		begun := time.Now()
		r.load(80)
		r.start()
		r.spares()
		r.load(10)
		r.reach(cluster.PS1, 3*time.Minute)
		if got := len(r.tables().Suspended); got != 3 {
			r.Errorf("%d real servers asleep in PS1\n%s", got, r.describe())
		}
		r.reach(cluster.PS2, 6*time.Minute)
		r.load(80, "Web") // one group alone goes back
		r.until(2*time.Minute, "Web Moderate", func() bool { return r.condition("Web") == cluster.Moderate && r.consistent() == nil })
		r.load(80)
		r.reach(cluster.Moderate, 3*time.Minute)
		if got := len(r.tables().Suspended); got != 0 {
			r.Errorf("%d real servers asleep in Moderate", got)
		}
		r.spares()
		r.noLoss(begun)
	})
}

// Two hosts wake together, and two spares start together.
func TestTogether(t *testing.T) {
	play(t, large(t), noPS2, func(r *rig) {
		r.load(80)
		r.start()
		r.spares()
		r.load(10)
		r.reach(cluster.PS1, 3*time.Minute)
		r.load(80)
		r.reach(cluster.Moderate, 3*time.Minute)
		for i, limit := range []time.Duration{4 * time.Second, 10 * time.Second} {
			if took := r.took(); len(took) != 2 || took[i] > limit {
				r.Errorf("shifts took %v", took)
			}
		}
	})
}

// The paper's system with IPv6 addresses goes the whole way, and back.
func TestIPv6(t *testing.T) {
	dir := t.TempDir()
	files, err := os.ReadDir(paper)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		b, err := os.ReadFile(filepath.Join(paper, f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		b = bytes.ReplaceAll(b, []byte("172.21.14."), []byte("fd00:14::"))
		if err := os.WriteFile(filepath.Join(dir, f.Name()), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	play(t, dir, func(r *rig) {
		light(r)
		r.set.Management.IP = netip.MustParseAddr("fd00:14::200")
	}, func(r *rig) {
		r.start()
		r.reach(cluster.PS2, 5*time.Minute)
		r.load(80)
		r.reach(cluster.Moderate, 2*time.Minute)
	})
}
