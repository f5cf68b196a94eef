package scenario

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// book is the merged system log of all programs.
type book struct {
	mu     sync.Mutex
	began  time.Time
	shown  time.Time // nothing before stands in the log
	lines  []line
	closed bool
}

// stampWidth is that of the time which begins a line.
const stampWidth = 8

type line struct {
	at   time.Time
	who  string // program and name
	text string
	p    *Proc // nil: no program says it
}

// add takes one line of nobody.
func (b *book) add(who, text string) { b.say(nil, who, text) }

// say takes one line of a program.
func (b *book) say(p *Proc, who, text string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.closed {
		b.lines = append(b.lines, line{time.Now(), who, text, p})
	}
}

// show has the log begin here.
func (b *book) show() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.shown = time.Now()
}

func (b *book) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
}

// text is the log by time, then program, times in seconds since the beginning.
func (b *book) text(more []line) string {
	b.mu.Lock()
	shown, lines := b.shown, append(slices.Clone(b.lines), more...)
	b.mu.Unlock()
	slices.SortStableFunc(lines, func(x, y line) int {
		if c := x.at.Compare(y.at); c != 0 {
			return c
		}
		return strings.Compare(x.who, y.who)
	})
	var out strings.Builder
	said := map[string]string{}
	for _, l := range lines {
		if l.repeats(said) || l.at.Before(shown) {
			continue
		}
		fmt.Fprintf(&out, "%*.2f %-9s %s\n", stampWidth, l.at.Sub(b.began).Seconds(), l.who, l.text)
	}
	return out.String()
}

// repeats reports whether a cycle's line about a group says what the last one
// said, but for the numbers.
func (l line) repeats(said map[string]string) bool {
	f := strings.Fields(l.text)
	if l.who != "pss" || len(f) < 4 || f[0] != "load" {
		return false
	}
	f = slices.DeleteFunc(f, func(s string) bool { return len(s) > 3 && s[0] == 'l' && s[2] == '=' })
	now := strings.Join(f, " ")
	group := f[slices.IndexFunc(f, func(s string) bool { return strings.HasPrefix(s, "group=") })]
	before := said[group]
	said[group] = now
	return before == now
}

// writer is where p logs to.
type writer struct{ p *Proc }

// Write implements io.Writer for one line "[__]DATE TIME NAME TEXT".
func (w writer) Write(b []byte) (int, error) {
	if !w.p.runs() {
		return len(b), nil
	}
	text, background := strings.CutPrefix(strings.TrimRight(string(b), "\n"), "__")
	if f := strings.SplitN(text, " ", 4); len(f) == 4 {
		text = f[3]
	}
	text = strings.ReplaceAll(text, w.p.w.dirs.Conf+"/", "")
	if background {
		text = "__" + text
	}
	w.p.w.log.say(w.p, w.p.who, text)
	return len(b), nil
}
