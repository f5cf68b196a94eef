package conffile

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"pss-msbs/pkg/cluster"
)

// Whatever programs do to the rows, and whatever order they do it in, the
// files say it afterwards and every comment of the operator is still there.
func TestEditsKeepRowsAndComments(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		contents, comments := commented(rt)
		s, faults := Parse("conf", contents)
		if err := faults.Err(); err != nil {
			rt.Fatal(err)
		}
		for range rapid.IntRange(1, 4).Draw(rt, "edits") {
			want := s.Tables.Clone()
			shuffle(rt, &want)
			contents = s.Format(want, Names()...)
			s, faults = Parse("conf", contents)
			if err := faults.Err(); err != nil {
				rt.Fatalf("%v\n%s", err, contents[Operation])
			}
			if diff := cmp.Diff(want, s.Tables, opts); diff != "" {
				rt.Fatal(diff)
			}
		}
		var all strings.Builder
		for _, b := range contents {
			all.Write(b)
		}
		for _, c := range comments {
			if n := strings.Count(all.String(), c+"\n"); n != 1 {
				rt.Fatalf("%q stands %d times in\n%s", c, n, all.String())
			}
		}
	})
}

// commented is the paper's files with comments of all kinds put in.
func commented(rt *rapid.T) (map[string][]byte, []string) {
	var comments []string
	note := func() string {
		comments = append(comments, fmt.Sprintf("# note %d", len(comments)))
		return comments[len(comments)-1]
	}
	contents := map[string][]byte{}
	for _, name := range Names() {
		var b strings.Builder
		for l := range strings.Lines(read(rt, paperDir, name)) {
			if rapid.Bool().Draw(rt, "above") {
				b.WriteString("\n" + note() + "\n")
			}
			l = strings.TrimSuffix(l, "\n")
			if !strings.HasPrefix(l, "#") && rapid.Bool().Draw(rt, "behind") {
				l += "\t" + note()
			}
			b.WriteString(l + "\n")
		}
		contents[name] = []byte(b.String())
	}
	return contents, comments
}

// shuffle moves rows between the files of a family, changes, drops and
// reorders them.
func shuffle(rt *rapid.T, t *cluster.Tables) {
	rows := append(append(append(cluster.Rows{}, t.Operation...), t.AccessStop...), t.Separation...)
	t.Operation, t.AccessStop, t.Separation = nil, nil, nil
	for _, r := range rapid.Permutation(rows).Draw(rt, "rows") {
		switch rapid.IntRange(0, 4).Draw(rt, "to") {
		case 0, 1:
			t.Operation = append(t.Operation, r)
		case 2:
			t.AccessStop = append(t.AccessStop, r)
		case 3:
			t.Separation = append(t.Separation, r)
		}
	}
	reals := append(append([]cluster.RealRow{}, t.Real...), t.Suspended...)
	n := rapid.IntRange(0, len(reals)).Draw(rt, "awake")
	t.Real, t.Suspended = reals[:n], reals[n:]
	for i := range t.State {
		t.State[i].Condition = rapid.SampledFrom([]cluster.Condition{cluster.Moderate, cluster.PS1, cluster.PS2}).Draw(rt, "condition")
	}
	t.Spares = rapid.Permutation(t.Spares).Draw(rt, "spares")
}
