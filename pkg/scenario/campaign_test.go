package scenario

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

var (
	seeds    = flag.Int("seeds", 12, "campaigns to play")
	first    = flag.Int("first", 0, "the first of them")
	seed     = flag.Int("seed", -1, "play this one campaign alone")
	schedule = flag.String("schedule", "", "with -seed: play this file's events instead of those of the seed")
	logDir   = flag.String("logs", "", "keep the logs of failing campaigns in this directory")
	workers  = flag.Int("workers", 0, "processes that play; 0 means one for each processor")
	worker   = flag.Bool("worker", false, "play the seeds that come on standard input")
)

// Random systems under random loads, faults, kills, hand edits and troubles of
// disk and replies for five minutes; at every instant and when they are over
// all is as SPEC 10 wants it.
func TestCampaign(t *testing.T) {
	switch {
	case *worker:
		work(t)
	case *seed >= 0:
		one(t, uint64(*seed))
	default:
		campaigns(t)
	}
}

// course is one campaign that was played.
type course struct {
	script []Command
	log    string
	took   time.Duration // of virtual time
	err    error
}

// play plays a seed, or events of a part of it.
func play(t *testing.T, n uint64, script []Command) course {
	dir, err := os.MkdirTemp(memory(), "pss-msbs-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	layOut(t, filepath.Join(dir, "conf"), n)
	out := course{}
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		c := &Campaign{Seed: n, Script: script}
		w, err := New(dir, c.Vary)
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		err = c.Play(w)
		out = course{script: c.Script, took: time.Since(begun), err: err}
		if err != nil || *seed >= 0 && *logDir != "" {
			out.log = w.Log()
		}
	})
	return out
}

// memory is a directory in memory where there is one: a campaign is not about
// the disk.
func memory() string {
	if _, err := os.Stat("/dev/shm"); err == nil {
		return "/dev/shm"
	}
	return ""
}

// layOut writes the system of a campaign: every third is the paper's.
func layOut(t *testing.T, conf string, seed uint64) {
	if seed%3 == 0 {
		copyConf(t, paper, conf)
		return
	}
	settings, err := os.ReadFile(filepath.Join(paper, "settings.toml"))
	if err == nil {
		err = WriteTopology(conf, seed, string(settings))
	}
	if err != nil {
		t.Fatal(err)
	}
}

// one plays one seed and tells all about it.
func one(t *testing.T, seed uint64) {
	var script []Command
	if *schedule != "" {
		var err error
		if script, err = ReadSchedule(*schedule); err != nil {
			t.Fatal(err)
		}
	}
	c := play(t, seed, script)
	keep(t, seed, c)
	t.Logf("seed %d: %d events, %v of virtual time", seed, len(c.script), c.took.Round(time.Second))
	if c.err != nil {
		t.Errorf("seed %d: %v%s", seed, c.err, end(c.log))
	}
}

// keep stores log and schedule where they are wanted.
func keep(t *testing.T, seed uint64, c course) {
	if *logDir == "" {
		return
	}
	for suffix, text := range map[string]string{"log": c.log, "schedule": Text(c.script)} {
		if err := os.WriteFile(filepath.Join(*logDir, fmt.Sprintf("campaign-%d.%s", seed, suffix)), []byte(text), 0o644); err != nil {
			t.Error(err)
		}
	}
}

// end is the end of a log.
func end(log string) string {
	lines := strings.Split(log, "\n")
	return "\nthe end of its log (-logs DIR keeps it whole):\n" + strings.Join(lines[max(0, len(lines)-40):], "\n")
}

// again is how a seed, or a part of its events, is played again.
func again(seed uint64, schedule string) string {
	cmd := fmt.Sprintf("go test -tags libvirt_dlopen ./pkg/scenario -run 'Campaign$' -count=1 -v -seed %d", seed)
	if schedule != "" {
		cmd += " -schedule " + schedule
	}
	return cmd
}

// shrinkTime is how long a failing schedule is made smaller.
const shrinkTime = 40 * time.Second

// shrink is a smaller schedule that fails too. A failure that needs luck may
// not come again; then nothing is dropped.
func shrink(t *testing.T, seed uint64, c course) []Command {
	end := time.Now().Add(shrinkTime)
	return Shrink(c.script, func(part []Command) bool { return Alike(play(t, seed, slices.Clone(part)).err, c.err) },
		func() bool { return time.Now().Before(end) })
}

// lazy lets garbage grow: a system in virtual time makes much of it and keeps little.
func lazy() { debug.SetGCPercent(400) }
