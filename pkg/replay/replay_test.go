package replay

import (
	"encoding/json"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"pss-msbs/pkg/cluster"
	"pss-msbs/pkg/settings"
)

func ip(n int) netip.Addr { return netip.AddrFrom4([4]byte{172, 21, 14, byte(n)}) }

func row(group string, real, vip int, host string) cluster.ServerRow {
	return cluster.ServerRow{Group: group, Real: ip(200 + real), VIP: ip(vip), Host: host, IP: ip(vip - 100)}
}

// webFTP is the paper's system without Mail, in Fig. 3(a), with short streaks.
func webFTP() Input {
	s := settings.Default()
	s.Class.LightStreak, s.Class.LookAhead = 2, false // worked out by the published rules
	s.Class.PS2Window = settings.Duration(20 * time.Second)
	s.Group["FTP"] = settings.Group{Type: cluster.Network, Class: s.Class}
	bases := []netip.Addr{ip(201), ip(202)}
	return Input{Settings: s, Tables: cluster.Tables{
		Operation: cluster.Rows{row("Web", 1, 102, "W1"), row("FTP", 2, 103, "F1"), row("Web", 3, 105, "W2"), row("FTP", 3, 106, "F2")},
		Spares:    []cluster.SpareRow{{Group: "Web", Host: "Ws", IP: ip(52)}, {Group: "FTP", Host: "Fs", IP: ip(53)}},
		Real:      []cluster.RealRow{{IP: ip(201)}, {IP: ip(202)}, {IP: ip(203)}},
		State: []cluster.StateRow{{Group: "Web", Condition: cluster.Moderate, Bases: bases},
			{Group: "FTP", Condition: cluster.Moderate, Bases: bases}},
	}}
}

// percent is a trace row of a server of the default size used to p percent.
func percent(at int, host string, p, accesses float64) string {
	return fmt.Sprintf("%d,%s,%v,%v,%v,%v\n", at, host, 2097152*p/100, p, 256000*p/100, accesses)
}

// all is percent for the four home servers: a trace recorded with everything on.
func all(at int, p, accesses float64) string {
	return percent(at, "W1", p, accesses) + percent(at, "W2", p, accesses) + percent(at, "F1", p, accesses) + percent(at, "F2", p, accesses)
}

func read(t *testing.T, rows ...string) []Cycle {
	t.Helper()
	trace, err := ReadTrace("T.csv", strings.NewReader("time,host,mem_kb,cpu_percent,net_kb_s,accesses\n"+strings.Join(rows, "")))
	if err != nil {
		t.Fatal(err)
	}
	return trace
}

// cell is a group in one cycle; Lm < 0 where it is not examined.
type cell struct {
	lm, lc, ln, ls float64
	class          cluster.Class
	condition      cluster.Condition
}

func (c cell) check(t *testing.T, name string, got GroupResult) {
	t.Helper()
	if got.Class != c.class || got.Condition != c.condition || (got.Ls == nil) != (c.lm < 0) {
		t.Errorf("%s: got %s, want %+v", name, got, c)
	}
	if got.Ls == nil {
		return
	}
	for i, d := range []float64{*got.Lm - c.lm, *got.Lc - c.lc, *got.Ln - c.ln, *got.Ls - c.ls} {
		if math.Abs(d) > 1e-9 {
			t.Errorf("%s: load %d is off by %v: got %v %v %v %v", name, i, d, *got.Lm, *got.Lc, *got.Ln, *got.Ls)
		}
	}
}

// TestRun is worked out by hand: two light cycles (PS1), few accesses (PS2),
// accesses again for Web (PS1), FTP not measured once, a jump of Web's load.
func TestRun(t *testing.T) {
	const m, p1, p2 = cluster.Moderate, cluster.PS1, cluster.PS2
	const L, M, U = cluster.LightLoad, cluster.ModerateLoad, cluster.UnknownLoad
	steady := cell{20, 20, 20, 20, L, p1}
	moderate := steady
	moderate.condition = m
	got := Run(webFTP(), read(t,
		all(0, 20, 3), all(10, 20, 3), // light twice: PS1
		all(20, 20, 3), all(30, 20, 3), // PS1 began at 20; at 30 the window (10,30] has 12 accesses
		all(40, 20, 1),                                                                                          // (20,40] has 8: PS2
		all(50, 20, 1),                                                                                          // each one does the work of two
		percent(60, "W1", 20, 11), percent(60, "W2", 20, 0), percent(60, "F1", 20, 1), percent(60, "F2", 20, 1), // Web: 13 accesses
		percent(70, "W1", 20, 9), percent(70, "W2", 20, 9), // nothing of FTP
		percent(80, "W1", 100, 9), percent(80, "W2", 100, 9), percent(80, "F1", 20, 1), percent(80, "F2", 20, 1),
	))
	want := []struct {
		watts    float64
		web, ftp cell
	}{
		{84, moderate, moderate}, {84, moderate, moderate}, {59, steady, steady}, {59, steady, steady}, {59, steady, steady},
		// W1 rises from 20 to 20+20: cpu and network 2*40-20, memory the greatest of two. Fs likewise.
		{34, cell{20, 60, 60, 40, L, p2}, cell{20, 60, 60, 40, L, p2}},
		{34, cell{20, 40, 40, 30, L, p2}, cell{20, 40, 40, 30, L, p2}},
		// W1 falls from 40 to 20: 2*20-40 = 0; Ws is new: 20.
		{59, cell{20, 10, 10, 15, L, p1}, cell{-1, 0, 0, 0, U, p2}},
		// W1: 2*100-20, clamped; Ws too. Fs was not measured before: 40.
		{59, cell{100, 100, 100, 100, M, p1}, cell{20, 40, 40, 30, L, p2}},
	}
	if len(got.Cycles) != len(want) {
		t.Fatalf("%d cycles, want %d", len(got.Cycles), len(want))
	}
	for i, w := range want {
		c := got.Cycles[i]
		if string(c.Time) != fmt.Sprint(10*i) || c.Watts != w.watts {
			t.Errorf("cycle at %s: %v W, want %v", c.Time, c.Watts, w.watts)
		}
		w.web.check(t, fmt.Sprintf("Web at %s", c.Time), c.Groups["Web"])
		w.ftp.check(t, fmt.Sprintf("FTP at %s", c.Time), c.Groups["FTP"])
	}
	// 84 84 59 59 59 34 34 59 59 W, ten seconds each; shifts: 2 + 2 + 1 + 1.
	s := got.Summary
	if math.Abs(s.EnergyWh-1.475) > 1e-12 || math.Abs(s.AlwaysOnWh-2.1) > 1e-12 || math.Abs(s.SavedPercent-100*0.625/2.1) > 1e-9 || s.Shifts != 6 {
		t.Errorf("summary %+v", s)
	}
}

// TestLiveTrace: a trace recorded live has rows of the spares instead of the
// servers in access-stop, and gives the same loads.
func TestLiveTrace(t *testing.T) {
	in := webFTP()
	always := Run(in, read(t, all(0, 20, 3), all(10, 20, 3), all(20, 20, 3)))
	live := Run(in, read(t, all(0, 20, 3), all(10, 20, 3),
		percent(20, "W1", 20, 3), percent(20, "Ws", 20, 3), percent(20, "F1", 20, 3), percent(20, "Fs", 20, 3)))
	a, _ := json.Marshal(always)
	b, _ := json.Marshal(live)
	if string(a) != string(b) {
		t.Errorf("\nalways on %s\nlive      %s", a, b)
	}
}

// TestReading: CPU is added in cores, network and accesses are added, memory is
// the greatest.
func TestReading(t *testing.T) {
	in := webFTP()
	in.Tables.State[0].Condition = cluster.PS2
	in.Tables.Operation[2].Host, in.Tables.Operation[2].Real, in.Tables.Operation[2].IP = "W1", ip(201), ip(2)
	in.Tables.AccessStop = cluster.Rows{row("Web", 3, 105, "W2")}
	big := in.Settings.Server
	big.Cores = 4
	in.Settings.Servers["W1"] = big
	r := replayer{in: in, tables: in.Tables}
	rows := read(t, "0,W1,1000,10,200,3\n", "0,W2,3000,20,100,4\n")[0].Rows
	w1 := r.server("W1", in.Tables.Homes(in.Homes))
	s, accesses := w1.measure(rows)
	if s.Reading.MemKB != 3000 || s.Reading.CPUPercent != 10+20*1.0/4 || s.Reading.NetKBs != 300 || accesses != 7 || !s.Measured {
		t.Errorf("got %+v and %v accesses", s, accesses)
	}
	if s, _ := w1.measure(nil); s.Measured {
		t.Error("measured without a row")
	}
}

// TestRefused: a plan that is refused leaves the condition; PS2 that may not go
// back to PS1 goes to Moderate.
func TestRefused(t *testing.T) {
	in := webFTP()
	in.Tables.Spares = in.Tables.Spares[1:] // no Ws
	in.Tables.Operation[2] = row("Web", 1, 105, "W2")
	got := Run(in, read(t, all(0, 20, 3), all(10, 20, 3), all(20, 20, 3)))
	if c := got.Cycles[2].Groups["Web"].Condition; c != cluster.Moderate {
		t.Errorf("Web without a spare: %s", c)
	}
	in.Tables.State[0].Condition = cluster.PS2
	got = Run(in, read(t, all(0, 20, 3), all(10, 20, 30), all(20, 20, 3)))
	if c := got.Cycles[1].Groups["Web"].Condition; c != cluster.PS2 {
		t.Errorf("Web in PS2: %s", c)
	}
	if c := got.Cycles[2].Groups["Web"].Condition; c != cluster.Moderate {
		t.Errorf("Web out of PS2: %s", c)
	}
}

// TestReconcile: what the files leave undone is done without a want.
func TestReconcile(t *testing.T) {
	in := webFTP()
	in.Tables.Real = append(in.Tables.Real, cluster.RealRow{IP: ip(204)})
	in.Settings.Reals[ip(204)] = settings.Power{ActiveW: 100, SuspendedW: 1.5}
	got := Run(in, read(t, all(0, 60, 3), all(10, 60, 3)))
	if got.Cycles[0].Watts != 184 || got.Cycles[1].Watts != 85.5 || got.Summary.Shifts != 0 {
		t.Errorf("watts %v then %v, %d shifts", got.Cycles[0].Watts, got.Cycles[1].Watts, got.Summary.Shifts)
	}
	if want := (184.0 + 85.5) * 10 / 3600; math.Abs(got.Summary.EnergyWh-want) > 1e-12 {
		t.Errorf("energy %v, want %v", got.Summary.EnergyWh, want)
	}
}

// TestSeparation: a VIP that stands only in separation leaves its group
// unexamined; one that a backup serves does not, and the backup's load is its
// own row with the target's.
func TestSeparation(t *testing.T) {
	in := webFTP()
	in.Tables.Separation = cluster.Rows{in.Tables.Operation[0]}
	in.Tables.Operation = in.Tables.Operation[1:]
	got := Run(in, read(t, all(0, 20, 3))).Cycles[0]
	cell{-1, 0, 0, 0, cluster.UnknownLoad, cluster.Moderate}.check(t, "nobody serves .102", got.Groups["Web"])
	cell{20, 20, 20, 20, cluster.LightLoad, cluster.Moderate}.check(t, "FTP goes on", got.Groups["FTP"])
	backup := row("Web", 0, 102, "Wb")
	in.Tables.Operation = append(in.Tables.Operation, backup)
	got = Run(in, read(t, all(0, 20, 3)+percent(0, "Wb", 10, 0))).Cycles[0]
	cell{20, 25, 25, 22.5, cluster.LightLoad, cluster.Moderate}.check(t, "Wb serves .102", got.Groups["Web"])
}

// TestLasts: a cycle lasts until the next one, the last as long as the one
// before, a single one for the measuring interval.
func TestLasts(t *testing.T) {
	var got []string
	r := replayer{in: webFTP(), trace: read(t, all(0, 1, 0), all(10, 1, 0), all(25, 1, 0))}
	for n := range r.trace {
		got = append(got, r.lasts(n).String())
	}
	r.trace = r.trace[:1]
	if got = append(got, r.lasts(0).String()); !slices.Equal(got, []string{"10s", "15s", "15s", "10s"}) {
		t.Errorf("got %v", got)
	}
}

// TestWindow: the window is the cycles with time in (t-y, t].
func TestWindow(t *testing.T) {
	r := replayer{trace: read(t, all(0, 1, 0), all(10, 1, 0), all(15, 1, 0), all(20, 1, 0)), accesses: [][]float64{{1, 2, 4, 8}}}
	for _, c := range []struct {
		n    int
		y    time.Duration
		sum  float64
		full bool
	}{
		{0, 10 * time.Second, 1, false}, {1, 10 * time.Second, 2, true}, {1, 11 * time.Second, 3, false},
		{3, 10 * time.Second, 12, true}, {3, 20 * time.Second, 14, true}, {3, 21 * time.Second, 15, false},
	} {
		if sum, full := r.window(0, c.n, c.y); sum != c.sum || full != c.full {
			t.Errorf("cycle %d, y = %s: got %v %v, want %v %v", c.n, c.y, sum, full, c.sum, c.full)
		}
	}
}

// TestWrite pins the objects of SPEC 4 and the table.
func TestWrite(t *testing.T) {
	r := Run(webFTP(), read(t, all(0, 20, 3)+percent(10, "W1", 20, 3)+percent(10, "W2", 20, 3)))
	var b strings.Builder
	if err := r.WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	want := `{"time":0,"groups":{"FTP":{"lm":20,"lc":20,"ln":20,"ls":20,"class":"light","condition":"Moderate"},"Web":{"lm":20,"lc":20,"ln":20,"ls":20,"class":"light","condition":"Moderate"}},"watts":84}
{"time":10,"groups":{"FTP":{"class":"unknown","condition":"Moderate"},"Web":{"lm":20,"lc":20,"ln":20,"ls":20,"class":"light","condition":"Moderate"}},"watts":84}
{"summary":{"energy_wh":0.4666666666666667,"always_on_wh":0.4666666666666667,"saved_percent":0,"shifts":1,"shifts_a_day":4320,"minutes_not_redundant":0,"minutes_strained":0}}
`
	if b.String() != want {
		t.Errorf("got\n%s", b.String())
	}
	b.Reset()
	if err := r.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	want = `TIME  WATTS  WEB                   FTP
0     84.0   light 20.00 Moderate  light 20.00 Moderate
10    84.0   light 20.00 Moderate  unknown Moderate
energy 0.467 Wh, always on 0.467 Wh, saved 0.0 %, 1 shifts (4320.0 a day), 0 minutes not redundant, 0 strained
`
	if b.String() != want {
		t.Errorf("got\n%s", b.String())
	}
}
