package plan

import (
	"strings"
	"testing"

	"pss-msbs/pkg/cluster"
)

// FuzzParseWants: what is accepted names known groups, each once, with a
// condition that prints as one.
func FuzzParseWants(f *testing.F) {
	for _, s := range []string{"", "Web=PS1,FTP=PS1", "Mail=Light(PS2)", "Web=", "=PS1", "Web=PS1,Web=PS2", " Web = PS1 ,", "Web=PS1=PS2"} {
		f.Add(s)
	}
	t0 := cluster.Tables{State: []cluster.StateRow{{Group: "Mail"}, {Group: "Web"}, {Group: "FTP"}}}
	f.Fuzz(func(t *testing.T, text string) {
		wants, err := ParseWants(t0, text)
		if err != nil {
			return
		}
		if named := len(wants); named > 0 && named != strings.Count(text, ",")+1 {
			t.Errorf("%q names %d groups", text, named)
		}
		for g, c := range wants {
			if _, known := t0.StateOf(g); !known {
				t.Errorf("%q: no group %q", text, g)
			}
			if again, err := cluster.ParseCondition(string(c)); err != nil || again != c {
				t.Errorf("%q: condition %q", text, c)
			}
		}
	})
}
