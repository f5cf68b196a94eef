package record_test

import (
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"pss-msbs/pkg/pss/record"
)

// FuzzWake: whatever a wake record says, a missed wake is remembered until the
// real server answers again.
func FuzzWake(f *testing.F) {
	for _, s := range []string{"", "{", "null", "[]", `{"real":"172.21.14.201","missed":"2026-11-22T14:00:00Z","tookSeconds":[8.5,-1,1e300]}`, `{"real":7}`} {
		f.Add([]byte(s))
	}
	dir, real := f.TempDir(), netip.MustParseAddr("172.21.14.201")
	path := filepath.Join(dir, "wake-172.21.14.201.json")
	f.Fuzz(func(t *testing.T, text []byte) {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		w := record.Wakes{Dir: dir}
		if err := w.Missed(real); err != nil || w.Proved(real) {
			t.Fatalf("missed: %v, proved %v", err, w.Proved(real))
		}
		if err := w.Woke(real, time.Second); err != nil || !w.Proved(real) {
			t.Fatalf("woke: %v, proved %v", err, w.Proved(real))
		}
		if r, err := record.ReadWake(nil, path); err != nil || r.Real != real || len(r.TookSeconds) == 0 || len(r.TookSeconds) > 20 {
			t.Errorf("%+v, %v", r, err)
		}
	})
}

// FuzzLastCycle: a damaged last cycle is an error, or what was written again.
func FuzzLastCycle(f *testing.F) {
	for _, s := range []string{"", "{", "null", `{"at":"2026-11-22T14:00:00Z","groups":{"Mail":{"ls":40}}}`} {
		f.Add([]byte(s))
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, text []byte) {
		path := record.LastCycleFile(dir)
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := record.ReadLastCycle(nil, dir)
		if err != nil {
			return
		}
		if err := record.Write(nil, path, c); err != nil {
			return // a time that JSON cannot spell
		}
		if _, err := record.ReadLastCycle(nil, dir); err != nil {
			t.Errorf("what was written cannot be read: %v", err)
		}
	})
}
