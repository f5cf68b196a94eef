package record_test

import (
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/pss/record"
)

var real = netip.MustParseAddr("172.21.14.203")

// Missed, answered again, woken: only in between may it not sleep.
func TestWakes(t *testing.T) {
	w := record.Wakes{Dir: t.TempDir()}
	if !w.Proved(real) {
		t.Error("a server never woken may not sleep")
	}
	ok(t, w.Missed(real))
	if w.Proved(real) {
		t.Error("a missed wake is forgotten")
	}
	ok(t, w.Woke(real, 0))
	for n := range 25 {
		ok(t, w.Woke(real, time.Duration(n)*time.Second))
	}
	r, err := record.ReadWake(nil, filepath.Join(w.Dir, "wake-172.21.14.203.json"))
	if err != nil || !w.Proved(real) || r.Real != real || len(r.TookSeconds) != 20 || r.TookSeconds[19] != 24 {
		t.Errorf("%+v, %v", r, err)
	}
}

// A damaged record does not keep a server awake, and is begun anew.
func TestDamagedWake(t *testing.T) {
	w := record.Wakes{Dir: t.TempDir()}
	ok(t, os.WriteFile(filepath.Join(w.Dir, "wake-172.21.14.203.json"), []byte(`{"real`), 0o600))
	if !w.Proved(real) {
		t.Error("kept awake")
	}
	if ok(t, w.Missed(real)); w.Proved(real) {
		t.Error("not begun anew")
	}
}

// A damaged record, or one of another guest, is of no start.
func TestStarts(t *testing.T) {
	s := record.Starts{Dir: t.TempDir()}
	ms := cluster.Guest{Host: "Ms", IP: netip.MustParseAddr("172.21.14.51"), Real: real}
	ok(t, s.Add(ms))
	for name, text := range map[string]string{"start-Ws.json": `{"Host":"Ms"}`, "start-Fs.json": "{", "wake-x.json": "{}"} {
		ok(t, os.WriteFile(filepath.Join(s.Dir, name), []byte(text), 0o600))
	}
	if all, err := s.All(); err != nil || len(all) != 1 || all[0] != ms {
		t.Errorf("%+v, %v", all, err)
	}
	ok(t, s.Remove("Ms"))
	ok(t, s.Remove("Ms"))
	if all, err := s.All(); err != nil || len(all) != 0 {
		t.Errorf("%+v, %v", all, err)
	}
}

func TestLastCycle(t *testing.T) {
	dir := t.TempDir()
	if _, err := record.ReadLastCycle(nil, dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no cycle: %v", err)
	}
	ok(t, record.Write(nil, record.LastCycleFile(dir), record.LastCycle{PID: 7, Groups: []record.GroupLoad{{Group: "Mail", Ls: 12.5}}}))
	c, err := record.ReadLastCycle(nil, dir)
	if err != nil || c.PID != 7 || c.Groups[0].Ls != 12.5 {
		t.Errorf("%+v, %v", c, err)
	}
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
