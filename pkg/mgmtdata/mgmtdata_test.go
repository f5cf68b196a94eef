package mgmtdata

import (
	"bytes"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/diag"
)

const paper = "../../testdata/paper/"

var opts = cmp.Options{cmp.Comparer(func(a, b netip.Addr) bool { return a == b }), cmpopts.EquateEmpty()}

var (
	m1 = Server{VIP: ip("101"), Host: "M1", IP: ip("1"), Group: "Mail", Daemons: []string{"dovecot", "postfix"},
		Backup: "Mb", BackupIP: ip("61"), Real: ip("201")}
	mb  = Server{Host: "Mb", IP: ip("61"), Group: "Mail", Daemons: []string{"dovecot", "postfix"}}
	rs1 = Real{IP: ip("201"), Host: "RS1", MAC: cluster.MAC{5: 1}, Servers: []string{"M1", "W1"}}
)

func ip(s string) netip.Addr { return netip.MustParseAddr("172.21.14." + s) }

func TestTable2(t *testing.T) {
	for name, want := range map[string]Server{"M1.dat": m1, "Mb.dat": mb} {
		got, err := ReadServer(paper + name)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got, opts); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		if got.IsBackup() != (name == "Mb.dat") {
			t.Errorf("%s: backup %t", name, got.IsBackup())
		}
	}
	got, err := ReadReal(paper + "RS1.dat")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(rs1, got, opts); diff != "" {
		t.Error(diff)
	}
}

// Every way to end the last line and the others means the same.
func TestLineEnds(t *testing.T) {
	for _, s := range []Server{m1, mb} {
		text := string(FormatServer(s))
		for name, b := range map[string]string{
			"newline":         text,
			"no last newline": strings.TrimSuffix(text, "\n"),
			"CRLF":            strings.ReplaceAll(text, "\n", "\r\n"),
			"CRLF, not last":  strings.ReplaceAll(strings.TrimSuffix(text, "\n"), "\n", "\r\n"),
			"blanks":          strings.ReplaceAll(text, "\n", " \t\n"),
		} {
			got, err := ParseServer("x.dat", []byte(b))
			if err != nil {
				t.Errorf("%s %s: %v", s.Host, name, err)
			}
			if diff := cmp.Diff(s, got, opts); diff != "" {
				t.Errorf("%s %s: %s", s.Host, name, diff)
			}
		}
	}
	for name, b := range map[string]string{
		"no server, newline":         "172.21.14.201\nRS1\n00:00:00:00:00:01\n\n",
		"no server, no last newline": "172.21.14.201\nRS1\n00:00:00:00:00:01\n",
	} {
		got, err := ParseReal("x.dat", []byte(b))
		if err != nil || len(got.Servers) != 0 {
			t.Errorf("%s: %v %v", name, got, err)
		}
	}
}

func TestFaults(t *testing.T) {
	with := func(line int, text string) string {
		l := strings.Split(string(FormatServer(m1)), "\n")
		l[line-1] = text
		return strings.Join(l, "\n")
	}
	tests := map[string]struct{ text, want string }{
		"too long a name":     {with(2, strings.Repeat("a", 64)), "x.dat:2: host: bad name"},
		"blank host":          {with(2, ""), "x.dat:2: host missing"},
		"two hosts":           {with(2, "M1 M2"), "x.dat:2: host: bad name"},
		"dot in a host":       {with(2, "M1.example"), "x.dat:2: host: bad name"},
		"own backup":          {with(6, "M1"), "x.dat:6: M1 is its own backup"},
		"own address":         {with(7, "172.21.14.1"), "x.dat:7: 172.21.14.1 is the server's own address"},
		"VIP is own address":  {with(1, "172.21.14.1"), "x.dat:1: 172.21.14.1 is a VIP and a server's own address"},
		"daemon path":         {with(5, "../postfix"), "x.dat:5: bad daemon name"},
		"a line too many":     {with(8, "172.21.14.201\n"), "x.dat:9: want 8 lines for a virtual server, have 9"},
		"a line too few":      {"172.21.14.101\nM1\n172.21.14.1\nMail\npostfix\n\n", "x.dat:7: want 8 lines for a virtual server, have 6"},
		"too large":           {strings.Repeat("\n", MaxSize+1), "x.dat:1: too large"},
		"other blanks":        {with(5, "dovecot\u00a0postfix"), "x.dat:5: bad daemon name"},
		"address with a zone": {with(3, "fe80::1%eth0"), "x.dat:3: IP address: bad IP address"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := ParseServer("x.dat", []byte(tt.text))
			var faults *diag.List
			if !errors.As(err, &faults) || len(*faults) != 1 || !strings.HasPrefix(err.Error(), tt.want) {
				t.Errorf("%v, want %s", err, tt.want)
			}
		})
	}
}

func TestMissingFileIsNoFault(t *testing.T) {
	var faults *diag.List
	if _, err := ReadServer(filepath.Join(t.TempDir(), "M1.dat")); !errors.Is(err, os.ErrNotExist) || errors.As(err, &faults) {
		t.Errorf("%v, want not exist", err)
	}
}

func TestReadDir(t *testing.T) {
	d, err := ReadDir(paper)
	if err != nil || len(d.Servers) != 12 || len(d.Reals) != 3 {
		t.Fatalf("%d servers, %d real servers, %v; want 12 and 3", len(d.Servers), len(d.Reals), err)
	}
}

// A .dat with a wrong number of lines is judged as what it looks like.
func TestReadDirTellsThemApart(t *testing.T) {
	server, real := string(FormatServer(m1)), string(FormatReal(rs1))
	tests := map[string]struct{ text, want string }{
		"nine":  {server + "x\n", "x.dat:9: want 8 lines for a virtual server, have 9"},
		"seven": {server[:strings.LastIndex(server[:len(server)-1], "\n")], "x.dat:8: want 8 lines for a virtual server, have 7"},
		"five":  {real + "x\n", "x.dat:5: want 4 lines for a real server, have 5"},
		"three": {"172.21.14.201\nRS1\n00:00:00:00:00:01", "x.dat:4: want 4 lines for a real server, have 3"},
		"none":  {"", "x.dat:1: want 4 lines for a real server, have 0"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "x.dat"), []byte(tt.text), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := ReadDir(dir)
			if want := filepath.Join(dir, tt.want); err == nil || err.Error() != want {
				t.Errorf("%v, want %s", err, want)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	for _, name := range []string{"M1.dat", "Mb.dat", "RS1.dat"} {
		b, err := os.ReadFile(paper + name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
		f.Add(bytes.ReplaceAll(b, []byte("\n"), []byte("\r\n")))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, err := ParseServer("x.dat", b); err == nil {
			again, err := ParseServer("x.dat", FormatServer(s))
			if diff := cmp.Diff(s, again, opts); err != nil || diff != "" {
				t.Fatalf("%q: %v %s", b, err, diff)
			}
		}
		if r, err := ParseReal("x.dat", b); err == nil {
			again, err := ParseReal("x.dat", FormatReal(r))
			if diff := cmp.Diff(r, again, opts); err != nil || diff != "" {
				t.Fatalf("%q: %v %s", b, err, diff)
			}
		}
	})
}
