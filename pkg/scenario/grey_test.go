package scenario

import (
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/settings"
	"pss-msbs/pkg/sim"
)

// isGrey reports whether an event only makes something slow, or late.
func isGrey(c Command) bool {
	return slices.Contains([]string{"path", "stop", "starve"}, c.Do[0]) ||
		c.Do[0] == "fault" && slices.Contains([]string{sim.Overload, sim.VMStall, sim.RealTaken, sim.Late}, c.Do[1])
}

// The draws of what gets slow leave all others of a seed as they were.
func TestGreyDrawsChangeNoOthers(t *testing.T) {
	dir := tempDir(t)
	copyConf(t, paper, filepath.Join(dir, "conf"))
	synctest.Test(t, func(t *testing.T) {
		w, err := New(dir, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		tables, err := w.Tables()
		if err != nil {
			t.Fatal(err)
		}
		none, verbs := 0, map[string]int{}
		for seed := range uint64(200) {
			drawn := func(grey uint64) (slow, rest []Command) {
				for _, c := range Draw(rand.New(rand.NewPCG(seed, 3)), rand.New(rand.NewPCG(seed, grey)), rand.New(rand.NewPCG(seed, grey+2)), w, tables) {
					if isGrey(c) {
						slow = append(slow, c)
					} else {
						rest = append(rest, c)
					}
				}
				return slow, rest
			}
			slow, rest := drawn(7)
			if _, others := drawn(8); Text(rest) != Text(others) {
				t.Fatalf("seed %d: grey draws change\n%s to\n%s", seed, Text(rest), Text(others))
			}
			if again, _ := drawn(7); Text(again) != Text(slow) {
				t.Fatalf("seed %d draws\n%s, then\n%s", seed, Text(slow), Text(again))
			}
			if len(slow) == 0 {
				none++
			}
			for _, c := range slow {
				verbs[strings.Join(c.Do[:min(2, len(c.Do))], " ")]++
				if back, err := parse(strings.TrimSpace(c.text)); err != nil || back.At != c.At || !slices.Equal(back.Do, c.Do) {
					t.Errorf("%q is read as %+v (%v)", c.text, back, err)
				}
			}
		}
		if none < 10 || none > 45 {
			t.Errorf("nothing slow or late in %d of 200 seeds, want about 25", none)
		}
		for _, want := range []string{"fault overload", "fault rs-taken", "fault vm-stall", "path M1", "path management", "stop pss", "starve all", "fault late"} {
			if verbs[want] == 0 {
				t.Errorf("%q is never drawn: %v", want, verbs)
			}
		}
	})
}

// Every event that may be drawn can be done.
func TestGreyDrawsCanBeDone(t *testing.T) {
	inWorld(t, func(t *testing.T, w *World, _ *points) {
		d := &drawer{rnd: rand.New(rand.NewPCG(1, 2)), reals: w.reals(), guests: []string{"M1", "W1", "F2"}, programs: []string{"dbss M1", "sif M1", "pss"}}
		for range 100 {
			d.greyEvent(0)
		}
		c := &Campaign{w: w, hold: map[string]hold{}}
		for _, e := range d.out {
			err := c.command(e.Do)
			if err != nil && !strings.Contains(err.Error(), "held already") && !strings.Contains(err.Error(), "does not run") {
				t.Errorf("%s: %v", e.text, err)
			}
		}
	})
}

func TestBackgroundOfCampaigns(t *testing.T) {
	lossy, jittery, slow := 0, 0, 0
	for seed := range uint64(300) {
		var spec sim.Spec
		c := &Campaign{Seed: seed}
		set := settings.Default()
		c.Vary(&set, &spec)
		if p := spec.Path; p.LossOut > 0 {
			lossy++
			if p.LossOut < 0.01 || p.LossOut > 0.1 || p.LossBack < 0.01 || p.LossBack > 0.1 {
				t.Errorf("seed %d: %+v", seed, p)
			}
		} else if p.Jitter > 0 {
			jittery++
			if p.Jitter > 300*time.Millisecond {
				t.Errorf("seed %d: %+v", seed, p)
			}
		}
		if spec.Times.BusyGreet > 0 {
			slow++
		}
		if spec.Seed != seed {
			t.Errorf("seed %d: the fleet has %d", seed, spec.Seed)
		}
	}
	if lossy < 30 || lossy > 70 || jittery < 30 || jittery > 70 || slow < 75 || slow > 125 {
		t.Errorf("of 300 seeds %d are lossy, %d jittery, %d slow; want 50, 50, 100", lossy, jittery, slow)
	}
}

// A program may be stopped at the nth of its points from now.
func TestHoldAtAPoint(t *testing.T) {
	c := &Campaign{hold: map[string]hold{}}
	if err := c.holdAt(strings.Fields("starve dbss M1 at 3 for 4s")); err != nil {
		t.Fatal(err)
	}
	var got []hold
	for range 5 {
		got = append(got, c.heldNow("dbss M1"))
	}
	if want := []hold{{}, {}, {0, "starve", 4 * time.Second}, {}, {}}; !slices.Equal(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	if c.heldNow("dbss W1") != (hold{}) {
		t.Error("another program is held")
	}
	for _, bad := range []string{"stop dbss M1 at noon for 4s", "stop dbss M1 at 3 for ever"} {
		if c.holdAt(strings.Fields(bad)) == nil {
			t.Errorf("took %q", bad)
		}
	}
}

// A campaign fails on harm.
func TestHarmIsJudged(t *testing.T) {
	inWorld(t, func(t *testing.T, w *World, _ *points) {
		c := &Campaign{w: w}
		if err := c.judged(); err != nil {
			t.Fatal(err)
		}
		d := w.dats.Servers[w.dirs.Dat("M1")]
		if err := w.Model.SetLink(w.ctx, guestOf(d), false); err != nil {
			t.Fatal(err)
		}
		if err := c.judged(); err == nil || !strings.HasPrefix(err.Error(), "harm cut-off") {
			t.Errorf("judged: %v", err)
		}
	})
}

func guestOf(d server) cluster.Guest { return cluster.Guest{Host: d.Host, IP: d.IP, Real: d.Real} }
