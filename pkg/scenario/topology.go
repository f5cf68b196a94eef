package scenario

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/mgmtdata"
)

// topology is a random system: 2 to 12 real servers, 1 to 6 groups of 1 to 40
// home servers in all, with backups or without, bases and spares. Small ones
// are drawn more often: their bugs are the same and cost less.
type topology struct {
	rnd   *rand.Rand
	files map[string]string
	reals []mgmtdata.Real
	n     int // servers so far
}

// WriteTopology writes the configuration directory of a system drawn from
// seed; settings is the text of a settings.toml for the management server
// 172.21.14.200.
func WriteTopology(dir string, seed uint64, settings string) error {
	t := &topology{rnd: rand.New(rand.NewPCG(seed, 1)), files: map[string]string{"settings.toml": settings}}
	for _, f := range []string{"operation", "access-stop", "separation", "spare-server", "real-server", "suspension-real", "state"} {
		t.files[f+".conf"] = "# random system\n"
	}
	for i := range t.draw([3][2]int{{2, 4}, {5, 8}, {9, 12}}) {
		r := mgmtdata.Real{Host: fmt.Sprintf("R%d", i+1), IP: addr(1, i+1), MAC: cluster.MAC{2, 5: byte(i + 1)}}
		t.reals = append(t.reals, r)
		t.row("real-server", r.IP, r.MAC)
	}
	groups := t.draw([3][2]int{{1, 3}, {4, 5}, {6, 6}})
	homes := max(groups, t.draw([3][2]int{{1, 7}, {8, 15}, {16, 40}}))
	for g := range groups {
		n := homes // the last takes what is left
		if g < groups-1 {
			n = 1 + t.rnd.IntN(max(1, 2*homes/(groups-g)-1))
			n = min(n, homes-(groups-g-1))
		}
		homes -= n
		t.group(fmt.Sprintf("G%d", g+1), []string{"httpd", "vsftpd", "dovecot postfix"}[t.rnd.IntN(3)], n)
	}
	for _, r := range t.reals {
		t.files[r.Host+".dat"] = fmt.Sprintf("%v\n%s\n%v\n%s\n", r.IP, r.Host, r.MAC, strings.Join(r.Servers, " "))
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for name, text := range t.files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func addr(net, n int) netip.Addr { return netip.AddrFrom4([4]byte{172, 21, 20 + byte(net), byte(n)}) }

func (t *topology) row(file string, fields ...any) {
	t.files[file+".conf"] += fmt.Sprintln(fields...)
}

// draw is from the first range mostly, at times from the second, seldom from the last.
func (t *topology) draw(ranges [3][2]int) int {
	r := ranges[[]int{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 2}[t.rnd.IntN(20)]]
	return r[0] + t.rnd.IntN(r[1]-r[0]+1)
}

// group adds homes, on different real servers where that goes, one to three
// bases, and up to three spares.
func (t *topology) group(name, daemons string, homes int) {
	on := t.rnd.Perm(len(t.reals))
	for i := range homes {
		t.home(name, daemons, &t.reals[on[i%len(on)]])
	}
	order := t.rnd.Perm(len(t.reals))
	bases := []any{name, cluster.Moderate}
	for _, i := range order[:1+t.rnd.IntN(min(3, len(order)))] {
		bases = append(bases, t.reals[i].IP)
	}
	t.row("state", bases...)
	for range t.rnd.IntN(4) {
		t.n++
		t.row("spare-server", name, "-", "-", fmt.Sprintf("s%d", t.n), addr(5, t.n))
	}
}

func (t *topology) home(group, daemons string, r *mgmtdata.Real) {
	t.n++
	d := mgmtdata.Server{VIP: addr(3, t.n), Host: fmt.Sprintf("h%d", t.n), IP: addr(2, t.n), Group: group,
		Daemons: strings.Fields(daemons), Real: r.IP}
	if t.rnd.IntN(6) > 0 {
		d.Backup, d.BackupIP = fmt.Sprintf("b%d", t.n), addr(4, t.n)
		b := mgmtdata.Server{Host: d.Backup, IP: d.BackupIP, Group: group, Daemons: d.Daemons}
		t.files[b.Host+".dat"] = string(mgmtdata.FormatServer(b))
	}
	t.files[d.Host+".dat"] = string(mgmtdata.FormatServer(d))
	r.Servers = append(r.Servers, d.Host)
	t.row("operation", group, r.IP, d.VIP, d.Host, d.IP)
}
