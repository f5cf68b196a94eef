package doubt_test

import (
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"pss-msbs/pkg/doubt"
)

func board(t *testing.T) *doubt.Board {
	return &doubt.Board{Dir: t.TempDir(), Fleet: func() doubt.Fleet { return doubt.Fleet{Homes: 6, Reals: 3} },
		Brake: doubt.Brake{Share: 0.5, Least: 3, Window: 10 * time.Second, Longest: time.Minute}}
}

func doubtOf(name string) doubt.Doubt {
	return doubt.Doubt{Target: name, Group: "Mail", Kind: doubt.Silent, Host: host(201), Phi: 4, Evidence: "3 pings lost", Since: time.Now()}
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func files(t *testing.T, dir string) int {
	t.Helper()
	entries, err := os.ReadDir(dir)
	ok(t, err)
	return len(entries)
}

func TestPostAndClear(t *testing.T) {
	b := board(t)
	want := doubtOf("M1")
	ok(t, b.Post(want))
	got, err := b.Read()
	if err != nil || len(got) != 1 {
		t.Fatalf("%+v, %v", got, err)
	}
	d := got[0]
	if d.Target != "M1" || d.Kind != want.Kind || d.Phi != 4 || d.Evidence != want.Evidence || d.Host != want.Host || !d.Since.Equal(want.Since) || d.PID != os.Getpid() || d.At.IsZero() {
		t.Errorf("%+v", d)
	}
	ok(t, b.Clear("M1"))
	if got, err := b.Read(); err != nil || len(got) != 0 || files(t, b.Dir) != 0 {
		t.Errorf("cleared: %+v, %v", got, err)
	}
}

// A monitor that posts at each of its looks writes when it has news.
func TestWritesOnlyNews(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, d := board(t), doubtOf("M1")
		at := func() time.Time {
			got, err := b.Read()
			if err != nil || len(got) != 1 {
				t.Fatalf("%+v, %v", got, err)
			}
			return got[0].At
		}
		ok(t, b.Post(d))
		first := at()
		time.Sleep(100 * time.Millisecond)
		d.Phi = 9
		if ok(t, b.Post(d)); !at().Equal(first) {
			t.Error("φ was written twice within a second")
		}
		d.HostSilent = true
		if ok(t, b.Post(d)); at().Equal(first) {
			t.Error("a new cause was kept back")
		}
		second := at()
		time.Sleep(time.Minute)
		d.Phi = 9.5
		if ok(t, b.Post(d)); !at().Equal(second) {
			t.Error("what is not new was written")
		}
		time.Sleep(doubt.Stale / 2)
		if ok(t, b.Post(d)); at().Equal(second) {
			t.Error("the post was let grow stale")
		}
		time.Sleep(doubt.Stale + time.Second)
		if got, err := b.Read(); err != nil || len(got) != 0 {
			t.Errorf("stale, and yet %+v, %v", got, err)
		}
	})
}

// A healthy fleet writes nothing and, after the first look, asks the disk nothing.
func TestHealthyMonitorIsQuiet(t *testing.T) {
	b := board(t)
	ok(t, b.Clear("M1"))
	b.Dir = filepath.Join(b.Dir, "gone")
	ok(t, os.WriteFile(b.Dir, nil, 0o600)) // removing what lies in it would fail
	ok(t, b.Clear("M1"))
	if err := b.Clear("M2"); err == nil {
		t.Error("the test asks for nothing: a first look went well too")
	}
}

// What a monitor before this one left is cleared too.
func TestClearAfterRestart(t *testing.T) {
	b := board(t)
	ok(t, b.Post(doubtOf("M1")))
	next := &doubt.Board{Dir: b.Dir}
	if ok(t, next.Clear("M1")); files(t, b.Dir) != 0 {
		t.Error("left behind")
	}
}

func TestDeadMonitor(t *testing.T) {
	b := board(t)
	child := exec.Command("sleep", "60")
	ok(t, child.Start())
	other := &doubt.Board{Dir: b.Dir, PID: child.Process.Pid}
	ok(t, other.Post(doubtOf("M1")))
	if got, err := b.Read(); err != nil || len(got) != 1 {
		t.Errorf("while it lives: %+v, %v", got, err)
	}
	ok(t, child.Process.Signal(syscall.SIGKILL))
	_ = child.Wait()
	if got, err := b.Read(); err != nil || len(got) != 0 {
		t.Errorf("after its death: %+v, %v", got, err)
	}
}

// One post that cannot be read hides no other, and hangs nobody.
func TestUnreadablePosts(t *testing.T) {
	b := board(t)
	ok(t, b.Post(doubtOf("M1")))
	at := func(name string) string { return filepath.Join(b.Dir, "doubt-"+name+".json") }
	ok(t, os.WriteFile(at("W1"), []byte("{"), 0o600))
	ok(t, os.WriteFile(at("W2"), []byte(`{"target":"M9","kind":"silent"}`), 0o600))
	ok(t, os.WriteFile(at("F1"), []byte(strings.Repeat(" ", 1<<20)), 0o600))
	ok(t, syscall.Mkfifo(at("F2"), 0o600))
	ok(t, os.Mkdir(at("M2"), 0o700))
	ok(t, os.WriteFile(filepath.Join(b.Dir, "doubt-..json"), []byte("{"), 0o600)) // no name: not ours
	got, err := b.Read()
	if len(got) != 1 || got[0].Target != "M1" || err == nil {
		t.Fatalf("%+v, %v", got, err)
	}
	for _, name := range []string{"W1", "W2", "F1", "F2", "M2"} {
		if !strings.Contains(err.Error(), "the doubt of "+name+":") {
			t.Errorf("%s is not named in %v", name, err)
		}
	}
}

// Whatever a guest has said, a post can be written, and printed.
func TestTidy(t *testing.T) {
	b := board(t)
	for _, phi := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		d := doubtOf("M1")
		d.Phi, d.Evidence = phi, "a\x1b[2J\n\xff"+strings.Repeat("é", 10000)
		ok(t, b.Post(d))
		got, err := b.Read()
		if err != nil || len(got) != 1 || len([]rune(got[0].Evidence)) != 300 || strings.ContainsAny(got[0].Evidence, "\x1b\n") {
			t.Errorf("%+v, %v", got, err)
		}
		ok(t, b.Clear("M1"))
	}
	for _, name := range []string{"", "../M1", "a/b", "."} {
		d := doubtOf(name)
		if b.Post(d) == nil || b.Clear(name) == nil {
			t.Errorf("%q was taken for a name", name)
		}
	}
}

func TestStorm(t *testing.T) {
	b := board(t)
	for i, name := range []string{"M1", "F1", "W2"} {
		if s, err := b.Storm(); err != nil || s.On || s.Doubtful != i {
			t.Errorf("%d doubts: %+v, %v", i, s, err)
		}
		d := doubtOf(name)
		d.Host = host(homes[name])
		ok(t, (&doubt.Board{Dir: b.Dir}).Post(d))
	}
	if s, err := b.Storm(); err != nil || !s.On || s.Targets != 6 {
		t.Errorf("%+v, %v", s, err)
	}
	ok(t, b.Clear("W2"))
	if s, err := b.Storm(); err != nil || s.On {
		t.Errorf("one is sound again: %+v, %v", s, err)
	}
}

func TestFleetOf(t *testing.T) {
	if n := doubt.FleetOf("../../testdata/paper"); n != (doubt.Fleet{Homes: 6, Reals: 3}) {
		t.Errorf("%+v, want the six servers with a VIP of their own, on three", n)
	}
}
