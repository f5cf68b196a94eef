package budget

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func newFile(t *testing.T) File {
	t.Helper()
	return File{Path: Path(t.TempDir(), "M1"), Host: "M1", Limit: 2, Window: 8 * time.Hour}
}

func mustBegin(t *testing.T, f File, now time.Time) time.Time {
	t.Helper()
	until, err := f.Begin(now)
	if err != nil {
		t.Fatal(err)
	}
	return until
}

func TestBudgetLimitsRecoveriesWithinWindow(t *testing.T) {
	f, t0 := newFile(t), time.Date(2026, 11, 22, 14, 0, 0, 0, time.UTC)
	for i := range 2 {
		now := t0.Add(time.Duration(i) * time.Hour)
		if until := mustBegin(t, f, now); !until.IsZero() {
			t.Fatalf("recovery %d refused until %v", i, until)
		}
		if err := f.End(now.Add(time.Minute), "recovered"); err != nil {
			t.Fatal(err)
		}
	}
	until := mustBegin(t, f, t0.Add(2*time.Hour))
	if want := t0.Add(8 * time.Hour); !until.Equal(want) {
		t.Fatalf("third recovery due at %v, want %v", until, want)
	}
	r, err := Read(nil, f.Path)
	if err != nil || !r.Exhausted || !r.Until.Equal(until) || r.Host != "M1" {
		t.Fatalf("record %+v, %v: want it to say exhausted", r, err)
	}
	if until := mustBegin(t, f, t0.Add(8*time.Hour)); !until.IsZero() {
		t.Fatalf("refused until %v although the first recovery left the window", until)
	}
	if r, _ := Read(nil, f.Path); r.Exhausted {
		t.Fatalf("record %+v still says exhausted", r)
	}
}

func TestCutOffRecoveryIsContinued(t *testing.T) {
	f, t0 := newFile(t), time.Date(2026, 11, 22, 14, 0, 0, 0, time.UTC)
	for range 5 { // killed four times in the middle
		if until := mustBegin(t, f, t0); !until.IsZero() {
			t.Fatalf("refused until %v", until)
		}
	}
	if r, _ := Read(nil, f.Path); len(r.Recoveries) != 1 {
		t.Fatalf("%d recoveries recorded, want 1", len(r.Recoveries))
	}
}

func TestBrokenFileIsReported(t *testing.T) {
	f := newFile(t)
	if err := os.WriteFile(f.Path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Begin(time.Now()); err == nil {
		t.Fatal("a broken budget was read without an error")
	}
	for range 3 {
		mustBegin(t, f, time.Now())
		if err := f.End(time.Now(), "recovered"); err != nil {
			t.Fatal(err)
		}
	}
	if r, _ := Read(nil, f.Path); !r.Exhausted {
		t.Fatal("a broken file ended the counting for ever")
	}
	if _, err := (File{Path: filepath.Join(t.TempDir(), "none", "b.json"), Limit: 1}).Begin(time.Now()); err == nil {
		t.Fatal("a budget was written into a directory that does not exist")
	}
}

// What is dropped counts for nothing; what is closed stays.
func TestDropForgetsTheOpenRecovery(t *testing.T) {
	f, t0 := newFile(t), time.Date(2026, 11, 22, 14, 0, 0, 0, time.UTC)
	mustBegin(t, f, t0)
	if err := f.End(t0, "recovered"); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		mustBegin(t, f, t0)
		for range 2 { // the second time there is nothing to drop
			if err := f.Drop(t0); err != nil {
				t.Fatal(err)
			}
		}
	}
	if r, err := Read(nil, f.Path); err != nil || len(r.Recoveries) != 1 || r.Recoveries[0].Outcome != "recovered" {
		t.Fatalf("record %+v, %v: want the one that was closed", r, err)
	}
}
