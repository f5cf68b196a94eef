package lab

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestReap: an orphan is buried, and a child that somebody waits for is left to him.
func TestReap(t *testing.T) {
	r, err := reapOrphans(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer r.end()
	child := exec.Command("true")
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "pid")
	if err := exec.Command("sh", "-c", "sleep 0.1 & echo $! > "+file).Run(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	orphan, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		t.Fatal(err)
	}
	if _, stat := processStat(orphan); len(stat) < 2 || stat[1] != strconv.Itoa(os.Getpid()) {
		t.Errorf("the orphan was not adopted: %q", stat)
	}
	if err := child.Wait(); err != nil {
		t.Errorf("somebody else waited for the child: %v", err)
	}
	err = until(t.Context(), 10*time.Second, 10*time.Millisecond, func(context.Context) error {
		if alive(orphan) {
			return os.ErrExist
		}
		return nil
	})
	if err != nil {
		t.Errorf("the orphan was not buried: %v", err)
	}
}
