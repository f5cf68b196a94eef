package check

import (
	"context"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/conffile"
)

func ip(s string) netip.Addr { return netip.MustParseAddr("172.21.14." + s) }

func row(group, real, vip, host, own string) cluster.ServerRow {
	return cluster.ServerRow{Group: group, Real: ip(real), VIP: ip(vip), Host: host, IP: ip(own)}
}

// move takes the rows of host with one of the VIPs (none: all) from a file to
// another; to nil: they leave.
func move(from, to *cluster.Rows, host string, vips ...string) {
	var left cluster.Rows
	for _, r := range *from {
		mine := len(vips) == 0
		for _, v := range vips {
			mine = mine || r.VIP == ip(v)
		}
		switch {
		case r.Host != host || !mine:
			left = append(left, r)
		case to != nil:
			*to = append(*to, r)
		}
	}
	*from = left
}

func condition(t *cluster.Tables, c cluster.Condition) {
	for i := range t.State {
		t.State[i].Condition = c
	}
}

func sleep(t *cluster.Tables, real string) {
	i := slices.IndexFunc(t.Real, func(r cluster.RealRow) bool { return r.IP == ip(real) })
	t.Suspended = append(t.Suspended, t.Real[i])
	t.Real = slices.Delete(t.Real, i, i+1)
}

// allPS1 is Fig. 4(a): every group in PS1, RS3 asleep.
func allPS1(t *cluster.Tables) {
	move(&t.Operation, &t.AccessStop, "W2")
	move(&t.Operation, &t.AccessStop, "F2")
	t.Operation = append(t.Operation, row("Web", "202", "105", "Ws", "52"), row("FTP", "201", "106", "Fs", "53"))
	condition(t, cluster.PS1)
	sleep(t, "203")
}

// allPS2 is Fig. 4(h): every group in PS2, RS2 asleep too. Ws keeps its row;
// F1 stands in access stop.
func allPS2(t *cluster.Tables) {
	allPS1(t)
	move(&t.Operation, &t.AccessStop, "M2")
	move(&t.Operation, &t.AccessStop, "Ws")
	move(&t.Operation, &t.AccessStop, "F1")
	t.Operation = append(t.Operation, row("Mail", "201", "104", "M1", "1"), row("Web", "201", "105", "W1", "2"), row("FTP", "201", "103", "Fs", "53"))
	condition(t, cluster.PS2)
	sleep(t, "202")
}

func separateM1(t *cluster.Tables) { move(&t.Operation, &t.Separation, "M1") }

func backup(t *cluster.Tables, real string, vips ...string) {
	for _, v := range vips {
		t.Operation = append(t.Operation, row("Mail", real, v, "Mb", "61"))
	}
}

// States in which the running programs leave the files are no faults.
func TestLegitimateStates(t *testing.T) {
	states := map[string]func(*cluster.Tables){
		"Fig. 3(a)":                func(*cluster.Tables) {},
		"Fig. 4(a)":                allPS1,
		"Fig. 4(h)":                allPS2,
		"A3: nobody serves":        separateM1,
		"A4: the backup serves":    func(t *cluster.Tables) { separateM1(t); backup(t, "200", "101") },
		"A5: the backup has moved": func(t *cluster.Tables) { separateM1(t); backup(t, "202", "101") },
		"the moved backup fails too": func(t *cluster.Tables) {
			separateM1(t)
			backup(t, "202", "101")
			move(&t.Operation, &t.Separation, "Mb")
		},
		"the backup of a server with two VIPs": func(t *cluster.Tables) {
			allPS2(t)
			separateM1(t)
			backup(t, "200", "101", "104")
		},
		"pss took one VIP from the backup": func(t *cluster.Tables) {
			allPS2(t)
			separateM1(t)
			backup(t, "200", "101")
			move(&t.Separation, nil, "M1", "104")
			move(&t.AccessStop, &t.Operation, "M2")
		},
		"and the home VIP before the other": func(t *cluster.Tables) {
			allPS2(t)
			separateM1(t)
			backup(t, "200", "104")
			move(&t.Separation, nil, "M1", "101")
			move(&t.AccessStop, nil, "M2")
			t.Operation = append(t.Operation, row("Mail", "202", "101", "M2", "4"))
		},
		"a Moderate server holds a failed one's VIP": func(t *cluster.Tables) {
			separateM1(t)
			t.Operation = append(t.Operation, row("Mail", "202", "101", "M2", "4"))
			move(&t.Separation, &t.AccessStop, "M1")
		},
		"a spare fails": func(t *cluster.Tables) { allPS1(t); move(&t.Operation, &t.Separation, "Ws") },
		"a spare in all three files": func(t *cluster.Tables) {
			allPS2(t)
			t.Operation = append(t.Operation, row("FTP", "201", "106", "Fs", "53"))
			move(&t.Operation, nil, "Fs", "106")
			t.Separation = append(t.Separation, row("FTP", "201", "106", "Fs", "53"))
			t.AccessStop = append(t.AccessStop, row("FTP", "201", "106", "Fs", "53"))
		},
		"a real server out while dsrs recovers": func(t *cluster.Tables) {
			t.Real = t.Real[1:]
			separateM1(t)
			move(&t.Operation, &t.Separation, "W1")
			backup(t, "200", "101")
			t.Operation = append(t.Operation, row("Web", "200", "102", "Wb", "62"))
		},
		"all real servers out":     func(t *cluster.Tables) { t.Real = nil },
		"a base out of both files": func(t *cluster.Tables) { t.State[0].Bases[1] = ip("209") },
		"awake in PS2":             func(t *cluster.Tables) { allPS2(t); t.Real = append(t.Real, t.Suspended...); t.Suspended = nil },
	}
	for name, change := range states {
		t.Run(name, func(t *testing.T) {
			dir := paper(t)
			conf := conffile.Open(dir, conffile.Options{})
			err := conf.Update(context.Background(), func(t *cluster.Tables) error { change(t); return nil })
			if err != nil {
				t.Fatal(err)
			}
			if rep := run(t, dir); len(rep.Faults) > 0 {
				t.Errorf("faults:\n%s", lines(rep.Faults, dir))
			}
		})
	}
}

// What `pss plan` is given has neither settings.toml nor .dat.
func TestSevenFilesAlone(t *testing.T) {
	dir := paper(t)
	dats, err := filepath.Glob(filepath.Join(dir, "*.dat"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range append(dats, filepath.Join(dir, "settings.toml")) {
		if err := os.Remove(f); err != nil {
			t.Fatal(err)
		}
	}
	if rep := run(t, dir); len(rep.Faults) > 0 {
		t.Errorf("faults:\n%s", lines(rep.Faults, dir))
	}
}

func TestWarnings(t *testing.T) {
	tests := map[string]struct {
		file, from, to string
		want           string // "" for none
	}{
		"thresholds far apart": {"settings.toml", "", "", ""},
		"a group's own thresholds": {"settings.toml", "[group.Web]\n", "[group.Web]\nlight = 40\n",
			"settings.toml:46: warning: [group.Web]: 2 x light (40) >= moderate (50): PS2 doubles the load of the servers left, and the group may go back at once"},
		"bases are all real servers": {"state.conf", "Web   Moderate  172.21.14.201  172.21.14.202", "Web Moderate 172.21.14.201 172.21.14.202 172.21.14.203",
			"state.conf:3: warning: the bases of Web save nothing in PS1: no real server is left to sleep (172.21.14.201 172.21.14.202 172.21.14.203)"},
		"first bases keep every server awake": {"state.conf", "Web   Moderate  172.21.14.201  172.21.14.202", "Web Moderate 172.21.14.203 172.21.14.201",
			"state.conf:3: warning: the bases of Web save nothing in PS2: its servers stay on first bases anyway (172.21.14.201 172.21.14.203)"},
		"a name that nothing has": {"settings.toml", "[group.Web]\n", "[server.Wb]\n[server.W9]\n[real.\"172.21.14.209\"]\n[group.Wob]\n",
			"settings.toml:46: warning: [server.W9]: there is no such server\n" +
				"settings.toml:47: warning: [real.172.21.14.209]: there is no such real server\n" +
				"settings.toml:48: warning: [group.Wob]: there is no such group"},
		"no management server": {"settings.toml", "ip = \"172.21.14.200\"", "",
			"settings.toml:1: warning: [management] ip is not set: backups need it"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			dir := paper(t)
			edit(t, dir, "settings.toml", "light = 30 ", "light = 20 ")
			edit(t, dir, tt.file, tt.from, tt.to)
			rep := run(t, dir)
			if got := lines(rep.Faults, dir) + lines(rep.Warnings, dir); got != tt.want {
				t.Errorf("got\n%s\nwant\n%s", got, tt.want)
			}
		})
	}
}

func edit(t *testing.T, dir, file, from, to string) {
	t.Helper()
	path := filepath.Join(dir, file)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(b), from) {
		t.Fatalf("%s does not hold %q", file, from)
	}
	if err := os.WriteFile(path, []byte(strings.Replace(string(b), from, to, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
}
