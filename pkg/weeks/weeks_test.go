package weeks

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"pss-msbs/pkg/replay"
	"pss-msbs/pkg/settings"
)

// TestSavings pins what the defaults promise: nine tenths of what hindsight saves,
// at no more than twenty shifts a day over three groups (make energy: ten weeks).
func TestSavings(t *testing.T) {
	for _, seed := range []uint64{4, 7} { // the hardest two of them
		plan, in := Paper(settings.Default(), time.Minute)
		week := Week(plan, seed)
		got, best := replay.Run(in, week).Summary, replay.Hindsight(in, week)
		if ratio := got.SavedPercent / best.SavedPercent; !(ratio >= 0.9) || got.ShiftsADay > 20 {
			t.Errorf("seed %d: saved %.1f %% of %.1f %%, %.1f shifts a day", seed, got.SavedPercent, best.SavedPercent, got.ShiftsADay)
		}
	}
}

// TestWeek: the same seed gives the same week, another one another; nothing is
// beyond what a server has; the weekend and the night are no working day.
func TestWeek(t *testing.T) {
	plan, _ := Paper(settings.Default(), 10*time.Minute)
	week := Week(plan, 1)
	if !reflect.DeepEqual(week, Week(plan, 1)) || reflect.DeepEqual(week, Week(plan, 2)) {
		t.Error("a seed does not tell its week")
	}
	var csv strings.Builder
	if err := replay.WriteTrace(&csv, week); err != nil {
		t.Fatal(err)
	}
	if read, err := replay.ReadTrace("week.csv", strings.NewReader(csv.String())); err != nil || !reflect.DeepEqual(read, week) {
		t.Errorf("a week is not read as it was written: %v", err)
	}
	if len(week) != 7*24*6 || len(week[0].Rows) != 6 {
		t.Fatalf("%d cycles of %d rows", len(week), len(week[0].Rows))
	}
	least, most := 100.0, 0.0
	for _, c := range week {
		for host, r := range c.Rows {
			if v := r.Reading; v.MemKB < 0 || v.MemKB > plan.Size.MemKB || v.CPUPercent < 0 || v.CPUPercent > 100 || v.NetKBs < 0 || v.NetKBs > plan.Size.NetKBs || r.Accesses < 0 {
				t.Fatalf("%s at %s: %+v", host, c.Time, r)
			}
			least, most = min(least, r.Reading.CPUPercent), max(most, r.Reading.CPUPercent)
		}
	}
	if least > 20 || most < 60 {
		t.Errorf("from %v to %v %% only", least, most)
	}
}
