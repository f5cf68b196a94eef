package clock

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestPublishedClockIsLoaded(t *testing.T) {
	dir := t.TempDir()
	if c, err := Load(dir); err != nil || c != (Clock{}) {
		t.Errorf("none published: %+v, %v", c, err)
	}
	want := Clock{Epoch: time.Date(2026, 11, 22, 14, 0, 0, 0, time.UTC), Speed: 20}
	if err := want.Publish(dir); err != nil {
		t.Fatal(err)
	}
	if c, err := Load(dir); err != nil || c != want {
		t.Errorf("%+v, %v; want %+v", c, err, want)
	}
}

// A damaged clock is refused: waits by it would be endless, or none.
func TestBadClockIsRefused(t *testing.T) {
	for _, text := range []string{"", "{", `{"speed":-1}`, `{"speed":1e-300}`, `{"speed":1e300}`, `{"speed":"fast"}`, `{"speed":20}`} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, File), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if c, err := Load(dir); err == nil {
			t.Errorf("%s gives %+v", text, c)
		}
	}
}

// FuzzLoad: a clock that is accepted measures time forward and waits no longer
// than it says.
func FuzzLoad(f *testing.F) {
	for _, s := range []string{`{"epoch":"2026-11-22T14:47:49Z","speed":20}`, `{}`, `{"speed":1}`, `{"speed":-0.0}`, `{"epoch":"0001-01-01T00:00:00Z","speed":1e9}`, "null"} {
		f.Add([]byte(s))
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, text []byte) {
		if err := os.WriteFile(filepath.Join(dir, File), text, 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := Load(dir)
		if err != nil {
			return
		}
		if w := c.Wall(time.Hour); w <= 0 || w > 1000*time.Hour {
			t.Errorf("%s: an hour takes %v", text, w)
		}
		before := c.Now()
		if err := c.Sleep(context.Background(), time.Nanosecond); err != nil || c.Since(before) < 0 {
			t.Errorf("%s: time runs backward by %v (%v)", text, c.Since(before), err)
		}
	})
}
