package scenario

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
)

var (
	seeds  = flag.Int("seeds", 12, "campaigns to play")
	seed   = flag.Int("seed", -1, "play this one campaign alone")
	logDir = flag.String("logs", "", "keep the logs of failing campaigns in this directory")
)

// Random loads, faults, kills and hand edits for ten minutes; when they are
// over all is as it was at the beginning.
func TestCampaign(t *testing.T) {
	first, last := 0, *seeds
	if *seed >= 0 {
		first, last = *seed, *seed+1
	}
	for n := first; n < last; n++ {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			log := ""
			defer func() { keep(t, n, log) }()
			conf := tempDir(t)
			layOut(t, filepath.Join(conf, "conf"), n)
			synctest.Test(t, func(t *testing.T) {
				c := NewCampaign(uint64(n))
				w, err := NewInMemory(conf, c.Vary)
				if err != nil {
					t.Fatal(err)
				}
				defer w.Close()
				if err := c.Play(w); err != nil {
					t.Errorf("%v\nagain: go test -tags libvirt_dlopen ./pkg/scenario -run Campaign -seed %d", err, n)
				}
				log = w.Log()
			})
		})
	}
}

// layOut writes the system of a campaign: every third is the paper's.
func layOut(t *testing.T, conf string, n int) {
	if n%3 == 0 {
		copyConf(t, paper, conf)
		return
	}
	settings, err := os.ReadFile(filepath.Join(paper, "settings.toml"))
	if err == nil {
		err = WriteTopology(conf, uint64(n), string(settings))
	}
	if err != nil {
		t.Fatal(err)
	}
}

// keep shows or stores the log of a failing campaign.
func keep(t *testing.T, n int, log string) {
	switch {
	case *logDir != "" && (t.Failed() || *seed >= 0):
		if err := os.WriteFile(filepath.Join(*logDir, fmt.Sprintf("campaign-%d.log", n)), []byte(log), 0o644); err != nil {
			t.Error(err)
		}
	case t.Failed():
		lines := strings.Split(log, "\n")
		t.Log("the end of its log (-logs DIR keeps it whole):\n" + strings.Join(lines[max(0, len(lines)-60):], "\n"))
	}
}
