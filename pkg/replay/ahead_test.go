package replay

import (
	"slices"
	"testing"
	"time"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/settings"
)

// looking is webFTP by the defaults, in PS2 after a window of 20 s.
func looking() Input {
	in := webFTP()
	in.Settings = settings.Default()
	in.Settings.Class.PS2Window = settings.Duration(20 * time.Second)
	in.Settings.Group["FTP"] = settings.Group{Type: cluster.Network, Class: in.Settings.Class}
	return in
}

// published is looking by the published rules.
func published() Input {
	in := looking()
	in.Settings.Class.LookAhead = false
	in.Settings.Group["FTP"] = settings.Group{Type: cluster.Network, Class: in.Settings.Class}
	return in
}

// course is n cycles of ten seconds of all four servers.
func course(t *testing.T, n int, at func(i int) (percent, accesses float64)) []Cycle {
	var rows []string
	for i := range n {
		p, a := at(i)
		rows = append(rows, all(10*i, p, a))
	}
	return read(t, rows...)
}

// TestOscillation: two servers at 28 % are light and one at 42 % is moderate where
// that begins at 35 %. The published rules go round and round, ours stay in PS1
// and say why.
func TestOscillation(t *testing.T) {
	trace := course(t, 6*60, func(int) (float64, float64) { return 28, 0 })
	low := func(in Input) Input {
		in.Settings.Class.Moderate = 35
		in.Settings.Group["FTP"] = settings.Group{Type: cluster.Network, Class: in.Settings.Class}
		return in
	}
	before, now := Run(low(published()), trace), Run(low(looking()), trace)
	if before.Summary.Shifts < 100 || now.Summary.Shifts != 2 || before.Summary.NotRedundant == 0 || now.Summary.NotRedundant != 0 {
		t.Errorf("published %+v, looking ahead %+v", before.Summary, now.Summary)
	}
	last := now.Cycles[len(now.Cycles)-1].Groups["Web"]
	if last.Refused != "would be moderate: 42 %" || last.Condition != cluster.PS1 || last.String() != "light 28.00 Light(PS1), would be moderate: 42 %" {
		t.Errorf("at last %+v, %q", last, last)
	}
}

// TestAccessesComeAndGo: each burst of accesses ends PS2, and each time it takes
// longer until the group gives up its redundancy again.
func TestAccessesComeAndGo(t *testing.T) {
	trace := course(t, 6*60*12, func(i int) (float64, float64) {
		if i%60 < 6 { // a minute of every ten
			return 10, 99
		}
		return 10, 0
	})
	before, now := Run(published(), trace).Summary, Run(looking(), trace).Summary
	if before.ShiftsADay < 500 || now.ShiftsADay > 60 || now.SavedPercent < 25 {
		t.Errorf("published %+v, looking ahead %+v", before, now)
	}
}

// TestStaysAwakeForAFailure: RS3 sleeps only where its absence leaves no group in
// PS1 that a failure would overload.
func TestStaysAwakeForAFailure(t *testing.T) {
	trace := course(t, 60, func(i int) (float64, float64) { return 28, 99 })
	in := looking()
	in.Settings.Class.FailureLoad = 40
	if got := Run(in, trace).Cycles[59]; got.Watts != 84 || got.Groups["Web"].Condition != cluster.PS1 {
		t.Errorf("got %+v", got)
	}
	in.Settings.Class.FailureLoad = 45 // memory 28 %, the rest of both: 42 %
	in.Backups = map[string]string{"W1": "Wb", "W2": "Wb2", "F1": "Fb", "F2": "Fb2"}
	if got := Run(in, trace).Cycles[59]; got.Watts != 59 {
		t.Errorf("got %+v", got)
	}
}

// TestHindsight is worked out by hand: no cycle waits for anything.
func TestHindsight(t *testing.T) {
	p := func(i int) (float64, float64) {
		return []float64{20, 20, 20, 60, 40, 20}[i], []float64{0, 0, 0, 0, 0, 99}[i]
	}
	got := Hindsight(webFTP(), course(t, 6, p))
	// PS2 needs a window of 20 s. 84 W always on; 59 59 34 84 59 59 W.
	want := Summary{EnergyWh: 354.0 / 360, AlwaysOnWh: 84.0 / 60, Shifts: 2 + 0 + 2 + 2 + 2 + 0, alone: 20 * time.Second}
	want.finish(time.Minute)
	near := func(a, b float64) bool { return a-b < 1e-9 && b-a < 1e-9 }
	if !near(got.EnergyWh, want.EnergyWh) || !near(got.AlwaysOnWh, want.AlwaysOnWh) || got.Shifts != want.Shifts || !near(got.NotRedundant, want.NotRedundant) ||
		!near(got.SavedPercent, want.SavedPercent) || !near(got.ShiftsADay, want.ShiftsADay) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// TestPaperProfile: with it nothing is looked at but the load as it is.
func TestPaperProfile(t *testing.T) {
	trace := course(t, 360, func(i int) (float64, float64) { return []float64{28, 45, 60, 28, 28, 28, 28, 28}[i%8], float64(i % 12) })
	a, b := published(), published()
	a.Settings = settings.Default().WithProfile(settings.Paper)
	a.Settings.Class.PS2Window = b.Settings.Class.PS2Window
	a.Settings.Group["FTP"] = settings.Group{Type: cluster.Network, Class: a.Settings.Class}
	same := slices.EqualFunc(Run(a, trace).Cycles, Run(b, trace).Cycles, func(a, b CycleResult) bool { return a.Watts == b.Watts })
	if !same || a.Settings.Class.LookAhead {
		t.Error("profile paper looks ahead")
	}
}
