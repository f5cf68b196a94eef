package replay

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"pss-msbs/pkg/diag"
)

const head = "time,host,mem_kb,cpu_percent,net_kb_s,accesses\n"

// TestReadTrace: what a trace may look like.
func TestReadTrace(t *testing.T) {
	for _, c := range []struct {
		name, text, times string
	}{
		{"seconds", head + "0,W1,1,2,3,4\n10.5,W1,1,2,3,4\n", `0 10.5`},
		{"RFC 3339", head + "2026-11-22T14:47:42Z,W1,1,2,3,4\n2026-11-22T14:47:52.5+01:00,W1,1,2,3,4\n", `"2026-11-22T14:47:52.5+01:00" "2026-11-22T14:47:42Z"`},
		{"rows of one time are one cycle", head + "10,W1,1,2,3,4\n0,W1,1,2,3,4\n10,W2,1,2,3,4\n10.0,F1,1,2,3,4\n", `0 10`},
		{"one instant spelled twice", head + "2026-11-22T14:00:00Z,W1,1,2,3,4\n2026-11-22T15:00:00+01:00,W2,1,2,3,4\n", `"2026-11-22T14:00:00Z"`},
		{"no header, CRLF, blanks", "0, W1, 1, 2, 3, 4\r\n\r\n10, W1, 1, 2, 3, 4", `0 10`},
		{"seconds that JSON spells otherwise", head + "+5,W1,1,2,3,4\n010,W1,1,2,3,4\n", `5 10`},
		{"byte order mark", "\ufeff" + head + "0,W1,1,2,3,4\n", `0`},
	} {
		t.Run(c.name, func(t *testing.T) {
			trace, err := ReadTrace("T.csv", strings.NewReader(c.text))
			if err != nil {
				t.Fatal(err)
			}
			var times []string
			for _, y := range trace {
				times = append(times, string(y.Time))
				if r, ok := y.Rows["W1"]; ok && (r.Reading.MemKB != 1 || r.Reading.CPUPercent != 2 || r.Reading.NetKBs != 3 || r.Accesses != 4) {
					t.Errorf("row %+v", r)
				}
			}
			if got := strings.Join(times, " "); got != c.times {
				t.Errorf("times %s, want %s", got, c.times)
			}
		})
	}
}

// TestTraceFaults: every fault names its line.
func TestTraceFaults(t *testing.T) {
	for _, c := range []struct {
		name, text, fault string
	}{
		{"empty", "", "T.csv:1: no rows"},
		{"header only", head, "T.csv:1: no rows"},
		{"other columns", "time,host,cpu\n0,W1,1,2,3,4\n", "T.csv:1: want the columns time,host,mem_kb,cpu_percent,net_kb_s,accesses"},
		{"too few fields", head + "0,W1,1,2,3\n", "T.csv:2: want 6 fields, have 5"},
		{"bad time", head + "noon,W1,1,2,3,4\n", "T.csv:2: bad time: want RFC 3339 or seconds"},
		{"time too far", head + "1e12,W1,1,2,3,4\n", "T.csv:2: bad time: want RFC 3339 or seconds"},
		{"time is no number", head + "NaN,W1,1,2,3,4\n", "T.csv:2: bad time: want RFC 3339 or seconds"},
		{"no host", head + "0,,1,2,3,4\n", "T.csv:2: no host"},
		{"bad memory", head + "0,W1,x,2,3,4\n", "T.csv:2: mem_kb: want a number from 0 to 1e18"},
		{"negative CPU", head + "0,W1,1,-2,3,4\n", "T.csv:2: cpu_percent: want a number from 0 to 1e18"},
		{"endless network", head + "0,W1,1,2,Inf,4\n", "T.csv:2: net_kb_s: want a number from 0 to 1e18"},
		{"no accesses", head + "0,W1,1,2,3,\n", "T.csv:2: accesses: want a number from 0 to 1e18"},
		{"host twice", head + "0,W1,1,2,3,4\n0,W2,1,2,3,4\n0.0,W1,1,2,3,4\n", "T.csv:4: W1 twice at 0.0"},
		{"open quote", head + "0,W1,1,2,3,4\n0,\"W2,1,2,3,4\n", "T.csv:3: extraneous or missing \" in quoted-field"},
		{"two faults", head + "0,W1,1,2,3,x\n\n1,W1\n", "T.csv:2: accesses: want a number from 0 to 1e18\nT.csv:4: want 6 fields, have 2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := ReadTrace("T.csv", strings.NewReader(c.text))
			var list *diag.List
			if !errors.As(err, &list) || err.Error() != c.fault {
				t.Errorf("got %v, want %s", err, c.fault)
			}
		})
	}
}

// FuzzReadTrace: whatever a trace holds, it is refused or replays into numbers.
func FuzzReadTrace(f *testing.F) {
	f.Add(head + all(0, 20, 3) + all(10, 20, 3) + all(20, 80, 1))
	f.Add(head + "2026-11-22T14:47:42Z,W1,1,2,3,4\n")
	f.Add("1e9,W1,1e18,1e18,1e18,1e18\n-9e9,Ws,0,0,0,0\n0x1p3,F1,1,2,3,4\n")
	f.Fuzz(func(t *testing.T, text string) {
		trace, err := ReadTrace("T.csv", strings.NewReader(text))
		if err != nil {
			if !strings.HasPrefix(err.Error(), "T.csv:") {
				t.Errorf("fault without a line: %v", err)
			}
			return
		}
		var b strings.Builder
		if err := Run(webFTP(), trace).WriteJSON(&b); err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
		if len(lines) != len(trace)+1 {
			t.Errorf("%d lines for %d cycles", len(lines), len(trace))
		}
		for _, l := range lines {
			if !json.Valid([]byte(l)) {
				t.Errorf("not JSON: %s", l)
			}
		}
	})
}
