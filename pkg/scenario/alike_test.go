package scenario

import (
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// moment is how far times of two plays of one scenario may be apart: goroutines
// that are due at one instant run in no order, and who comes second learns of a
// packet a burst's interval later.
const moment = 40 * time.Millisecond

var (
	// evidence has numbers of single packets in it.
	evidence = regexp.MustCompile(` evidence=("[^"]*"|\S+)`)
	spans    = regexp.MustCompile(`\b(\d+h)?(\d+m)?\d+(\.\d+)?(ms|s)\b`)
)

// entry is a line of a log, its times apart from its words.
type entry struct {
	words string
	times []float64 // seconds; the first is when
}

func entryOf(text string) entry {
	at, rest := text[:min(len(text), stampWidth)], text[min(len(text), stampWidth):]
	when, err := strconv.ParseFloat(strings.TrimSpace(at), 64)
	if err != nil {
		return entry{words: text}
	}
	e := entry{times: []float64{when}}
	e.words = spans.ReplaceAllStringFunc(evidence.ReplaceAllString(rest, ""), func(s string) string {
		d, err := time.ParseDuration(s)
		if err != nil {
			return s
		}
		e.times = append(e.times, d.Seconds())
		return "TIME"
	})
	return e
}

func (e entry) alike(o entry) bool {
	if e.words != o.words || len(e.times) != len(o.times) {
		return false
	}
	for i := range e.times {
		if math.Abs(e.times[i]-o.times[i]) > moment.Seconds()+0.001 {
			return false
		}
	}
	return true
}

// differ tells how two logs differ other than in evidence and by moments, or "".
func differ(want, got string) string {
	rest := map[string][]entry{}
	for line := range strings.Lines(got) {
		e := entryOf(strings.TrimSuffix(line, "\n"))
		rest[e.words] = append(rest[e.words], e)
	}
	ok := true
	for line := range strings.Lines(want) {
		e := entryOf(strings.TrimSuffix(line, "\n"))
		same := rest[e.words]
		if len(same) == 0 || !e.alike(same[0]) {
			ok = false
			break
		}
		if rest[e.words] = same[1:]; len(same) == 1 {
			delete(rest, e.words)
		}
	}
	if ok && len(rest) == 0 {
		return ""
	}
	return cmp.Diff(inOrder(want), inOrder(got))
}

func TestDiffer(t *testing.T) {
	const log = "  185.11 dbss M1   trouble confirmed after_detection=200ms evidence=\"φ 8\"\n  185.20 fleet     up\n"
	for _, tc := range []struct {
		name, got string
		same      bool
	}{
		{"itself", log, true},
		{"a moment later, other evidence", "  185.14 dbss M1   trouble confirmed after_detection=230ms evidence=\"φ 9\"\n  185.20 fleet     up\n", true},
		{"later", "  185.17 dbss M1   trouble confirmed after_detection=200ms\n  185.20 fleet     up\n", false},
		{"slower", "  185.11 dbss M1   trouble confirmed after_detection=250ms\n  185.20 fleet     up\n", false},
		{"a line less", "  185.20 fleet     up\n", false},
		{"a line more", log + "  185.20 fleet     up\n", false},
		{"other words", strings.Replace(log, "up", "down", 1), false},
	} {
		if d := differ(log, tc.got); (d == "") != tc.same {
			t.Errorf("%s: same %t, want %t\n%s", tc.name, d == "", tc.same, d)
		}
	}
}
