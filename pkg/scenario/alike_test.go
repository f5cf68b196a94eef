package scenario

import (
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
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

// comparison is of the lines of two logs, before and now.
type comparison struct {
	kept, gone []string // of before: alike to one of now each, or to none
	come       []string // of now: alike to none of before
}

func compare(before, now string) comparison {
	var c comparison
	var entries []entry
	c.come = slices.Collect(strings.Lines(now))
	for _, line := range c.come {
		entries = append(entries, entryOf(line))
	}
	for line := range strings.Lines(before) {
		i := slices.IndexFunc(entries, entryOf(line).alike)
		if i < 0 {
			c.gone = append(c.gone, line)
			continue
		}
		c.kept = append(c.kept, line)
		c.come, entries = slices.Delete(c.come, i, i+1), slices.Delete(entries, i, i+1)
	}
	return c
}

// differ tells how two logs differ other than in evidence and by moments, or "".
func differ(want, got string) string {
	c := compare(want, got)
	var lines []string
	for _, line := range c.gone {
		lines = append(lines, "-"+line)
	}
	for _, line := range c.come {
		lines = append(lines, "+"+line)
	}
	return byTime(lines, len("-"))
}

// byTime is a log of lines whose time stands behind a mark of so many bytes.
func byTime(lines []string, mark int) string {
	at := func(line string) string { return line[mark:min(len(line), mark+stampWidth)] }
	slices.SortStableFunc(lines, func(a, b string) int { return strings.Compare(at(a), at(b)) })
	return strings.Join(lines, "")
}

// updated is the log of now with the lines that are alike as they stood
// before: an update shows what has changed, and nothing else.
func updated(before, now string) string {
	c := compare(before, now)
	return byTime(slices.Concat(c.kept, c.come), 0)
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
		{"a line twice", log + log[strings.Index(log, "\n")+1:], false},
		{"in another order", "  185.20 fleet     up\n  185.13 dbss M1   trouble confirmed after_detection=200ms\n", true},
		{"other words", strings.Replace(log, "up", "down", 1), false},
	} {
		if d := differ(log, tc.got); (d == "") != tc.same {
			t.Errorf("%s: same %t, want %t\n%s", tc.name, d == "", tc.same, d)
		}
	}
}

// An update keeps each line that is alike, and its place.
func TestUpdatedShowsChangesOnly(t *testing.T) {
	const (
		before = "   10.00 pss       b\n   10.00 pss       a\n   11.00 dbss M1   down evidence=\"φ 8\"\n   11.02 pss       gone\n   12.00 pss       last\nnot settled\n"
		now    = "   10.00 pss       a\n   10.00 pss       b\n   11.01 pss       new\n   11.03 dbss M1   down evidence=\"φ 9\"\n   12.10 pss       last\nnot settled\n"
		want   = "   10.00 pss       b\n   10.00 pss       a\n   11.00 dbss M1   down evidence=\"φ 8\"\n   11.01 pss       new\n   12.10 pss       last\nnot settled\n"
	)
	if got := updated(before, now); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if again := updated(want, now); again != want {
		t.Errorf("a second update gives\n%s", again)
	}
	if got := differ(before, want); got != "+   11.01 pss       new\n-   11.02 pss       gone\n-   12.00 pss       last\n+   12.10 pss       last\n" {
		t.Errorf("they differ by\n%s", got)
	}
}
