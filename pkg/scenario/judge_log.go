package scenario

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// How often one program may say the same within a minute: an error as often as
// a cycle finds it come back, anything else as often as a real server has servers.
const (
	errorsMost = 6
	linesMost  = 30
)

// repeated tells of the first thing that a program said again and again: the
// log has one message for each outcome, never for each attempt.
func (b *book) repeated() error {
	b.mu.Lock()
	lines := slices.Clone(b.lines)
	b.mu.Unlock()
	type what struct {
		p    *Proc
		text string
	}
	said := map[what][]time.Time{}
	for _, l := range lines {
		if l.p == nil {
			continue
		}
		most := linesMost
		if strings.Contains(l.text, "level=error") {
			most = errorsMost
		}
		k := what{l.p, timeless(l.text)}
		said[k] = append(said[k], l.at)
		if n := len(said[k]); n > most && l.at.Sub(said[k][n-1-most]) < time.Minute {
			return fmt.Errorf("%.2f: %s says for the %d. time within a minute: %s", l.at.Sub(b.began).Seconds(), l.who, most+1, l.text)
		}
	}
	return nil
}

// timeless is a line without what took how long.
func timeless(text string) string {
	f := strings.Fields(text)
	return strings.Join(slices.DeleteFunc(f, func(s string) bool {
		return strings.HasPrefix(s, "took=") || strings.HasPrefix(s, "after_")
	}), " ")
}
