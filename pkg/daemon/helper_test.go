package daemon

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"pss-msbs/pkg/clock"
)

// helperEnv makes this test binary, run under the name of one of our programs,
// behave as its value says.
const helperEnv = "PSS_TEST_HELPER"

func TestMain(m *testing.M) {
	if mode := os.Getenv(helperEnv); mode != "" {
		os.Exit(helper(mode))
	}
	os.Exit(m.Run())
}

type helperFlags struct {
	Dirs
	Target  string
	ReadyFD int `name:"ready-fd"`
	LifeFD  int `name:"life-fd"`
	LockFD  int `name:"lock-fd"`
	Spare   bool
	Adopt   int
	Socket  string `name:"companion"`
	Dat     string `arg:"" optional:""`
}

// helper is a child process.
func helper(mode string) int {
	var f helperFlags
	if _, err := Parse("helper", "", &f, os.Args[1:]); err != nil {
		return say(err)
	}
	ctx, cancel := WithLife(context.Background(), f.LifeFD)
	defer cancel()
	switch mode {
	case "dies":
		fmt.Fprintln(os.Stderr, "sif: cannot do it: no luck")
		return ExitFailed
	case "silent":
		<-ctx.Done()
		return ExitFailed
	case "listens": // as sif does
		l, err := Listen(f.SifSocket(f.Target))
		if err != nil {
			return say(err)
		}
		_ = os.WriteFile(filepath.Join(f.Dirs.Run, "args"), fmt.Append(nil, f.Spare, " ", f.Adopt), 0o600)
		go hangUp(l)
	case "monitors": // as dbss does
		lock, err := OS{Dirs: f.Dirs, LockFD: f.LockFD}.Lock("M1")
		if err != nil {
			return say(err)
		}
		defer lock.Close()
		c, err := In(f.Dirs).ServeControl("dbss", "M1", cancel)
		if err != nil {
			return say(err)
		}
		defer c.Close()
	}
	if err := Ready(f.ReadyFD); err != nil {
		return say(err)
	}
	<-ctx.Done()
	return ExitDone
}

// hangUp answers every request and keeps connections open, as a sif does.
func hangUp(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			for in := bufio.NewScanner(c); in.Scan(); { // a request
				_, _ = c.Write([]byte(`{"ok":true}` + "\n"))
			}
			c.Close()
		}()
	}
}

func say(err error) int {
	fmt.Fprintln(os.Stderr, err)
	return ExitFailed
}

// testDirs are directories with a short path, as sockets need.
func testDirs(t *testing.T) Dirs {
	t.Helper()
	root, err := os.MkdirTemp("", "pd")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(root) })
	d := Dirs{Conf: root + "/c", Run: root + "/r", State: root + "/s", Log: root + "/l"}
	if err := d.Prepare(); err != nil {
		t.Fatal(err)
	}
	return d
}

// programs puts helpers named as our programs on PATH.
func programs(t *testing.T, mode string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, p := range []string{"sif", "dbss"} {
		if err := os.Symlink(self, filepath.Join(dir, p)); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", dir)
	t.Setenv(helperEnv, mode)
}

// eventually waits until ok, or fails after 10 s.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := (clock.Clock{}).Poll(ctx, 5*time.Millisecond, ok); err != nil {
		t.Fatalf("not within 10 s: %s", what)
	}
}
