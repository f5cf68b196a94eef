package dbss

import (
	"os"
	"regexp"
	"slices"
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

// TestDiagram: the package comment lists every state with those that may follow it.
func TestDiagram(t *testing.T) {
	text, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	drawn := map[State]string{}
	for _, m := range regexp.MustCompile(`(?m)^//\t(.+?) +-> (.+) \(.+\)$`).FindAllStringSubmatch(string(text), -1) {
		drawn[State(m[1])] = m[2]
	}
	for _, s := range slices.DeleteFunc(States(), func(s State) bool { return s == Ended }) {
		var next []string
		for _, n := range s.next() {
			next = append(next, string(n))
		}
		if want := strings.Join(next, ", "); drawn[s] != want {
			t.Errorf("%s leads to %q in the diagram, to %q in the code", s, drawn[s], want)
		}
	}
}
