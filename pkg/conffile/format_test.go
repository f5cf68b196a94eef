package conffile

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pss-msbs/pkg/cluster"
)

func TestFormat(t *testing.T) {
	const (
		m1 = "Mail 172.21.14.201 172.21.14.101 M1 172.21.14.1"
		w1 = "Web 172.21.14.201 172.21.14.102 W1 172.21.14.2"
		f1 = "FTP 172.21.14.202 172.21.14.103 F1 172.21.14.3"
	)
	tests := map[string]struct {
		operation, separation string
		edit                  func(*cluster.Tables)
		want, wantSeparation  string
	}{
		"comments and blank lines stay, columns are aligned": {
			"# head\n\n" + m1 + "\n   # between\t\n" + w1 + "\n\n# tail", "",
			func(t *cluster.Tables) { t.Operation = append(t.Operation, rowAt("FTP", "202", "103", "F1", "3")) },
			"# head\n\nMail  172.21.14.201  172.21.14.101  M1  172.21.14.1\n# between\nWeb   172.21.14.201  172.21.14.102  W1  172.21.14.2\n\n# tail\nFTP   172.21.14.202  172.21.14.103  F1  172.21.14.3\n", "",
		},
		"tabs and CRLF": {
			strings.ReplaceAll(m1, " ", "\t") + "\r\n# x\r\n" + w1 + "\r\n", "",
			func(t *cluster.Tables) { t.Operation = t.Operation[:1] },
			"Mail  172.21.14.201  172.21.14.101  M1  172.21.14.1\n# x\n", "",
		},
		"what stands behind a row moves with it": {
			m1 + " # the old one\n" + w1 + "\n", "# troubles\n",
			func(t *cluster.Tables) { t.Separation = take(&t.Operation, "M1") },
			"Web  172.21.14.201  172.21.14.102  W1  172.21.14.2\n", "# troubles\nMail  172.21.14.201  172.21.14.101  M1  172.21.14.1  # the old one\n",
		},
		"and stays where its row is gone": {
			m1 + " # the old one\n" + w1 + "\n", "",
			func(t *cluster.Tables) { take(&t.Operation, "M1") },
			"# the old one\nWeb  172.21.14.201  172.21.14.102  W1  172.21.14.2\n", "",
		},
		"the order of the rows is the program's": {
			m1 + "\n# between\n" + w1 + "\n" + f1 + "\n", "",
			func(t *cluster.Tables) { o := t.Operation; t.Operation = cluster.Rows{o[2], o[0], o[1]} },
			"FTP   172.21.14.202  172.21.14.103  F1  172.21.14.3\nMail  172.21.14.201  172.21.14.101  M1  172.21.14.1\n# between\nWeb   172.21.14.201  172.21.14.102  W1  172.21.14.2\n", "",
		},
		"a changed row keeps its place": {
			m1 + "\n" + w1 + " # note\n# end\n", "",
			func(t *cluster.Tables) { t.Operation[1].Real = ip("203") },
			"Mail  172.21.14.201  172.21.14.101  M1  172.21.14.1\nWeb   172.21.14.203  172.21.14.102  W1  172.21.14.2  # note\n# end\n", "",
		},
		"a file without rows is never without a byte": {
			m1 + "\n", "",
			func(t *cluster.Tables) { t.Separation = take(&t.Operation, "M1") },
			"# no row\n", "Mail  172.21.14.201  172.21.14.101  M1  172.21.14.1\n",
		},
		"and says so only while it is true": {
			m1 + "\n", "# no row\n",
			func(t *cluster.Tables) { t.Separation = take(&t.Operation, "M1") },
			"# no row\n", "Mail  172.21.14.201  172.21.14.101  M1  172.21.14.1\n",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			dir := paper(t)
			write(t, dir, Operation, tt.operation)
			write(t, dir, Separation, tt.separation)
			d := Open(dir, Options{})
			err := d.Update(ctx, func(t *cluster.Tables) error { tt.edit(t); return nil })
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, read(t, dir, Operation)); diff != "" {
				t.Errorf("operation: %s", diff)
			}
			if diff := cmp.Diff(tt.wantSeparation, read(t, dir, Separation)); diff != "" {
				t.Errorf("separation: %s", diff)
			}
		})
	}
}

// Whatever parses is written so that it parses to the same, and writing that
// again changes nothing more.
func FuzzParse(f *testing.F) {
	for i, name := range Names() {
		f.Add(i, []byte(read(f, paperDir, name)))
	}
	f.Add(0, []byte("Mail fd00::201 fd00::101 M1 fd00::1 # six\n#x\n\n\tWeb  fd00::201 fd00::102 W1 ::ffff:1.2.3.4"))
	f.Add(6, []byte("Mail Light(PS2) 172.21.14.201\r\n"))
	f.Add(4, []byte("172.21.14.1 0000.0000.0001\n172.21.14.2 00-00-00-00-00-02"))
	f.Add(0, []byte{})
	f.Fuzz(func(t *testing.T, i int, b []byte) {
		name := Names()[uint(i)%uint(len(Names()))]
		contents := map[string][]byte{}
		for _, n := range Names() {
			contents[n] = []byte("# none\n")
		}
		contents[name] = b
		s, _ := Parse("conf", contents)
		if !s.Clean(name) {
			return
		}
		contents[name] = s.Format(s.Tables, name)[name]
		again, _ := Parse("conf", contents)
		if !again.Clean(name) {
			t.Fatalf("%q is written as %q, which does not parse", b, contents[name])
		}
		if diff := cmp.Diff(s.Tables, again.Tables, opts); diff != "" {
			t.Fatalf("%q is written as %q: %s", b, contents[name], diff)
		}
		if third := again.Format(again.Tables, name)[name]; string(third) != string(contents[name]) {
			t.Fatalf("%q is written as %q, that as %q", b, contents[name], third)
		}
	})
}
