package status_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"pss-msbs/pkg/doubt"
	"pss-msbs/pkg/pss/status"
)

// braked is a fleet in a storm, its resets used up.
func braked() status.Input {
	in := input()
	in.Brakes = status.Brakes{
		Doubts: []doubt.Doubt{
			{Target: "M2", Group: "Mail", Kind: doubt.Silent, Phi: 6.25, Evidence: "4 pings lost, host answers", Since: now.Add(-2 * time.Second)},
			{Target: "RS3", Kind: doubt.Silent, Phi: 3, Since: now},
			{Target: "W1", Group: "Web", Kind: doubt.Overloaded, Since: now},
		},
		Storm:  doubt.Storm{On: true, Doubtful: 3, Causes: 3, Targets: 6, Since: now, Until: now.Add(time.Minute)},
		Resets: status.Resets{Left: 0, Limit: 3, Window: 600, Due: now.Add(time.Minute)},
		Faults: []string{"cannot read the doubt of F1: why not"},
	}
	return in
}

func TestBrakesInWords(t *testing.T) {
	var b strings.Builder
	if err := status.Make(braked()).Write(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"M2        Mail   silent      6.2  2026-11-22 14:47:47  4 pings lost, host answers\n",
		"RS3       -      silent      3.0  2026-11-22 14:47:49  -\n",
		"resets left: 0 of 3 within 10m0s\n",
		"warning: storm since 2026-11-22 14:47:49: 3 of 6 servers are doubtful, by 3 causes; takeovers without certain evidence wait until 2026-11-22 14:48:49 at the latest\n",
		"warning: W1 is overloaded since 2026-11-22 14:47:49, Web grows no lighter\n",
		"warning: no reset is left until 2026-11-22 14:48:49: what freezes is left to its backup\n",
		"warning: cannot read the doubt of F1: why not\n",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is missing in\n%s", want, &b)
		}
	}
	var quiet strings.Builder
	if err := status.Make(input()).Write(&quiet); err != nil {
		t.Fatal(err)
	}
	for _, no := range []string{"DOUBTFUL", "storm", "reset is left"} {
		if strings.Contains(quiet.String(), no) {
			t.Errorf("a healthy fleet has %q in\n%s", no, &quiet)
		}
	}
}

func TestBrakesInJSON(t *testing.T) {
	b, err := json.Marshal(status.Make(braked()))
	if err != nil {
		t.Fatal(err)
	}
	var r struct {
		Doubts []struct {
			Target, Kind, Evidence string
			Phi                    float64
			Since                  time.Time
		}
		Storm  struct{ On bool }
		Resets struct{ Left, Limit int }
	}
	if err := json.Unmarshal(b, &r); err != nil {
		t.Fatal(err)
	}
	if len(r.Doubts) != 3 || r.Doubts[0].Target != "M2" || r.Doubts[0].Phi != 6.25 || r.Doubts[0].Kind != "silent" ||
		r.Doubts[0].Evidence == "" || !r.Doubts[0].Since.Equal(now.Add(-2*time.Second)) || !r.Storm.On || r.Resets.Limit != 3 {
		t.Errorf("%+v of %s", r, b)
	}
}
