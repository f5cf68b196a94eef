package scenario

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"
)

var (
	update = flag.Bool("update", false, "rewrite the expected logs")
	repeat = flag.Int("repeat", 1, "play each scenario so many times")
)

// poll is how often programs of a scenario look at the files.
const poll = 250 * time.Millisecond

const (
	scenarios = "../../testdata/scenarios"
	paper     = "../../testdata/paper"
)

// tempDir is a directory in memory where there is one.
func tempDir(t *testing.T) string {
	dir, err := os.MkdirTemp(memory(), "pss-msbs-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// Each scenario's log must be the expected one: see majority.
func TestScenarios(t *testing.T) {
	dirs, err := filepath.Glob(filepath.Join(scenarios, "*", "cmds"))
	if err != nil || len(dirs) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	lazy()
	for _, cmds := range dirs {
		dir := filepath.Dir(cmds)
		t.Run(filepath.Base(dir), func(t *testing.T) {
			t.Parallel() // each in a bubble of its own
			asExpected(t, dir)
		})
	}
}

// asExpected plays the scenario of a directory and compares the log.
func asExpected(t *testing.T, dir string) {
	script, err := ReadScript(filepath.Join(dir, "cmds"))
	if err != nil {
		t.Fatal(err)
	}
	expect := filepath.Join(dir, "log.expect")
	want, err := os.ReadFile(expect)
	if err != nil && !*update {
		t.Fatal(err)
	}
	if *update {
		want = []byte(updated(string(want), playFolder(t, dir, script)))
		if err := os.WriteFile(expect, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for range *repeat {
		majority(t, dir, script, string(want))
	}
}

// majority plays a scenario, and where its log differs twice more, of which both
// must be as expected: what two programs do at one instant comes in either order,
// and the second may then miss the turn of a poll, which is no moment any more.
func majority(t *testing.T, dir string, script []Command, want string) {
	diff := differ(want, playFolder(t, dir, script))
	if diff == "" {
		return
	}
	t.Logf("the log differs (-want +got), playing twice more:\n%s", diff)
	for range 2 {
		if diff := differ(want, playFolder(t, dir, script)); diff != "" {
			t.Fatalf("the log differs again (-want +got):\n%s", diff)
		}
	}
}

// playFolder plays a scenario and returns its log.
func playFolder(t *testing.T, dir string, script []Command) (log string) {
	conf, own := tempDir(t), filepath.Join(dir, "conf")
	if _, err := os.Stat(filepath.Join(own, "state.conf")); err != nil { // else a system of its own
		copyConf(t, paper, filepath.Join(conf, "conf"))
	}
	copyConf(t, own, filepath.Join(conf, "conf"))
	synctest.Test(t, func(t *testing.T) {
		vary, err := Vary(script)
		if err != nil {
			t.Fatal(err)
		}
		w, err := New(conf, vary)
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		w.Poll = poll
		if err := w.Play(script); err != nil {
			t.Errorf("%v\n%s", err, w.Log())
		}
		if err := w.Judge(); err != nil {
			t.Error(err)
		}
		log = w.Log()
		if err := w.Settled(); err != nil {
			log += fmt.Sprintf("not settled: %v\n", err)
		}
	})
	return log
}

// copyConf lays a directory over another; one that does not exist changes nothing.
func copyConf(t *testing.T, from, to string) {
	entries, err := os.ReadDir(from)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	if err := os.MkdirAll(to, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(from, e.Name()))
		if err == nil {
			err = os.WriteFile(filepath.Join(to, e.Name()), b, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}
