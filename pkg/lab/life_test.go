package lab

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestBoots(t *testing.T) {
	l := &Lab{dir: t.TempDir()}
	if err := os.MkdirAll(filepath.Dir(l.console("M1")), 0o755); err != nil {
		t.Fatal(err)
	}
	for said, want := range map[string]bool{
		"":                                      false, // restored from a file
		"lab: boot\r\n":                         true,
		"lab: boot\r\nlab: up\r\n":              false,
		"lab: boot\r\nlab: up\r\nlab: boot\r\n": true, // reset
	} {
		if err := os.WriteFile(l.console("M1"), []byte(said), 0o644); err != nil {
			t.Fatal(err)
		}
		if got := l.boots("M1"); got != want {
			t.Errorf("after %q: boots %t, want %t", said, got, want)
		}
	}
	if l.boots("M2") {
		t.Error("boots, though it was never started")
	}
}

// Both images say when a guest is up: one that never did would boot for ever.
func TestGuestsSayThatTheyAreUp(t *testing.T) {
	full, err := recipe.ReadFile("image/init.sh")
	if err != nil {
		t.Fatal(err)
	}
	for name, script := range map[string]string{"small": initScript, "full": string(full)} {
		if !strings.Contains(script, upMark) {
			t.Errorf("the %s guest does not say %q", name, upMark)
		}
	}
}
