package scenario

import (
	"slices"
	"strings"
	"unicode"
)

// Alike reports whether two failures are of one kind: they say the same but for
// names, addresses and times.
func Alike(a, b error) bool { return a != nil && b != nil && kind(a) == kind(b) }

// kind is what an error says in its first words, those with digits left out.
func kind(err error) string {
	words := strings.FieldsFunc(err.Error(), func(r rune) bool { return unicode.IsSpace(r) || r == ':' })
	words = slices.DeleteFunc(words, func(s string) bool { return strings.IndexFunc(s, unicode.IsDigit) >= 0 })
	return strings.Join(words[:min(9, len(words))], " ")
}

// Shrink drops events from a failing schedule as long as fails says that what
// is left still fails: halves first, then ever smaller parts (delta debugging).
// The last event, which settles, stays. It ends early when more says so.
func Shrink(script []Command, fails func([]Command) bool, more func() bool) []Command {
	events, last := script[:len(script)-1], script[len(script)-1]
	for size := (len(events) + 1) / 2; size > 0; {
		dropped := false
		for from := 0; from < len(events) && more(); {
			to := min(from+size, len(events))
			left := append(append([]Command{}, events[:from]...), events[to:]...)
			if fails(append(append([]Command{}, left...), last)) {
				events, dropped = left, true
			} else {
				from = to
			}
		}
		switch {
		case !more():
			return append(append([]Command{}, events...), last)
		case size > 1:
			size /= 2
		case !dropped:
			size = 0
		}
	}
	return append(append([]Command{}, events...), last)
}
