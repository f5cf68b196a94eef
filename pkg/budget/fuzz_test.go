package budget

import (
	"os"
	"testing"
	"time"
)

// A clock that was wrong for a while must not leave a server alone for longer
// than the window.
func TestClockThatWentBack(t *testing.T) {
	f := newFile(t)
	wrong := time.Date(2036, 1, 1, 0, 0, 0, 0, time.UTC)
	for range f.Limit {
		mustBegin(t, f, wrong)
		if err := f.End(wrong, "recovered"); err != nil {
			t.Fatal(err)
		}
	}
	right := wrong.AddDate(-10, 0, 0)
	due, err := f.Begin(right)
	if err != nil || due.After(right.Add(f.Window)) {
		t.Errorf("due %v, %v; want at most %v later", due, err, f.Window)
	}
	if due, err := f.Begin(right.Add(f.Window)); err != nil || !due.IsZero() {
		t.Errorf("after the window: due %v, %v", due, err)
	}
}

// FuzzFile: whatever a budget file says, a recovery may begin within the window,
// and what is written can be read.
func FuzzFile(f *testing.F) {
	for _, s := range []string{"", "{", "null", `{"host":"M1","recoveries":[{"start":"2026-11-22T14:00:00Z","end":"2026-11-22T14:01:00Z","outcome":"recovered"}]}`,
		`{"recoveries":[{"start":"9999-11-22T14:00:00Z","end":"0001-11-22T14:01:00Z"},{},{},{},{}]}`} {
		f.Add([]byte(s))
	}
	now := time.Date(2026, 11, 22, 14, 0, 0, 0, time.UTC)
	dir, err := os.MkdirTemp("/dev/shm", "budget-") // in memory where that is possible: each write is synced
	if err != nil {
		dir = f.TempDir()
	}
	f.Cleanup(func() { os.RemoveAll(dir) })
	f.Fuzz(func(t *testing.T, text []byte) {
		b := File{Path: Path(dir, "M1"), Host: "M1", Limit: 5, Window: 8 * time.Hour}
		if err := os.WriteFile(b.Path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		due, err := b.Begin(now)
		if err != nil { // one error, then it is put aside
			if due, err = b.Begin(now); err != nil || !due.IsZero() {
				t.Fatalf("after a file that cannot be understood: %v, %v", due, err)
			}
		}
		if due.After(now.Add(b.Window)) {
			t.Errorf("left alone until %v", due)
		}
		if err := b.End(now, "recovered"); err != nil {
			t.Error(err)
		}
		if _, err := Read(nil, b.Path); err != nil {
			t.Error(err)
		}
	})
}
