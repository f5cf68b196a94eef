package dbss

import (
	"strings"
	"testing"

	"github.com/rs/zerolog"
)

// TestTransitionRefusesOtherPairs: exactly the listed pairs are legal, and a
// refused one leaves the state.
func TestTransitionRefusesOtherPairs(t *testing.T) {
	for _, from := range States() {
		for _, to := range States() {
			m := New(Options{Log: zerolog.Nop()})
			m.state = from
			err := m.transition(to, "test")
			legal := from == to || from.mayFollow(to)
			if (err == nil) != legal {
				t.Errorf("%s -> %s: %v, want legal %t", from, to, err, legal)
			}
			if want := map[bool]State{true: to, false: from}[legal]; m.state != want {
				t.Errorf("%s -> %s left the monitor in %s", from, to, m.state)
			}
		}
	}
}

// TestStatesArePrintable: each state says itself in one sentence, is reached
// from Starting, and only Ended has no way on.
func TestStatesArePrintable(t *testing.T) {
	reached := map[State]bool{Starting: true}
	for range States() {
		for s := range reached {
			for _, n := range s.next() {
				reached[n] = true
			}
		}
	}
	for _, s := range States() {
		if text := s.Sentence(); !strings.HasSuffix(text, ".") || strings.Contains(text, "unknown") || strings.Count(text, ".") != 1 {
			t.Errorf("%s: %q is not one sentence", s, text)
		}
		if !reached[s] {
			t.Errorf("%s is never reached", s)
		}
		if (len(s.next()) == 0) != (s == Ended) {
			t.Errorf("%s has %d ways on", s, len(s.next()))
		}
	}
}
